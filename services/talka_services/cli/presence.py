"""Tells other commands that ``talka up`` runs on a data directory, and what its workers offer.

The lock, not the file, says so: the kernel frees it however the process ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from talka_protocols.errors import DataDirectoryError
from talka_services.embedded.directory import write_whole

FACTS = "up.json"
LOCK = "up.lock"


class Presence(Struct, frozen=True):
    """What ``talka up`` offers: the most of one worker, and the agent types."""

    pid: int
    namespace: str
    ceiling: dict[str, float]
    agent_types: tuple[str, ...]


@contextmanager
def present(data_dir: Path, facts: Presence) -> Generator[None]:
    """Be the directory's ``talka up`` for as long as the context lasts.

    Raises:
        DataDirectoryError: there is one already.
    """
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = who_is_present(data_dir)
            raise DataDirectoryError(
                f"`talka up` runs on {data_dir} already{f' (process {other.pid})' if other else ''}.",
                hint="Use it, stop it, or name another directory with --data-dir.",
            ) from None
        write_whole(data_dir / FACTS, msgspec.json.encode(facts))
        yield
    finally:
        os.close(descriptor)


def who_is_present(data_dir: Path, namespace: str | None = None) -> Presence | None:
    """Return what the ``talka up`` of a directory offers, or None if there is none (in this namespace)."""
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        facts = _read(data_dir)
    else:
        return None
    finally:
        os.close(descriptor)
    return facts if facts and namespace in (None, facts.namespace) else None


def _read(data_dir: Path) -> Presence | None:
    try:
        return msgspec.json.decode((data_dir / FACTS).read_bytes(), type=Presence)
    except (OSError, ValueError):
        return None
