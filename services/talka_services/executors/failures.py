"""Turns an exception of user code into a text that is short, bounded and enough to find the fault."""

from __future__ import annotations

import traceback
from pathlib import Path

FRAMES_MAX = 20
MESSAGE_CHARS_MAX = 2_000
TRACE_CHARS_MAX = 4_000
KINDS_MAX = 10
KIND_CHARS_MAX = 200
_OUR_DIRECTORY = str(Path(__file__).parent)


def describe(error: BaseException) -> str:
    """Return ``"ExcType: message"`` and below it the frames of user code, the innermost last.

    Frames of this package are left out; at most ``FRAMES_MAX`` frames,
    ``MESSAGE_CHARS_MAX`` and ``TRACE_CHARS_MAX`` characters are kept.
    """
    summary = traceback.TracebackException(type(error), error, error.__traceback__, limit=-FRAMES_MAX)
    headline = "".join(summary.format_exception_only()).strip()
    frames = [frame for frame in summary.stack if not frame.filename.startswith(_OUR_DIRECTORY)]
    if not frames:
        return _shortened(headline, MESSAGE_CHARS_MAX)
    trace = "".join(traceback.format_list(frames)).rstrip()
    return f"{_shortened(headline, MESSAGE_CHARS_MAX)}\n{trace[-TRACE_CHARS_MAX:]}"


def kinds_of(error: BaseException) -> tuple[str, ...]:
    """Return the classes of an exception, its own first: ``json.decoder.JSONDecodeError``, ``ValueError``."""
    classes = [kind for kind in type(error).__mro__ if kind not in (BaseException, object)]
    return tuple(_full_name(kind)[-KIND_CHARS_MAX:] for kind in classes[:KINDS_MAX])


def _full_name(kind: type) -> str:
    home = kind.__module__
    return kind.__qualname__ if home == "builtins" else f"{home}.{kind.__qualname__}"


def _shortened(text: str, chars_max: int) -> str:
    if len(text) <= chars_max:
        return text
    return f"{text[:chars_max]}... ({len(text) - chars_max} more characters)"
