"""Keeps the beginning and the end of a stream of any length in bounded memory."""

from __future__ import annotations

import codecs

_CONTINUATION = range(0x80, 0xC0)
"""Bytes that cannot begin a character in UTF-8."""


class Capture:
    """The head and the tail of a stream, ``bytes_max`` bytes together at most."""

    def __init__(self, bytes_max: int) -> None:
        self._head_max = bytes_max // 2
        self._tail_max = bytes_max - self._head_max
        self._head = bytearray()
        self._tail = bytearray()
        self._seen = 0

    @property
    def is_truncated(self) -> bool:
        """Whether bytes in the middle were dropped."""
        return self._seen > self._head_max + self._tail_max

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self._seen += len(data)
        free = self._head_max - len(self._head)
        if free > 0:
            self._head += data[:free]
            data = data[free:]
        if len(data) >= self._tail_max:
            self._tail[:] = data[len(data) - self._tail_max :]
            return
        self._tail += data
        if len(self._tail) > 4 * self._tail_max:
            self._trim()

    def text(self) -> str:
        """Return what was kept, with a line in between that says how much is missing."""
        self._trim()
        if not self.is_truncated:
            return bytes(self._head + self._tail).decode(errors="replace")
        dropped = self._seen - len(self._head) - len(self._tail)
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        head = decoder.decode(bytes(self._head))
        tail = _from_character(bytes(self._tail)).decode(errors="replace")
        return f"{head}\n... [{dropped} bytes dropped] ...\n{tail}"

    def _trim(self) -> None:
        excess = len(self._tail) - self._tail_max
        if excess > 0:
            del self._tail[:excess]


def _from_character(data: bytes) -> bytes:
    """Drop the rest of a character whose beginning was cut off."""
    start = 0
    while start < min(3, len(data)) and data[start] in _CONTINUATION:
        start += 1
    return data[start:]
