"""Decides which program a command task may start, and where it lies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from talka_protocols.errors import NotAllowedError, TaskFailedError
from talka_services.executors.functions import EVERYTHING


def find_program(name: str, cwd: str, base: str, allow: Sequence[str], search: str | None = None) -> str:
    """Return the path of the program to start.

    A name without a slash is looked up in ``search`` (default: the worker's
    PATH; the task's own one counts only where everything is allowed, or an
    allowed name would be no limit); one with a slash is taken from ``cwd``,
    and those that ``allow`` lists from ``base``, the worker's directory.

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
    if not is_open and (os.sep in name or name not in allow):
        places = {_place(os.path.join(base, entry)) for entry in allow if os.sep in entry}
        found = None if found is None else _place(found)
        if found not in places:
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


def _place(path: str) -> str:
    """Return where a file lies, its own name left as it is.

    Many names may lead to one file that is another program under each, as those of BusyBox do.
    """
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)
