"""Decides which program a command task may start, and where it lies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from talka_protocols.errors import NotAllowedError, TaskFailedError
from talka_services.executors.functions import EVERYTHING


def find_program(name: str, cwd: str, allow: Sequence[str], search: str | None = None) -> str:
    """Return the path of the program to start.

    A name without a slash is looked up in ``search`` (default: the worker's
    PATH; the task's own one counts only where everything is allowed, or an
    allowed name would be no limit); one with a slash is taken from ``cwd``.

    Raises:
        NotAllowedError: the worker was not told to allow it.
        TaskFailedError: there is no such program.
    """
    is_open = EVERYTHING in allow
    if os.sep in name:
        path = os.path.join(cwd, name)
        found = path if os.path.isfile(path) and os.access(path, os.X_OK) else None
    else:
        found = shutil.which(name, path=search if is_open else None)
    if not is_open and not _is_listed(name, found, allow):
        raise NotAllowedError(
            f"This worker may not start the program {name!r}.",
            hint=f"Start the worker with --allow-command {name} if you trust it.",
        )
    if found is None:
        raise TaskFailedError(
            f"There is no program {name!r} on this worker.",
            hint="Install it, or give its whole path in `argv`.",
        )
    return found


def _is_listed(name: str, found: str | None, allow: Sequence[str]) -> bool:
    if name in allow:
        return True
    paths = {os.path.realpath(entry) for entry in allow if os.sep in entry}
    return found is not None and os.path.realpath(found) in paths
