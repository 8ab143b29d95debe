"""Which of the worker's environment variables the processes of tasks see."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

DEFAULT_VARIABLES = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "TERM",
    "PYTHON*",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "SSL_CERT_*",
)
"""What programs need to run at all; secrets of the worker do not look like any of these."""

OWN_PREFIX = "TALKA_"
TRACE_VARIABLE = "TRACEPARENT"
"""Where OpenTelemetry's tools look for the span that they continue."""
RUN_VARIABLE = "TALKA_RUN"
"""Marks every process of one run, so that those that left their session are found too."""


def passed_through(patterns: Sequence[str], source: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that match a pattern (``*`` and ``?`` as in file names).

    The worker's own settings (``TALKA_...``) are never passed on: they may
    hold the way into the server.
    """
    variables = os.environ if source is None else source
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith(OWN_PREFIX) and any(fnmatchcase(name, pattern) for pattern in patterns)
    }
