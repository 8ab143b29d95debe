"""Which files of a directory a program changed: the directory before it compared with the directory after."""

from __future__ import annotations

import os
import time

FILES_MAX = 10_000
LOOK_S_MAX = 1.0
"""Above these a directory is too large to be observed; then nothing is said about it."""

Stamp = tuple[int, int, int]


class Directory:
    """A directory as it was when this was made; links are not followed."""

    def __init__(self, path: str, root: str) -> None:
        self._path = path
        self._root = root
        self._before = _stamps(path)

    def changed(self) -> list[str]:
        """Return the files that are new or different now, by their paths from the root, in order.

        It is empty where the directory is too large to be observed.
        """
        after = _stamps(self._path)
        if self._before is None or after is None:
            return []
        changed = [path for path, stamp in after.items() if self._before.get(path) != stamp]
        return sorted(os.path.relpath(path, self._root) for path in changed)


def _stamps(path: str) -> dict[str, Stamp] | None:
    found: dict[str, Stamp] = {}
    end_s = time.monotonic() + LOOK_S_MAX
    ahead = [path]
    while ahead:
        try:
            with os.scandir(ahead.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        found[entry.path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        except (FileNotFoundError, PermissionError):
            # It was removed meanwhile, or is none of ours: what cannot be seen is not reported.
            continue
        if len(found) > FILES_MAX or time.monotonic() > end_s:
            return None
    return found
