"""The NATS executor, against a real server on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import nats
import nats.micro
import pytest
from tests.conftest import NatsServer

from talka_core.outputs import OUTPUTS
from talka_protocols.errors import TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.nats import NatsExecutor
from talka_services.executors.registry import ExecutorSettings

Make = Callable[..., Attempt]
connect = cast("Any", nats).connect


@pytest.fixture
async def executor() -> AsyncIterator[NatsExecutor]:
    """Offer the executor."""
    executor = NatsExecutor(ExecutorSettings(output_bytes_max=1000))
    yield executor
    await executor.close()


@pytest.fixture
async def other(nats_server: NatsServer) -> AsyncIterator[Any]:
    """A client that is not the platform's."""
    client = await connect(nats_server.url)
    yield client
    await client.close()


async def test_a_service_is_asked_and_its_answer_returned(
    executor: NatsExecutor, attempt: Make, nats_server: NatsServer, other: Any
) -> None:
    """The request carries what the task says, its key, fence and span; the answer is text and data."""
    seen: list[Any] = []

    async def answer(message: Any) -> None:
        seen.append(message)
        await message.respond(b'{"price": 3}')

    await other.subscribe("prices.get", cb=answer)
    await other.flush()
    wanted = {"server": nats_server.url, "subject": "prices.get", "json": {"article": 7}}
    result = await executor.execute(attempt(**wanted, headers={"X-Own": "y", "Talka-Fence": "mine"}))
    assert (result["body"], result["truncated"]) == ('{"price": 3}', False)
    assert result["json"] == {"price": 3}
    # This client sends the headers back that it got.
    assert result["headers"]["X-Own"] == "y"
    assert seen[0].data == b'{"article":7}'
    headers = seen[0].headers
    assert (headers["X-Own"], headers["Talka-Fence"], headers["Idempotency-Key"]) == ("y", "mine", "e/t")
    assert headers["traceparent"].startswith("00-")
    assert "Nats-Msg-Id" not in headers


async def test_a_message_is_stored_once_however_often_the_task_runs(
    executor: NatsExecutor, attempt: Make, nats_server: NatsServer, other: Any
) -> None:
    """A stream tells where it keeps a message, and knows a repeated attempt by the task's key."""
    streams = other.jetstream()
    await streams.add_stream(name="BILLS", subjects=["bills.new"])
    try:
        wanted = attempt(server=nats_server.url, subject="bills.new", body="as it is", expects="stored")
        first, second = await executor.execute(wanted), await executor.execute(wanted)
        kept = await streams.get_msg("BILLS", 1)
    finally:
        await streams.delete_stream("BILLS")
    assert first == {"stream": "BILLS", "seq": 1, "duplicate": False}
    assert second == {"stream": "BILLS", "seq": 1, "duplicate": True}
    assert (kept.data, kept.headers["Nats-Msg-Id"]) == (b"as it is", "e/t")
    assert frozenset(first) | {"headers", "body", "json", "truncated"} == OUTPUTS["nats"]


async def test_an_event_is_out_when_the_task_has_ended(
    executor: NatsExecutor, attempt: Make, nats_server: NatsServer, other: Any
) -> None:
    """Who expects nothing does not wait for anybody who listens, but for the server."""
    listening = await other.subscribe("news")
    await other.flush()
    assert await executor.execute(attempt(server=nats_server.url, subject="news", expects="nothing")) == {}
    assert (await listening.next_msg(timeout=5)).data == b""


async def test_an_error_of_a_service_is_the_tasks_failure(
    executor: NatsExecutor, attempt: Make, nats_server: NatsServer, other: Any
) -> None:
    """What a service of the clients' micro package refuses has its code as a kind, for rules of retrying."""

    async def refuse(request: Any) -> None:
        await request.respond_error("402", "no money")

    service = await cast("Any", nats.micro).add_service(other, name="bank", version="1.0.0")
    await service.add_endpoint(name="pay", handler=refuse)
    await other.flush()
    with pytest.raises(TaskFailedError, match="pay answered with the error 402: no money") as caught:
        await executor.execute(attempt(server=nats_server.url, subject="pay"))
    assert caught.value.kinds == ("nats_402",)
    await service.stop()


@pytest.mark.parametrize(
    ("expects", "sentence"),
    [("reply", "Nobody listens at nowhere"), ("stored", "No stream keeps nowhere")],
)
async def test_nobody_there_fails_at_once(
    executor: NatsExecutor, attempt: Make, nats_server: NatsServer, expects: str, sentence: str
) -> None:
    """Nothing is waited for where nobody is."""
    with pytest.raises(TaskFailedError, match=sentence) as caught:
        await executor.execute(attempt(server=nats_server.url, subject="nowhere", expects=expects))
    assert caught.value.kinds == ("nobody_there",)


async def test_an_answer_that_does_not_come_is_a_failure(
    executor: NatsExecutor, attempt: Make, nats_server: NatsServer, other: Any
) -> None:
    """A listener that says nothing costs the time limit; one that is no stream is none."""
    await other.subscribe("silent", cb=_ignore)
    await other.flush()
    with pytest.raises(TaskFailedError, match=r"silent gave no answer within 0\.1 s"):
        await executor.execute(attempt(server=nats_server.url, subject="silent", timeout_s=0.1))

    async def answer(message: Any) -> None:
        await message.respond(b"hello")

    await other.subscribe("chatty", cb=answer)
    await other.flush()
    with pytest.raises(TaskFailedError, match="no stream"):
        await executor.execute(attempt(server=nats_server.url, subject="chatty", expects="stored"))


@pytest.mark.parametrize("said", [b"[" * 5_000, b'{"stream": "\xff"}', b"{"], ids=["deep", "no UTF-8", "cut"])
async def test_an_answer_that_is_no_json_is_an_answer_and_no_stream(
    executor: NatsExecutor, attempt: Make, nats_server: NatsServer, other: Any, said: bytes
) -> None:
    """Nested too deep, in no UTF-8 or cut short: it is text, and a stream does not speak like this."""

    async def answer(message: Any) -> None:
        await message.respond(said)

    await other.subscribe("odd", cb=answer)
    await other.flush()
    result = await executor.execute(attempt(server=nats_server.url, subject="odd"))
    assert "json" not in result
    with pytest.raises(TaskFailedError, match="no stream"):
        await executor.execute(attempt(server=nats_server.url, subject="odd", expects="stored"))


async def test_long_answers_are_cut_and_long_messages_refused(
    executor: NatsExecutor, attempt: Make, nats_server: NatsServer, other: Any
) -> None:
    """What is kept of an answer is bounded, and what the server would not take is not sent."""

    async def answer(message: Any) -> None:
        await message.respond(b"x" * 5000)

    await other.subscribe("long", cb=answer)
    await other.flush()
    result = await executor.execute(attempt(server=nats_server.url, subject="long"))
    assert result["truncated"]
    assert len(result["body"]) < 2000
    assert "json" not in result
    with pytest.raises(TaskFailedError, match="more than the server takes"):
        await executor.execute(attempt(server=nats_server.url, subject="long", body="x" * 20_000_000))


async def test_a_server_that_is_not_there_is_the_tasks_failure(executor: NatsExecutor, attempt: Make) -> None:
    """It says where, without the secrets of the address."""
    with pytest.raises(TaskFailedError, match=r"No NATS server answers at nats://127\.0\.0\.1:1 ") as caught:
        await executor.execute(attempt(server="nats://user:secret@127.0.0.1:1", subject="x"))
    assert "secret" not in str(caught.value)
    assert caught.value.kinds == ("server_unavailable",)


@pytest.mark.parametrize(
    "payload", [{}, {"subject": "a.*"}, {"subject": "a b"}, {"subject": "a", "timeout_s": 0}]
)
async def test_a_wrong_payload_is_refused(
    executor: NatsExecutor, attempt: Make, payload: dict[str, Any]
) -> None:
    """No message goes to wildcards."""
    with pytest.raises(TaskFailedError, match="The payload of the nats task 't' is wrong"):
        await executor.execute(attempt(server="nats://127.0.0.1:1", **payload))


async def test_tasks_of_one_server_share_a_connection(
    executor: NatsExecutor, attempt: Make, own_server: NatsServer
) -> None:
    """Many at once make one, which connects again when the server has been away."""
    before = await connect(own_server.url)
    wanted = attempt(server=own_server.url, subject="many", expects="nothing")
    await asyncio.gather(*(executor.execute(wanted) for _ in range(20)))
    after = await connect(own_server.url)
    assert after.client_id - before.client_id < 10, "the server counts who connects"
    await before.close()
    await after.close()
    own_server.kill()
    own_server.start()
    # What was sent to the server that had died has no answer, and a retry has one.
    async with asyncio.timeout(20):
        while await _kind_of_failure(executor, wanted) is not None:
            pass


async def _kind_of_failure(executor: NatsExecutor, wanted: Attempt) -> str | None:
    try:
        await executor.execute(wanted)
    except TaskFailedError as error:
        if error.kinds[0] != "no_answer":
            raise
        return error.kinds[0]
    return None


async def _ignore(_message: Any) -> None:
    """Say nothing."""
