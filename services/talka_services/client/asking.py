"""Who asks: what a request is recorded under, beside what it led to.

A command line or program asks as the user of its machine; a gateway asks as whoever it was asked by.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

LENGTH_MAX = 200

_asker: ContextVar[str | None] = ContextVar("asker", default=None)


def asker() -> str:
    """Return who asks just now, as it is recorded."""
    named = _asker.get()
    return this_user() if named is None else named


@contextmanager
def asking_as(name: str) -> Generator[None]:
    """Ask as somebody, in this task and in those that it starts, until the context ends."""
    token = _asker.set(readable(name))
    try:
        yield
    finally:
        _asker.reset(token)


@cache
def this_user() -> str:
    """Return ``user@host`` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user need not have a name.
        user = f"uid-{os.getuid()}"
    return readable(f"{user}@{socket.gethostname()}")


def readable(name: str) -> str:
    """Return a name as it is recorded: one line of at most 200 characters that can be printed."""
    return "".join(each if each.isprintable() else "?" for each in name[:LENGTH_MAX])
