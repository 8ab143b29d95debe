"""What a failing server has in memory is not taken for stored."""

from __future__ import annotations

from collections import deque
from typing import Any, cast

import msgspec
import pytest

from talka_protocols.errors import ConflictError
from talka_protocols.subjects import EXECUTION, LogName, Names
from talka_services.jetstream.connection import Connection, NoAnswerError
from talka_services.jetstream.leases import JetStreamLeases
from talka_services.jetstream.log import JetStreamLog

NAME = LogName(EXECUTION, "0", "e")
WRONG = {"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence: 5"}}


class _Message:
    def __init__(self, document: Any) -> None:
        self.data = msgspec.json.encode(document)
        self.headers = None


class _Server(Connection):
    """Answers what is written by its script; has a last message of ours, and has stored so many."""

    def __init__(self, script: list[Any], messages: list[dict[str, Any]], stored: list[int]) -> None:
        super().__init__(Names("test"), "nats://nowhere")
        self.wire = cast("Any", _Wire())
        self.is_up.set()
        self._script = deque(script)
        self.messages = deque(messages)
        self.stored = deque(stored)

    async def request(self, subject: str, *_given: Any, **_named: Any) -> Any:
        """Answer in the order of the script."""
        if ".STREAM.MSG.GET." in subject:
            return _Message({"message": _next(self.messages)})
        if ".STREAM.INFO." in subject:
            stored = _next(self.stored)
            return _Message({"state": {"messages": stored, "first_seq": 1, "last_seq": stored}})
        answer = self._script.popleft()
        if answer is None:
            raise NoAnswerError("lost")
        return _Message(answer)


def _next(values: deque[Any]) -> Any:
    """Return the values one after the other, and the last one for ever."""
    return values.popleft() if len(values) > 1 else values[0]


class _Wire:
    max_payload = 1_000_000


def _message(data: bytes, commit_id: str = "") -> dict[str, Any]:
    hdrs = f"NATS/1.0\r\nNats-Msg-Id: {commit_id}\r\n\r\n".encode()
    return {"subject": "x", "seq": 5, "data": data, "hdrs": hdrs}


async def test_a_lost_answer_is_recognised_once_the_commit_is_stored() -> None:
    """While the server still writes it, nobody is told that it lasts."""
    server = _Server([None, WRONG], [_message(b"x", "ours")], [4, 4, 5])
    assert await JetStreamLog(server).append(NAME, 4, b"x", "ours") == 5
    assert len(server.stored) == 1, "it was asked until it had stored it"


async def test_what_is_lost_with_the_servers_memory_was_never_acknowledged() -> None:
    """A server that starts again without the commit has one fewer, and whoever wrote it folds the log."""
    before = _message(b"w", "theirs") | {"seq": 4}
    server = _Server([None, WRONG], [_message(b"x", "ours"), before], [4])
    with pytest.raises(ConflictError):
        await JetStreamLog(server).append(NAME, 4, b"x", "ours")


async def test_a_lease_that_is_not_stored_is_not_held() -> None:
    """Its revision would be given to somebody else after the restart."""
    server = _Server([WRONG, WRONG], [_message(b"me")], [4])
    leases = JetStreamLeases(server)
    assert await leases.write("pool", b"me", 4, 1.0) is None
    server.stored = deque([5])
    assert await leases.write("pool", b"me", 4, 1.0) == 5
