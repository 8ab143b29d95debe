"""Tells apart what the tasks of one process print: each has a standard output of its own.

Whoever calls is known by a context variable, which follows a task's coroutines
and threads of ``asyncio``. What a thread prints that a task started by itself
belongs to the task only where that has the process to itself. Programs that a
task starts write to the process's own output, which nobody keeps.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TextIO, cast

from talka_protocols.tasklogs import Channel

BYTES_MAX = 4 * 1024 * 1024
"""How much text of one run goes to the worker."""
LINE_CHARS_MAX = 8 * 1024
"""A longer line is told in parts."""

Tell = Callable[[Channel, str, int], None]


class Printout:
    """What one run prints, line by line; ``tell`` takes a channel, a text, and how many bytes are missing."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._begun: dict[Channel, str] = {}
        self._told = 0
        self._dropped: dict[Channel, int] = {}

    def write(self, channel: Channel, text: str) -> None:
        """Take the next text of a channel; may be called from any thread."""
        with self._lock:
            begun = self._begun.get(channel, "") + text
            end = len(begun) if len(begun) > LINE_CHARS_MAX else begun.rfind("\n") + 1
            self._begun[channel] = begun[end:]
            if end:
                self._say(channel, begun[:end])

    def close(self) -> None:
        """Tell what is left."""
        with self._lock:
            for channel, begun in self._begun.items():
                if begun:
                    self._say(channel, begun)
            self._begun.clear()
            for channel, dropped in self._dropped.items():
                self._tell(channel, "", dropped)
            self._dropped.clear()

    def _say(self, channel: Channel, text: str) -> None:
        if self._told > BYTES_MAX or channel in self._dropped:
            self._dropped[channel] = self._dropped.get(channel, 0) + len(text)
            return
        self._told += len(text)
        self._tell(channel, text, 0)


current: ContextVar[Printout | None] = ContextVar("printout", default=None)


class _Router(io.TextIOBase):
    """Stands for a standard stream: gives each run its own text, and passes all of it through."""

    def __init__(self, stream: TextIO, channel: Channel) -> None:
        self._stream = stream
        self._channel = channel
        self.only: Printout | None = None

    def write(self, text: str) -> int:
        """Take text from whoever calls."""
        printout = current.get() or self.only
        if printout is not None:
            printout.write(self._channel, text)
        self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass what was written through."""
        self._stream.flush()

    def writable(self) -> bool:
        """Say yes."""
        return True

    def fileno(self) -> int:
        """Return the file that the process itself writes to."""
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Router:
    """Takes the place of the process's standard output and standard error."""

    def __init__(self) -> None:
        self._routers = (_Router(sys.stdout, Channel.STDOUT), _Router(sys.stderr, Channel.STDERR))
        sys.stdout, sys.stderr = (cast("TextIO", router) for router in self._routers)

    def belong_to(self, printout: Printout | None) -> None:
        """Give what nobody is known to have printed to one run: the only one of the process."""
        for router in self._routers:
            router.only = printout
