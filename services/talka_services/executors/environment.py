"""Which of the worker's environment variables the processes of tasks see."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from talka_protocols.errors import NotAllowedError

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

LOADING_VARIABLES = (
    "PATH",
    "LD_*",
    "DYLD_*",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "BASH_ENV",
    "BASH_FUNC_*",
    "BASHOPTS",
    "ENV",
    "IFS",
    "PS4",
    "SHELLOPTS",
    "ZDOTDIR",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "PYTHONBREAKPOINT",
    "PYTHONPLATLIBDIR",
    "PERL5*",
    "PERLLIB",
    "RUBYOPT",
    "RUBYLIB",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_OPTS",
    "*JAVA_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "CLASSPATH",
    "LUA_*",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "R_PROFILE*",
    "R_ENVIRON*",
    "R_LIBS*",
    "GIT_SSH*",
    "GIT_CONFIG*",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_PROXY_COMMAND",
    "GIT_TEMPLATE_DIR",
    "*ASKPASS",
    "*EDITOR",
    "*PAGER",
    "VISUAL",
    "BROWSER",
    "LESSOPEN",
    "LESSCLOSE",
    "MAKEFILES",
    "MAKEFLAGS",
    "TAR_OPTIONS",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
)
"""By which a program, or its interpreter, is made to run code that a task brings."""

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


def require_harmless(names: Iterable[str], program: str) -> None:
    """Return if a task may set these variables for a program, where not everything is allowed.

    Raises:
        NotAllowedError: one of them would have the program run something else.
    """
    for name in names:
        if any(fnmatchcase(name, pattern) for pattern in LOADING_VARIABLES):
            raise NotAllowedError(
                f"This worker may not start {program!r} with the variable {name!r}, by which a program can be"
                " made to run another.",
                hint="Set it where the worker is started, or start the worker with --allow-command '*'.",
            )
