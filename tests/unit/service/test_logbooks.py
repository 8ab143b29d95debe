"""What attempts print, on its way: whole characters, bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from talka_protocols.errors import PlatformError
from talka_protocols.tasklogs import Channel, Printed
from talka_services.service import logbooks
from talka_services.service.logbooks import ATTEMPT_BYTES_MAX, MESSAGE_BYTES, WAITING_BYTES_MAX, Logbooks


class Clock:
    """Time stands still."""

    def now_ms(self) -> int:
        """Return always the same."""
        return 7


class Stream:
    """Keeps what was published; refuses while ``is_away``."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.is_away = False

    async def publish(self, execution_id: str, body: bytes) -> None:
        """Keep a message."""
        if self.is_away:
            raise PlatformError("nobody is there")
        self.bodies.append((execution_id, body))

    def texts(self, execution_id: str = "e") -> list[Printed]:
        """Return what was published of an execution."""
        found = [body for name, body in self.bodies if name == execution_id]
        return [printed for body in found for printed in msgspec.json.decode(body, type=list[Printed])]


@pytest.fixture
def stream() -> Stream:
    """A stream that takes everything."""
    return Stream()


@pytest.fixture
def books(stream: Stream) -> Logbooks:
    """The logbooks of a worker."""
    return Logbooks("w1", Clock(), stream.publish)


async def test_characters_are_never_cut(stream: Stream, books: Logbooks) -> None:
    """Bytes may arrive in any pieces, of several channels at once."""
    book = books.opened("e", "t", 2)
    for byte in "grün\n".encode():
        book.write(Channel.STDOUT, bytes([byte]))
        book.write(Channel.STDERR, b"x")
    book.write(Channel.STDOUT, "ü".encode()[:1])
    book.close()
    await books.close()
    texts = stream.texts()
    assert "".join(p.text for p in texts if p.channel is Channel.STDOUT) == "grün\n�"
    assert "".join(p.text for p in texts if p.channel is Channel.STDERR) == "xxxxxx"
    assert {(p.task_id, p.attempt, p.worker_id, p.at) for p in texts} == {("t", 2, "w1", 7)}


async def test_an_attempt_that_prints_too_much_loses_the_rest(stream: Stream, books: Logbooks) -> None:
    """What is missing is counted, and others lose nothing; no message is much larger than it should be."""
    book, other = books.opened("e", "t", 1), books.opened("f", "t", 1)
    for _ in range(6):
        book.write(Channel.STDOUT, b"x" * (ATTEMPT_BYTES_MAX // 4))
    book.miss(Channel.STDERR, 5)
    other.write(Channel.STDOUT, b"here")
    book.close()
    other.close()
    await books.close()
    texts = stream.texts()
    assert sum(len(p.text) for p in texts) == ATTEMPT_BYTES_MAX
    assert sorted(p.dropped for p in texts if p.dropped) == [5, ATTEMPT_BYTES_MAX // 2]
    assert [p.text for p in stream.texts("f")] == ["here"]
    assert max(len(body) for _, body in stream.bodies) < ATTEMPT_BYTES_MAX // 4 + MESSAGE_BYTES


async def test_what_cannot_be_sent_is_lost_and_nobody_waits(
    stream: Stream, books: Logbooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text that waits is bounded; once the server is back, what comes then arrives."""
    monkeypatch.setattr(logbooks, "FLUSH_S", 0.001)
    stream.is_away = True
    first = books.opened("e", "first", 1)
    first.write(Channel.STDOUT, b"lost")
    first.close()
    await books.close()
    stream.is_away = False
    second = books.opened("e", "second", 1)
    second.write(Channel.STDOUT, b"kept")
    await asyncio.sleep(0.01)
    assert [p.text for p in stream.texts()] == ["kept"]
    await books.close()


async def test_text_that_waits_is_bounded(stream: Stream, books: Logbooks) -> None:
    """Many attempts that print at once do not fill the memory; each knows what it lost."""
    many = [books.opened("e", f"t{n}", 1) for n in range(4)]
    for book in many:
        book.write(Channel.STDOUT, b"x" * (ATTEMPT_BYTES_MAX - 1))
    await books.close()
    for book in many:
        book.close()
    await books.close()
    kept = sum(len(p.text) for p in stream.texts())
    assert kept <= WAITING_BYTES_MAX
    assert kept + sum(p.dropped for p in stream.texts()) == 4 * (ATTEMPT_BYTES_MAX - 1)
