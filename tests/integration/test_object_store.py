"""Archives on a server that speaks S3: what goes there comes back, and what cannot go stays as it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import obstore
import pytest
import pytest_asyncio
from obstore.store import from_url
from tests.conftest import NatsServer
from tests.integration.archiving import LATER_MS, archivist, check_archived, over, platform, waits
from tests.integration.objects import ObjectServer

from talka import Orchestrator
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import Names
from talka_services.archives import Retention, depot_of, opened, place_of, retain
from talka_services.archives.depots import DepotError, TakenError
from talka_services.archives.objects import Objects
from talka_services.exports import Archive, import_execution

pytestmark = pytest.mark.xdist_group("objects")


class CrashError(Exception):
    """The process dies here."""


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    """A server that is there while the tests of this file run."""
    server = ObjectServer()
    yield server
    server.stop()


@pytest.fixture
def objects(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """The same, with its address and its user's key in the environment."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def place(objects: ObjectServer, names: Names) -> str:
    """A prefix in a bucket of this test's own."""
    objects.make_bucket(names.namespace)
    return f"s3://{names.namespace}/kept"


@pytest_asyncio.fixture
async def talka(nats_server: NatsServer, names: Names) -> AsyncIterator[Orchestrator]:
    """A platform in one process."""
    async with platform(nats_server, names) as orchestrator:
        yield orchestrator


async def ended(talka: Orchestrator) -> str:
    """Return the id of an execution that is over."""
    execution_id = await talka.submit_workflow(waits("w", count=3))
    await over(talka, execution_id)
    return execution_id


async def test_what_went_there_is_read_and_comes_back(
    talka: Orchestrator, place: str, tmp_path: Path
) -> None:
    """Executions lie in the bucket, shared logs are pruned, and an import brings one back."""
    executions = {await ended(talka), await ended(talka)}
    outcome = await archivist(talka, place).run(LATER_MS)
    assert {each.execution_id for each in outcome.archived} == executions
    assert not outcome.failed
    assert any(each.events for each in outcome.pruned)
    for each in outcome.archived:
        assert each.place.startswith(f"{place}/{each.execution_id}.")
        await check_archived(talka, each.execution_id, 3)
    assert not (await archivist(talka, place).run(LATER_MS)).planned

    back, ports = outcome.archived[0], talka.node.ports
    file = await depot_of(place).get(back.place.rpartition("/")[2], tmp_path)
    assert file.stat().st_size == back.bytes
    with Archive(file) as archive:
        await import_execution(archive, log=ports.log, blobs=ports.blobs, shards=ports.shards)
    await talka.restart(back.execution_id, from_task="t2")
    async for state in talka.histories.follow(back.execution_id):
        if state.tasks["t2"].attempt == 2 and state.status is ExecutionState.SUCCEEDED:
            break
    await over(talka, back.execution_id)
    (again,) = (await archivist(talka, place).run(LATER_MS)).archived
    assert again.execution_id == back.execution_id
    assert again.place != back.place
    await check_archived(talka, back.execution_id, 3)


async def test_an_object_of_a_run_that_died_is_used(talka: Orchestrator, place: str) -> None:
    """The store refuses a second object of a name; the first is read, compared and recorded."""
    execution_id = await ended(talka)

    def crash(step: str) -> None:
        if step == "record":
            raise CrashError(step)

    with pytest.raises(CrashError):
        await archivist(talka, place, crash).run(LATER_MS)
    assert not (await talka.get_execution_status(execution_id)).archived
    (archived,) = (await archivist(talka, place).run(LATER_MS)).archived
    assert archived.execution_id == execution_id
    await check_archived(talka, execution_id, 3)


async def test_no_object_is_written_over(talka: Orchestrator, place: str, tmp_path: Path) -> None:
    """Where somebody else's object has the name, it stays, and so does the execution."""
    execution_id = await ended(talka)
    version = (await talka.get_execution_status(execution_id)).version
    name = f"{execution_id}.{version}.talka.sqlite"
    obstore.put(from_url(place), name, b"somebody's")
    assert execution_id in (await archivist(talka, place).run(LATER_MS)).failed
    await check_untouched(talka, execution_id)
    there = await depot_of(place).get(name, tmp_path)
    assert there.read_bytes() == b"somebody's"
    with pytest.raises(TakenError, match=name):
        await depot_of(place).put(name, there)


async def check_untouched(talka: Orchestrator, execution_id: str) -> None:
    """Hold an execution to being wholly on the server."""
    status = await talka.get_execution_status(execution_id)
    assert not status.archived
    assert len(await talka.histories.commits(talka.histories.name(execution_id))) > 1


FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "bucket": ({}, r"NoSuchBucket.*Make the bucket first"),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, r"InvalidAccessKeyId.*Check the credentials"),
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"SignatureDoesNotMatch.*Check the credentials"),
    "no TLS": ({"AWS_ALLOW_HTTP": "false"}, r"AWS_ALLOW_HTTP=true"),
    "away": ({"AWS_ENDPOINT": "http://127.0.0.1:9"}, r"error sending request.*the network"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_goes_that_the_store_does_not_take(
    talka: Orchestrator, place: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said what is wrong and what to do; the execution stays, holds up pruning, and goes later."""
    execution_id = await ended(talka)
    environment, said = FAULTS[fault]
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        outcome = await archivist(talka, "s3://no-such/kept" if fault == "bucket" else place).run(LATER_MS)
    assert not outcome.archived
    assert execution_id in {each.held_by for each in outcome.pruned}
    (reason,) = outcome.failed.values()
    assert execution_id in reason
    assert re.search(said, reason), reason
    await check_untouched(talka, execution_id)
    (archived,) = (await archivist(talka, place).run(LATER_MS)).archived
    assert archived.execution_id == execution_id


async def test_what_cannot_be_read_back_is_said(
    talka: Orchestrator, objects: ObjectServer, place: str
) -> None:
    """The server is away, the object is another, or gone; how the execution ended is known still."""
    execution_id = await ended(talka)
    (archived,) = (await archivist(talka, place).run(LATER_MS)).archived
    where = await place_of(talka.node.ports.log, talka.histories.name(execution_id))
    assert where is not None
    name = archived.place.rpartition("/")[2]

    async def read() -> None:
        async with opened(where.place, where.sha256):
            pass

    objects.stop()
    try:
        with pytest.raises(DepotError, match="Check the bucket, the credentials and the network"):
            await read()
        assert (await talka.get_execution_status(execution_id)).status is ExecutionState.SUCCEEDED
    finally:
        objects.start()
    await read()
    obstore.put(from_url(place), name, b"another")
    with pytest.raises(DepotError, match="digest differs"):
        await read()
    obstore.delete(from_url(place), name)
    with pytest.raises(DepotError, match=r"NoSuchKey.*moved or removed"):
        await read()


async def test_what_archives_by_itself_waits_for_its_bucket(
    talka: Orchestrator, objects: ObjectServer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that is made later is used at the next look."""
    refused, put = asyncio.Event(), Objects.put

    async def watched(depot: Objects, name: str, file: Path) -> None:
        try:
            await put(depot, name, file)
        except Exception:
            refused.set()
            raise

    monkeypatch.setattr(Objects, "put", watched)
    execution_id = await ended(talka)
    retention = Retention(f"s3://{names.namespace}-late/kept", after_s=0.0, every_s=0.1)
    node = talka.node
    task = asyncio.create_task(retain(node.connection, node.ports, retention, "test"))
    try:
        await refused.wait()
        objects.make_bucket(f"{names.namespace}-late")
        while not (await talka.get_execution_status(execution_id)).archived:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.1)
    finally:
        task.cancel()
        await asyncio.wait([task])
