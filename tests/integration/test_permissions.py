"""Every service under a user of its own: it can do its work, and nothing else."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Raw
from tests.integration.beginnings import first_events
from tests.integration.permitted import PermittedServer

from talka_core.builder import WorkflowBuilder
from talka_protocols.errors import CredentialsRefusedError, NotPermittedError
from talka_protocols.events import WorkerJoined, WorkerLost
from talka_protocols.messages import AttemptFinished, Outcome, Recipient, sealed
from talka_protocols.permissions import PLANNING, Service, User
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import POOL, LogName, Names, shard_of
from talka_protocols.workflow import Task
from talka_services.client import Orchestrator, connect
from talka_services.executors.registry import Executors, ExecutorSettings
from talka_services.gateway import GatewayOptions, serving
from talka_services.jetstream.access import Access
from talka_services.jetstream.api import EXPECTED_LAST, call, last_message
from talka_services.jetstream.connection import Connection, Message, is_forbidden
from talka_services.jetstream.connection import connect as connect_to
from talka_services.jetstream.feed import Feed
from talka_services.jetstream.inspection import inspect
from talka_services.jetstream.rights import NEVER
from talka_services.projection import shortening
from talka_services.service import Node
from talka_services.service.worker import WorkerOptions
from talka_services.witness.obituary import REASON

QUICK = """
talka: 1
name: quick
tasks:
  - {id: one, agent_type: command, payload: {argv: [echo, one]}}
"""
LARGE = "head -c 100000 /dev/zero | tr '\\0' x"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PermittedServer]:
    """A server with two tenants, whose users differ by what they may do."""
    server = PermittedServer(tmp_path_factory.mktemp("permitted"), ("one", "two"))
    server.start()
    yield server
    server.stop()


@asynccontextmanager
async def platform(server: PermittedServer, namespace: str = "one") -> AsyncGenerator[Orchestrator]:
    """Run each service as its own user, and be a client."""
    async with AsyncExitStack() as stack:

        async def opened(user: str) -> Node:
            node = await Node.open(server.url, namespace=namespace, access=server.access(namespace, user))
            return await stack.enter_async_context(node)

        (await opened("planner")).own(PLANNING)
        (await opened("scheduler")).own((Recipient.SCHEDULER,))
        (await opened("resource")).own((Recipient.RESOURCE,))
        executors = Executors(ExecutorSettings(allow_commands=("*",)))
        worker = await opened("worker-w1")
        await worker.add_worker(WorkerOptions(worker_id="w1", capacity={"cpu_cores": 4.0}), executors)
        access = server.access(namespace, "client")
        yield await stack.enter_async_context(await connect(server.url, namespace=namespace, access=access))


def shell(task_id: str, script: str, *needs: str) -> Task:
    """Return a task that runs a shell."""
    argv = ["/bin/sh", "-c", script]
    return Task(id=task_id, name=task_id, agent_type="command", payload={"argv": argv}, dependencies=needs)


async def test_the_whole_platform_works_with_the_least_rights(server: PermittedServer) -> None:
    """Over TLS, to the end of a workflow with large results, and nothing was refused to anybody."""
    server.violations()
    async with asyncio.timeout(60), platform(server) as client:
        workflow = (
            WorkflowBuilder("least")
            .add_task(shell("large", LARGE))
            .add_task(shell("then", "echo ok", "large"))
        )
        result = await client.execute_workflow(workflow.build())
        assert result.status is ExecutionState.SUCCEEDED, result
    assert server.violations() == []


FORBIDDEN = {
    "worker-w1": (
        "talka.one.log.execution.0.some",
        "talka.one.log.pool.-.default",
        "talka.one.log.worker.-.w2",
        "talka.one.snapshot.pool.-.default",
        "talka.one.inbox.scheduler.0.worker.w2",
        "talka.one.inbox.scheduler.0.resource",
        "talka.one.inbox.worker.w2.scheduler",
        "talka.one.request.scheduler.0",
        "talka.one.live.heartbeat.default.w2",
        "$KV.talka_one_leases.lease.scheduler.0",
        "$KV.talka_one_settings.namespace",
        "$JS.API.STREAM.PURGE.talka_one_inbox",
        "$JS.API.STREAM.PURGE.talka_one_log",
        "$JS.API.STREAM.DELETE.talka_one_log",
        "$JS.API.STREAM.UPDATE.talka_one_log",
        "$JS.API.STREAM.MSG.DELETE.talka_one_log",
        "$JS.API.CONSUMER.CREATE.talka_one_inbox.mine.talka.one.inbox.worker.w2.>",
        "$JS.API.CONSUMER.DELETE.talka_one_inbox.worker_w2=0",
        "$JS.API.CONSUMER.NAMES.talka_one_inbox",
        "$JS.API.DIRECT.GET.OBJ_talka_one_objects",
        "$JS.ACK.talka_one_inbox.worker_w2=0.1.1.1.1.1",
    ),
    "client": (
        "talka.one.log.execution.0.some",
        "talka.one.inbox.scheduler.0.worker.w1",
        "talka.one.inbox.scheduler.0.client",
        "talka.one.inbox.worker.w1.scheduler",
        "talka.one.inbox.resource.default.scheduler",
        "$JS.API.STREAM.PURGE.talka_one_request",
        "$JS.API.CONSUMER.CREATE.talka_one_inbox.mine.talka.one.inbox.>",
        "$KV.talka_one_leases.lease.scheduler.0",
    ),
    "projector": ("talka.one.log.execution.0.some", "talka.one.request.scheduler.0"),
    "gateway": ("talka.one.log.execution.0.some", "talka.one.inbox.scheduler.0.worker.w1"),
    "scheduler": (
        "talka.one.log.pool.-.default",
        "talka.one.log.plan.0.some",
        "talka.one.inbox.scheduler.0.worker.w1",
        "talka.one.inbox.scheduler.0.resource",
        "$JS.API.STREAM.DELETE.talka_one_log",
        "$JS.API.STREAM.PURGE.talka_one_log",
    ),
    "resource": ("talka.one.log.execution.0.some", "talka.one.inbox.worker.w1.scheduler"),
    "planner": ("talka.one.log.execution.0.some", "talka.one.inbox.worker.w1.scheduler"),
    "admin": (
        "talka.two.log.execution.0.some",
        "$JS.API.STREAM.MSG.GET.talka_two_log",
        "$JS.API.STREAM.INFO.talka_two_log",
        "$JS.API.CONSUMER.CREATE.talka_two_log.mine.talka.two.log.>",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$KV.talka_two_settings.namespace",
    ),
}


@pytest.fixture(scope="module")
def begun(server: PermittedServer) -> None:
    """The streams of both tenants exist."""

    async def begin() -> None:
        for namespace in ("one", "two"):
            access = server.access(namespace, "admin")
            await (await Node.open(server.url, namespace=namespace, access=access)).close()

    asyncio.run(begin())


@pytest.mark.parametrize("user", FORBIDDEN)
async def test_what_is_not_its_own_is_refused(server: PermittedServer, begun: None, user: str) -> None:
    """Each subject by itself, at once and by name; what is the user's own is answered."""
    connection = await server.connect("one", user)
    try:
        for subject in FORBIDDEN[user]:
            answer = await connection.request(subject, b"{}", {EXPECTED_LAST: NEVER}, wait_s=10)
            assert is_forbidden(answer), subject
        assert connection.forbidden == {subject.lower() for subject in FORBIDDEN[user]}
        own = await connection.request("$JS.API.STREAM.INFO.talka_one_log")
        assert not is_forbidden(own)
    finally:
        await connection.close()


@pytest.mark.parametrize("user", list(Service))
async def test_answers_to_others_are_not_overheard(
    server: PermittedServer, begun: None, user: Service
) -> None:
    """Nor is anything of another tenant: a subscription to it is refused."""
    name = "worker-w1" if user is Service.WORKER else user.value
    connection = await server.connect("one", name)
    refused = ("_INBOX.>", ">", "talka.two.>", "$JS.ACK.>", "$KV.>")

    async def heard(message: Message) -> None:
        raise AssertionError(message.subject)

    try:
        for subject in refused:
            await connection.wire.subscribe(subject, cb=heard)
        await connection.request("$JS.API.STREAM.INFO.talka_one_log")
        assert connection.forbidden == {subject.lower() for subject in refused}
    finally:
        await connection.close()


async def test_nothing_is_delivered_to_what_is_anothers(server: PermittedServer, begun: None) -> None:
    """A consumer may name any subject for what it delivers, and the server asks nobody whether it may.

    It delivers only where somebody has subscribed to just that subject, which nobody does to one of a stream.
    """
    names, worker = Names("one"), await server.connect("one", "worker-w1")
    admin = await server.connect("one", "admin")
    stream, chunk = names.objects_stream(), names.object_chunks("forged")
    targets = {
        names.stream("log"): names.log(LogName("execution", "0", "forged")),
        names.stream("inbox"): names.spoken(names.inbox("scheduler", "99"), "resource"),
        names.kv_stream("leases"): names.lease("scheduler.99"),
    }
    feed = Feed(worker, stream, chunk, 0)
    try:
        assert b"error" not in (await worker.request(chunk, b"{}")).data
        for name, target in targets.items():
            config = {"name": name, "deliver_subject": target, "filter_subject": chunk, "mem_storage": True}
            request = {"stream_name": stream, "config": {**config, "ack_policy": "none"}}
            await call(worker, f"CONSUMER.CREATE.{stream}.{name}.{chunk}", request)
        async with asyncio.timeout(30):
            while not await feed.next():
                pass
        for where, target in targets.items():
            assert await last_message(admin, where, target) is None, target
    finally:
        await feed.close()
        await worker.close()
        await admin.close()


COMMANDS = (
    ("client", "list"),
    ("client", "status {id}"),
    ("client", "events {id}"),
    ("client", "logs {id}"),
    ("client", "explain {id} one"),
    ("client", "replay {id} --verify"),
    ("client", "export {id} -o @run.talka"),
    ("client", "schedule set often @quick.yaml --cron 0+3+1+1+*"),
    ("client", "schedule run often"),
    ("client", "schedule remove often"),
    ("client", "trigger create orders --on order.placed --start @quick.yaml"),
    ("client", "publish order.placed"),
    ("client", "trigger delete orders"),
    ("client", "pool scale --min 0 --max 3"),
    ("client", "pools"),
    ("client", "workers"),
    ("client", "usage {id}"),
    ("client", "audit"),
    ("client", "reserve list"),
    ("gateway", "alerts list"),
    ("projector", "projection rebuild --database @model.sqlite"),
    ("archiver", "archive {id} --to @archive"),
    ("client", "status {id}"),
    ("admin", "backup @copy"),
    ("admin", "doctor"),
)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_commands_and_gateway_need_no_more_rights(
    server: PermittedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a client, a gateway, a projector and an operator do, nothing is refused to them."""
    # So that a model is shortened, too.
    monkeypatch.setattr(shortening, "EVERY", 1)
    server.violations()
    (tmp_path / "quick.yaml").write_text(QUICK)
    async with asyncio.timeout(250), platform(server) as client:
        access = server.access("one", "gateway")
        options = GatewayOptions(port=0)
        async with (
            await connect(server.url, namespace="one", access=access) as inner,
            serving(inner, options) as address,
            httpx.AsyncClient(base_url=f"{address}/api/v1", timeout=20) as http,
        ):
            execution_id = await client.submit_workflow(
                WorkflowBuilder("w").add_task(shell("one", "echo 1")).build()
            )
            await client.wait(execution_id)
            for user, words in COMMANDS:
                code, said = await server.command(user, words.format(id=execution_id), tmp_path)
                assert code == 0, (words, said)
                assert server.violations() == [], words
            for path in ("/executions", f"/executions/{execution_id}", "/alerts", "/workers", "/audit"):
                assert (await http.get(path)).status_code == 200, path
            await http.post("/alerts/1/acknowledge")
            allocation = await client.resources.allocate_resources(shell("held", "true"))
            await client.resources.release_resources(allocation)
    assert server.violations() == []


async def test_a_stranger_is_told_once(server: PermittedServer) -> None:
    """The command tries for a while, and says at last that it is not known, and nothing else."""
    words = ["list", "--server", server.url, "--nats-ca", str(server.ca), "--namespace", "one"]
    command = await asyncio.create_subprocess_exec(sys.executable, "-m", "talka", *words, stderr=PIPE)
    _, said = await command.communicate()
    assert command.returncode == 3
    (line,) = said.decode().splitlines()
    assert "refused who we say we are" in line
    server.violations()


async def test_no_stranger_waits_for_ever(server: PermittedServer) -> None:
    """Whenever the server ends a connection, be it while TLS begins, whoever opened it is told so in time."""
    strangers = (connect_to(server.url, "stranger", Names("one"), Access(ca=server.ca)) for _ in range(40))
    async with asyncio.timeout(60):
        ended = await asyncio.gather(*strangers, return_exceptions=True)
    assert {type(each) for each in ended} == {CredentialsRefusedError}
    server.violations()


async def of_worker(client: Orchestrator, kind: type[Any], worker_id: str) -> Any:
    """Return what the pool says of a worker as soon as it says it."""
    found: list[Any] = []
    while not any(event.worker_id == worker_id for event in found):
        found = await first_events(client, LogName(POOL, "-", "default"), kind, len(found) + 1)
    return found[-1]


async def test_a_worker_with_a_key_has_its_end_told(server: PermittedServer) -> None:
    """Its witness connects as the worker did, over TLS, and nobody waits for its silence to last."""
    server.violations()
    async with asyncio.timeout(60), platform(server) as client:
        access = server.access("one", "worker-w2")
        shown = ["--nats-nkey", str(access.nkey), "--nats-ca", str(access.ca), "--namespace", "one"]
        words = ["service", "worker", "--worker-id", "w2", "--server", server.url, *shown]
        worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "talka", *words)
        try:
            await of_worker(client, WorkerJoined, "w2")
        finally:
            worker.kill()
            await worker.wait()
        assert (await of_worker(client, WorkerLost, "w2")).reason == REASON
    assert server.violations() == []


async def test_a_client_cannot_speak_as_a_worker_or_a_pool(server: PermittedServer) -> None:
    """On its own subjects it may publish what it likes: what is not a client's to say changes nothing."""
    server.violations()
    async with asyncio.timeout(60), platform(server) as client:
        workflow = WorkflowBuilder("forged").add_task(shell("waits", "sleep 1; echo true"))
        execution_id = await client.submit_workflow(workflow.build())
        async for status in client.watch(execution_id):
            if "waits" in status.running:
                break
        forged = AttemptFinished(execution_id, "waits", 1, "w1", 1, 2, Outcome.SUCCEEDED, Raw(b'"forged"'))
        ports = client.node.ports
        subject = ports.names.requests("scheduler", shard_of(execution_id, ports.shards))
        await ports.post.send([(subject, sealed("worker.w1", forged, letter_id="forged", epoch=10**9))])
        result = await client.wait(execution_id)
        assert result.status is ExecutionState.SUCCEEDED
        assert result.tasks["waits"].result["stdout"] == "true\n"
    assert server.violations() == []


async def test_a_user_of_one_tenant_cannot_begin_another(server: PermittedServer, begun: None) -> None:
    """It is told at once that it may not, and what to do about it."""
    with pytest.raises(NotPermittedError, match="nats-permissions"):
        await connect(server.url, namespace="two", access=server.access("one", "client"))


@pytest.mark.parametrize("service", list(Service))
async def test_the_doctor_knows_what_a_service_may(
    server: PermittedServer, begun: None, service: Service
) -> None:
    """With its own key nothing is missing, with a projector's something is; and nothing is done."""
    user = User(service, "w1") if service is Service.WORKER else User(service)
    connection = await server.connect("one", user.name)
    other = await server.connect("one", "projector")
    before = await _contents(connection)
    try:
        assert (await inspect(connection, None, user)).refused == ()
        refused = (await inspect(other, None, user)).refused
        assert bool(refused) is (service is not Service.PROJECTOR)
        assert await _contents(connection) == before
    finally:
        await connection.close()
        await other.close()


async def _contents(connection: Connection) -> dict[str, int]:
    """Return how many messages each stream has."""
    return {
        stream: (await call(connection, f"STREAM.INFO.{stream}")).state.messages
        for stream in connection.names.streams()
    }
