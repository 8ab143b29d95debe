"""What a call reads, and how long it waits: for a server, for services, and until the gateway stops."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Struct
from starlette.datastructures import Headers, QueryParams

from talka_protocols.errors import RequestRefusedError, ServerUnavailableError, WorkflowInvalidError
from talka_protocols.workflow import Workflow
from talka_services.gateway import calls as module
from talka_services.gateway import definitions
from talka_services.gateway.calls import Call
from talka_services.gateway.definitions import Limits, read_workflow
from talka_services.gateway.executions import validate_workflow
from talka_services.gateway.problems import HttpError, problem_of
from talka_services.gateway.roles import Caller, Role


def call_of(query: str = "", path: dict[str, str] | None = None, key: str | None = None) -> Call:
    """Return a call of a request."""
    headers = {} if key is None else {"idempotency-key": key}
    app = SimpleNamespace(state=SimpleNamespace(closing=asyncio.Event()))
    request: Any = SimpleNamespace(
        headers=Headers(headers), query_params=QueryParams(query), path_params=path or {}, app=app
    )
    source: Any = SimpleNamespace(
        orchestrator=SimpleNamespace(histories=None),
        overview=None,
        recent=None,
        holdings=None,
        whole=None,
        database="",
        tell=None,
        readers=asyncio.Semaphore(1),
    )
    return Call(request, source, "pause_execution", Caller("token:ada", Role.OPERATOR))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.01)


async def refused() -> None:
    raise RequestRefusedError("It is over.", code="execution_over")


async def test_a_server_that_is_away_is_503_and_may_be_asked_again() -> None:
    with pytest.raises(ServerUnavailableError) as caught:
        await call_of().taken(asyncio.Event().wait())
    problem = problem_of(caught.value)
    assert (problem.status, problem.code) == (503, "server_unavailable")


async def test_a_request_that_nobody_takes_up_is_on_file() -> None:
    """202 where the answer can say so, 503 where it would have said what was recorded."""
    call = call_of()
    assert not await call.recorded(asyncio.Event().wait())
    assert call.status == 202
    with pytest.raises(HttpError) as caught:
        await call.answered(asyncio.Event().wait())
    assert (caught.value.status, caught.value.code) == (503, "no_service")
    with pytest.raises(RequestRefusedError):
        await call.recorded(refused())


async def test_waiting_for_an_end_stops_with_the_gateway() -> None:
    call = call_of()
    await call.within(0.0, asyncio.Event().wait())
    waiting = asyncio.create_task(call.within(60, asyncio.Event().wait()))
    await asyncio.sleep(0)
    call.request.app.state.closing.set()
    await asyncio.wait_for(waiting, 5)
    with pytest.raises(RequestRefusedError):
        await call.within(60, refused())


def test_a_key_names_a_request_on_its_path_only() -> None:
    """The same key elsewhere is another request, and without one each is new."""
    one = {"execution_id": "a", "task_id": "t"}
    assert call_of().request_id == ""
    assert call_of(path=one, key="k").request_id == call_of(path=one, key="k").request_id
    others = [call_of(path={**one, "task_id": "u"}, key="k"), call_of(path=one, key="l")]
    assert call_of(path=one, key="k").request_id not in [other.request_id for other in others]
    for key in ("", "x" * 256):
        with pytest.raises(HttpError, match="255"):
            _ = call_of(key=key).key


class Asked(Struct, frozen=True, kw_only=True, rename={"first": "from"}):
    """Some parameters."""

    first: int = 1
    many: tuple[str, ...] = ()
    whether: bool = False


def test_parameters_are_read_by_their_types() -> None:
    found = call_of("from=3&many=a&many=b&whether=true").read_query(Asked)
    assert found == Asked(first=3, many=("a", "b"), whether=True)
    for query in ("first=1", "from=x", "whether=perhaps"):
        with pytest.raises(HttpError) as caught:
            call_of(query).read_query(Asked)
        assert (caught.value.status, caught.value.code) == (400, "bad_parameter")


async def test_others_are_served_while_a_large_definition_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in a thread, one after the other; what is wrong with it is said as ever."""
    may_read, has_begun, reading = threading.Event(), asyncio.Event(), list[int]()
    tell = asyncio.get_running_loop().call_soon_threadsafe

    def read(body: bytes, limits: Limits) -> Workflow:
        reading.append(len(reading))
        tell(has_begun.set)
        assert may_read.wait(30)
        return read_workflow(body, limits)

    monkeypatch.setattr(definitions, "read_workflow", read)
    body = b'{"talka": 1, "name": "large", "tasks": [{"id": "a"}]' + b" " * 100_000 + b"}"
    asked = [asyncio.create_task(validate_workflow(call, Limits(), body)) for call in [call_of()] * 2]
    await has_begun.wait()
    assert reading == [0]
    may_read.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert reading == [0, 1]
    assert [error.code for error in found if isinstance(error, WorkflowInvalidError)] == ["missing_field"] * 2
