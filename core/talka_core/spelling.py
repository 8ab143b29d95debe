"""Suggests what a misspelt name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

OPTIONS_MAX = 2_000
SHOWN_MAX = 8


def did_you_mean(word: str, options: Iterable[str], *, label: str = "Known") -> str:
    """Return a hint for ``word``: the closest of ``options``, else a short list of them.

    At most 2,000 options are compared, so that a huge workflow's error is still quick.

    Args:
        word: What was written.
        options: What would have been right.
        label: How the list of options is introduced when none of them is close.

    Returns:
        One sentence, or an empty text when there are no options.
    """
    # A member of an enumeration is a text, and shows itself as something else.
    known = [str(option) for option in islice(options, OPTIONS_MAX)]
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    if not known:
        return ""
    shown = ", ".join(sorted(known)[:SHOWN_MAX])
    more = ", ..." if len(known) > SHOWN_MAX else ""
    return f"{label}: {shown}{more}."
