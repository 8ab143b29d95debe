"""An older version of Talka: the source of a commit of this repository, with what is installed here."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

OLDER = "4907c42"
"""A commit since which messages and events have been added to."""
ROOTS = ("protocols", "core", "services")
REPOSITORY = Path(__file__).parents[3]


def has_commit(commit: str) -> bool:
    """Tell whether the source of a commit can be had: this is a clone of the repository that has it."""
    command = ["git", "-C", str(REPOSITORY), "cat-file", "-e", f"{commit}^{{commit}}"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    except FileNotFoundError:
        return False


def unpack(commit: str, target: Path) -> None:
    """Write the packages of a commit into a directory.

    Raises:
        subprocess.CalledProcessError: there is no such commit.
    """
    command = ["git", "-C", str(REPOSITORY), "archive", commit, *ROOTS]
    found = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603
    with tarfile.open(fileobj=BytesIO(found)) as archive:
        archive.extractall(target, filter="data")
