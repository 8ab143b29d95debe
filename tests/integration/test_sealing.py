"""Sealed and signed namespaces on the real server: runs, rotations, and logs that were tampered with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from talka import Orchestrator, Task, Workflow, WorkflowBuilder, local
from talka_core.auditing import Anchors
from talka_protocols.errors import UnknownKeyError
from talka_protocols.states import ExecutionState
from talka_services.cli.records import Records
from talka_services.client.audits import audit
from talka_services.client.signatures import audit_archive, audit_signatures
from talka_services.client.verifying import verify_execution
from talka_services.embedded import EmbeddedServer
from talka_services.exports import Archive, export_execution, import_execution
from talka_services.gateway import GatewayOptions, serving
from talka_services.jetstream.api import call
from talka_services.jetstream.collector import collect
from talka_services.projection import JetStreamSource, Projector, open_view
from talka_services.projection.queries import anchors
from talka_services.sealing.keyring import Keyring, load_keyring, new_key, save_keyring
from talka_services.sealing.ports import SealedLog, bare
from talka_services.sealing.vault import VARIABLE, Vault
from talka_services.service import Node

WORD = "chickadee"
OPTIONS: dict[str, Any] = {
    "capacity": {"cpu_cores": 4.0, "memory_mb": 1000.0},
    "durability": "process",
    "snapshot_every": 10,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a file of keys, which the environment names; it is gone with the keys."""
    place = tmp_path_factory.mktemp("sealed")
    key = new_key()
    save_keyring(place / "keys.json", Keyring(key.id, (key,)), is_new=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(place / "keys.json"))
        yield place
        discard(place)


def discard(directory: Path) -> None:
    """Remove a directory whose server may be about to end, and removes files of its own meanwhile."""
    while directory.exists():
        with suppress(OSError):
            shutil.rmtree(directory)


def workflow() -> Workflow:
    """Return a workflow whose payloads, results, prints and large values all have the word."""
    large = f"printf '{WORD}%.0s' $(seq 9000)"
    return (
        WorkflowBuilder("sealed")
        .add_task(Task("says", "command", payload={"argv": ["echo", WORD]}))
        .add_task(Task("large", "command", payload={"shell": large}))
        .add_task(Task("again", "command", payload={"shell": "wc -c", "stdin": "${large.stdout}"}))
        .add_task(Task("hears", "command", payload={"argv": ["echo", "${says.stdout}"]}))
        .build()
    )


async def ran(talka: Orchestrator) -> str:
    """Run the workflow, and return the execution's id."""
    result = await talka.execute_workflow(workflow())
    assert result.status is ExecutionState.SUCCEEDED, result
    assert WORD in result.tasks["hears"].result["stdout"]
    return result.execution_id


def records(talka: Orchestrator) -> Records:
    """Return where the histories of a platform are."""
    ports = talka.node.ports
    return Records(ports.log, ports.blobs, ports.snapshots, ports.shards, "default")


async def found(talka: Orchestrator, noted: Anchors | None = None) -> list[tuple[str, int]]:
    """Return the kinds and positions of what the signatures do not bear out."""
    log = talka.node.ports.log
    assert isinstance(log, SealedLog)
    violations, signatures = await audit_signatures(log, "default", noted)
    assert signatures.signed
    return [(each.kind.value, each.where.position) for each in violations]


async def test_nothing_plain_is_stored_through_restart_rotation_export_and_import(place: Path) -> None:
    """Old keys stay readable when a new one is used; replay, export and import know no difference."""
    here, there, file = place / "here", place / "there", place / "one.talka"
    async with local(data_dir=here, **OPTIONS) as talka:
        first = await ran(talka)
    keys = place / "keys.json"
    save_keyring(keys, load_keyring(keys).with_key(new_key(), is_current=True))
    async with local(data_dir=here, **OPTIONS) as talka:
        second = await ran(talka)
        held = records(talka)
        for execution_id in (first, second):
            assert (await verify_execution(held, execution_id)).violations == ()
            stored = await bare(held.log).read(talka.histories.name(execution_id))
            assert not any(WORD.encode() in commit.body for commit in stored)
        assert await found(talka) == []
        assert await collect(talka.node.connection) == []
        await export_execution(
            first,
            file,
            log=held.log,
            blobs=held.blobs,
            snapshots=held.snapshots,
            namespace="default",
            shards=held.shards,
        )
    assert WORD.encode() not in file.read_bytes()
    for path in here.rglob("*"):
        assert not path.is_file() or WORD.encode() not in path.read_bytes(), path
    with Archive(file) as archive:
        assert await audit_archive(archive) == ([], (await audit_archive(archive))[1])
        async with local(data_dir=there, **OPTIONS) as talka:
            ports = talka.node.ports
            await import_execution(archive, log=ports.log, blobs=ports.blobs, shards=ports.shards)
            assert (await verify_execution(records(talka), first)).violations == ()
            assert await found(talka) == []
    with Archive(file, Vault()) as archive, pytest.raises(UnknownKeyError):
        await archive.histories.execution(first)


async def test_plain_logs_stay_readable_when_keys_come_later(place: Path) -> None:
    """What ran without keys is replayed and gone on with, and what follows is sealed."""
    directory = place / "late"
    named = os.environ.pop(VARIABLE)
    try:
        async with local(data_dir=directory, **OPTIONS) as talka:
            old = await ran(talka)
    finally:
        os.environ[VARIABLE] = named
    async with local(data_dir=directory, **OPTIONS) as talka:
        await ran(talka)
        assert (await verify_execution(records(talka), old)).violations == ()
        assert await found(talka) == []


async def noted_by_the_read_model(talka: Orchestrator, directory: Path) -> Anchors:
    """Let a read model note what the log holds now."""
    view = open_view(directory / "readmodel.sqlite")
    ports, source = talka.node.ports, JetStreamSource(talka.node.connection)
    try:
        await Projector(view, source, ports.log, ports.blobs).catch_up()
        return anchors(view)
    finally:
        view.close()


async def delete(talka: Orchestrator, position: int) -> None:
    """Remove a message from the stream of logs, as whoever may administer the server can."""
    stream = talka.node.connection.names.stream("log")
    await call(talka.node.connection, f"STREAM.MSG.DELETE.{stream}", {"seq": position, "no_erase": True})


async def test_removed_and_rewritten_messages_are_found(place: Path) -> None:
    """A message that is gone is named by the next one; one that was written by another hand, by itself."""
    directory = place / "removed"
    async with local(data_dir=directory, **OPTIONS) as talka:
        execution_id, other = await ran(talka), await ran(talka)
        log, name = talka.node.ports.log, talka.histories.name(execution_id)
        commits = list(await log.read(name))
        noted = await noted_by_the_read_model(talka, directory)
        assert await found(talka, noted) == []
        await delete(talka, commits[1].position)
        kinds = await found(talka, noted)
        assert ("removed", commits[2].position) in kinds
        assert ("removed", commits[1].position) in kinds
        foreign = list(await bare(log).read(talka.histories.name(other)))[-1]
        forged = await bare(log).append(name, commits[-1].position, foreign.body, "forged")
        assert ("changed", forged) in await found(talka, noted)
        assert [each.kind.value for each in (await audit(log)).violations][:1] == ["missing_events"]
        async with (
            serving(talka, GatewayOptions(port=0)) as address,
            httpx.AsyncClient(base_url=f"{address}/api/v1", timeout=20) as http,
        ):
            heard = (await http.get("/audit")).json()
            assert {"removed", "changed"} <= {each["kind"] for each in heard["violations"]}
            assert (heard["clean"], heard["signatures"]["unsigned"]) == (False, 0)
            unsigned = (await http.get("/audit", params={"signatures": "false"})).json()
            assert unsigned["signatures"] is None
            assert not {"removed", "changed"} & {each["kind"] for each in unsigned["violations"]}
    discard(directory)


async def test_a_log_that_was_cut_short_is_found_by_the_read_model(place: Path) -> None:
    """Its end is gone without a trace in the log itself."""
    directory = place / "cut"
    async with local(data_dir=directory, **OPTIONS) as talka:
        execution_id = await ran(talka)
        commits = list(await talka.node.ports.log.read(talka.histories.name(execution_id)))
        noted = await noted_by_the_read_model(talka, directory)
        await delete(talka, commits[-1].position)
        assert await found(talka) == []
        assert await found(talka, noted) == [("removed", commits[-1].position)]
        for database, seen in (("", []), (str(directory / "readmodel.sqlite"), [commits[-1].position])):
            async with (
                serving(talka, GatewayOptions(port=0, database=database)) as address,
                httpx.AsyncClient(base_url=f"{address}/api/v1", timeout=20) as http,
            ):
                heard = (await http.get("/audit")).json()
            removed = [each for each in heard["violations"] if each["kind"] == "removed"]
            assert [each["where"]["position"] for each in removed] == seen
            noted_in_it = sum(map(len, noted.values())) if database else 0
            assert heard["signatures"]["anchored"] == noted_in_it
    discard(directory)


async def test_a_gateway_says_that_its_read_model_is_of_another_log(place: Path) -> None:
    """An audit that cannot be compared with what was named for that is refused, and not shown as clean."""
    one, other = place / "one", place / "other"
    async with local(data_dir=other, **OPTIONS) as talka:
        await noted_by_the_read_model(talka, other)
    async with (
        local(data_dir=one, **OPTIONS) as talka,
        serving(talka, GatewayOptions(port=0, database=str(other / "readmodel.sqlite"))) as address,
        httpx.AsyncClient(base_url=f"{address}/api/v1", timeout=20) as http,
    ):
        answer = await http.get("/audit")
        assert answer.status_code == 400
        assert "another log" in answer.json()["detail"]
        assert (await http.get("/audit", params={"signatures": "false"})).json()["signatures"] is None


async def test_a_stream_that_was_sealed_with_a_lost_key_says_which(place: Path) -> None:
    """Without the key nothing is invented, and the error names the key."""
    directory = place / "lost"
    async with local(data_dir=directory, **OPTIONS) as talka:
        execution_id = await ran(talka)
    named = os.environ.pop(VARIABLE)
    try:
        async with (
            EmbeddedServer(directory, "process") as server,
            await Node.open(server.url) as node,
            Orchestrator(node) as talka,
        ):
            with pytest.raises(UnknownKeyError, match=load_keyring(Path(named)).current):
                await talka.histories.execution(execution_id)
    finally:
        os.environ[VARIABLE] = named
    discard(directory)
