"""Submitting workflows and following them; everything else the platform does by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from talka_core.inputs import check_bound
from talka_core.status import inventory_of
from talka_protocols.errors import CallerError
from talka_protocols.events import Event, ScheduleSet
from talka_protocols.messages import (
    Advance,
    CancelExecution,
    Recipient,
    SchedulerMessage,
    SubmitWorkflow,
)
from talka_protocols.results import ExecutionStatus, TaskResult, WorkflowResult
from talka_protocols.schedules import Schedule, ScheduleStatus
from talka_protocols.subjects import is_token
from talka_protocols.triggers import Trigger, TriggerStatus
from talka_protocols.workflow import Dependency, ResourceInventory, Task, Workflow
from talka_services.client.answering import Answering
from talka_services.client.ceilings import Ceilings
from talka_services.client.control import Controls
from talka_services.client.explaining import Explaining
from talka_services.client.following import Following
from talka_services.client.forking import beginning, copy_objects, stored
from talka_services.client.histories import Histories
from talka_services.client.publishing import SOURCE, PublishedEvent, event_of, publish
from talka_services.client.recalling import Recalling
from talka_services.client.requests import Requests, request_id_of
from talka_services.client.resources import ResourceManager
from talka_services.client.schedules import Schedules, put_schedule
from talka_services.client.triggers import Triggers
from talka_services.jetstream.access import Access
from talka_services.service.node import Node

if TYPE_CHECKING:
    from talka_services.exports import Archive

REMEMBERED = 100_000
"""How many of the ids that it submitted a client knows as its own."""


class Orchestrator(Controls, Following, Answering, Explaining, Recalling):
    """A client of one namespace.

    ``ceiling`` and ``agent_types`` are what the workers are known to offer;
    without them, what the workflow's pool was declared to offer counts. A
    workflow that asks for more is refused before anything is stored.
    ``strategies`` are those of pools that only this process declares.
    """

    def __init__(
        self,
        node: Node,
        *,
        ceiling: Mapping[str, float] | None = None,
        agent_types: frozenset[str] | None = None,
        strategies: Mapping[str, str] | None = None,
    ) -> None:
        self.node = node
        self._ports = node.ports
        self.blobs = node.ports.blobs
        client_id = f"client-{uuid4().hex[:12]}"
        self.submitted: dict[str, None] = {}
        self.histories = Histories(node.ports.log, node.ports.blobs, node.ports.shards, node.ports.snapshots)
        self._ceilings = Ceilings(self.histories, ceiling, agent_types, strategies)
        self.resources = ResourceManager(node, self.histories, client_id)
        self._requests = Requests(node.ports, self.histories, client_id)
        self.schedules = Schedules(self._requests, self.histories)
        self.triggers = Triggers(self._requests, self.histories, node.connection)

    # --- running -------------------------------------------------------------------------------

    async def execute_workflow(self, workflow: Workflow) -> WorkflowResult:
        """Run a workflow to its end and return every task's result.

        Raises:
            WorkflowInvalidError: it cannot run; nothing was stored.
        """
        return await self.wait(await self.submit_workflow(workflow))

    async def execute_parallel(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Run independent tasks and return their results in the order given; a failure is a result.

        Raises:
            WorkflowInvalidError: a task is invalid, or depends on another.
        """
        workflow = _workflow_of("parallel", tasks, ())
        result = await self.execute_workflow(workflow)
        return [result.tasks[task.id] for task in tasks]

    async def execute_sequential(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Run tasks one after the other; after the first that fails the rest are skipped.

        Raises:
            WorkflowInvalidError: a task is invalid.
        """
        edges = [Dependency(a.id, b.id) for a, b in pairwise(tasks)]
        result = await self.execute_workflow(_workflow_of("sequential", tasks, edges))
        return [result.tasks[task.id] for task in tasks]

    async def submit_workflow(
        self,
        workflow: Workflow,
        *,
        execution_id: str | None = None,
        key: str | None = None,
        at: float | None = None,
        improve_s: float = 0.0,
    ) -> str:
        """Hand a workflow over and return its execution id as soon as the request is on file.

        With ``key`` the id is derived from namespace and key, so the same key
        never starts a second execution. With ``at`` (Unix seconds) it starts
        then, by a schedule named ``at-`` and the execution's id. For ``improve_s``
        seconds of CPU time the planner's process looks for a shorter schedule
        while it runs, and again after it has left its schedule.

        Raises:
            WorkflowInvalidError: it cannot run; nothing was stored.
            ScheduleInvalidError: ``at`` has passed.
            CallerError: the execution id cannot be used.
        """
        checked = await self._ceilings.check(check_bound(workflow))
        chosen = execution_id or self._new_id(key)
        if not is_token(chosen):
            raise CallerError(
                f"The execution id {chosen!r} cannot be used.",
                hint="Use letters, digits, '-' and '_', at most 128 of them.",
            )
        submission = replace(await self._submission(chosen, checked), improve_s=improve_s)
        if at is None:
            await self._requests.send(Recipient.PLANNER, submission)
        else:
            request = put_schedule(f"at-{chosen}", submission, Schedule(at=at), self._ports.clock, chosen)
            await self._requests.send(Recipient.STARTER, request)
        self._remember(chosen)
        return chosen

    async def debounce_workflow(
        self, workflow: Workflow, key: str, quiet_seconds: float, *, max_wait_seconds: float | None = None
    ) -> str:
        """Start one execution for a burst of calls with the same key, and return its id, the same for all.

        It starts with the workflow of the last call when there was none for
        ``quiet_seconds``, or ``max_wait_seconds`` after the first.

        Raises:
            WorkflowInvalidError: it cannot run; nothing was stored.
            ScheduleInvalidError: a time makes no sense.
        """
        schedule = Schedule(quiet_seconds=quiet_seconds, max_wait_seconds=max_wait_seconds)
        recorded = await self._put(f"debounce-{self._new_id(key)}", workflow, schedule)
        self._remember(recorded.execution_id)
        return recorded.execution_id

    async def set_schedule(
        self, name: str, workflow: Workflow, schedule: Schedule, *, request_id: str = ""
    ) -> ScheduleStatus:
        """Let a workflow start by itself, in place of what was set under this name before.

        ``schedules`` has everything else that can be done with it. The same ``request_id`` is heard once.

        Raises:
            WorkflowInvalidError: it cannot run; nothing was stored.
            ScheduleInvalidError: the schedule makes no sense, or would never start anything.
        """
        await self._put(name, workflow, schedule, request_id)
        return await self.schedules.get(name)

    async def create_trigger(
        self, name: str, trigger: Trigger, workflow: Workflow | None = None, *, request_id: str = ""
    ) -> TriggerStatus:
        """Let events start a workflow, whose inputs the trigger gives, or signal an execution.

        It takes up what is published after this returns. ``triggers`` has
        everything else that can be done with it. The same ``request_id`` is heard once.

        Raises:
            TriggerInvalidError: the trigger makes no sense, an expression does not compile, or an input
                is unknown or missing.
            WorkflowInvalidError: the workflow cannot run.
            RequestRefusedError: there is a trigger of this name already.
        """
        if workflow is None:
            return await self.triggers.create(name, trigger, request_id=request_id)
        submission = await self._submission(name, await self._ceilings.check(workflow))
        return await self.triggers.create(name, trigger, submission, request_id=request_id)

    async def publish(
        self,
        kind: str,
        data: Any = None,
        *,
        source: str = SOURCE,
        event_id: str = "",
        subject: str = "",
        time: str = "",
        extensions: Mapping[str, Any] | None = None,
    ) -> PublishedEvent:
        """Publish a CloudEvent of type ``kind`` for triggers to take up, and return it as it is on file.

        The same ``source`` and ``event_id`` lead to one execution or signal for
        each trigger, however often they are published. Without an id the event is a new one.

        Raises:
            EventInvalidError: it cannot be an event, or is too large; nothing was published.
            ServerUnavailableError: the server does not take it; publishing it again is safe under an id.
        """
        event = event_of(
            kind, data, source=source, event_id=event_id, subject=subject, time=time, extensions=extensions
        )
        return await publish(self.node.connection, event)

    async def fork(
        self, execution_id: str, at: int, *, key: str | None = None, archive: Archive | None = None
    ) -> str:
        """Start a new execution from an event of another one, here or in an exported file; return its id.

        What had ended by itself at the event keeps its recorded result and is
        not run; the rest runs anew, under the new execution's id. ``key`` is as
        for ``submit_workflow``.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: there is no such event, or it cannot be forked there.
            WorkflowInvalidError: nobody here can run it.
        """
        found = self.histories if archive is None else archive.histories
        workflow, origin = await beginning(found, execution_id, at)
        checked = await self._ceilings.check(check_bound(workflow))
        if archive is not None:
            await copy_objects(origin.tasks, archive.blobs, self._ports.blobs)
        chosen = self._new_id(key)
        submission = await self._submission(chosen, checked)
        origin = await stored(origin, self._ports.blobs, self._ports.max_bytes // 4)
        await self._requests.send(Recipient.PLANNER, replace(submission, origin=origin))
        self._remember(chosen)
        return chosen

    async def _put(
        self, name: str, workflow: Workflow, schedule: Schedule, request_id: str = ""
    ) -> ScheduleSet:
        submission = await self._submission(name, await self._ceilings.check(workflow))
        request = put_schedule(name, submission, schedule, self._ports.clock, request_id=request_id)
        return await self.schedules.put(request)

    def _remember(self, execution_id: str) -> None:
        self.submitted[execution_id] = None
        if len(self.submitted) > REMEMBERED:
            del self.submitted[next(iter(self.submitted))]

    def _new_id(self, key: str | None) -> str:
        if key is None:
            return uuid4().hex[:16]
        named = f"{self._ports.names.namespace}\0{key}".encode()
        return hashlib.blake2b(named, digest_size=10).hexdigest()

    async def _submission(self, execution_id: str, workflow: Workflow) -> SubmitWorkflow:
        encoded = msgspec.json.encode(workflow)
        is_small = len(encoded) <= self._ports.max_bytes // 4
        definition = None if is_small else await self._ports.blobs.put(encoded)
        capacity = await self._ceilings.capacity_for(workflow)
        return SubmitWorkflow(execution_id, workflow, definition, capacity=capacity)

    # --- telling it something --------------------------------------------------------------------

    async def cancel_execution(
        self, execution_id: str, reason: str = "", *, is_forced: bool = False, request_id: str = ""
    ) -> bool:
        """Ask an execution to stop; return whether it was still running when the request was recorded.

        One that has only just been submitted is cancelled as soon as it has begun. If it ``is_forced``,
        what runs is killed at once instead of asked to end; so is what an earlier request left running.
        The same ``request_id`` is heard once, also after the execution was restarted.

        Raises:
            UnknownExecutionError: this client did not submit it, and for five seconds nobody knew it.
        """
        await self.until_begun(execution_id)
        if request_id and request_id in (await self.histories.execution(execution_id)).requests:
            await self._requests.answered(self.histories.name(execution_id), request_id)
            return True
        request = CancelExecution(execution_id, reason, is_forced=is_forced, request_id=request_id)
        await self._requests.send(Recipient.SCHEDULER, request)
        async with aclosing(self.histories.follow(execution_id)) as states:
            async for state in states:
                if state.is_cancelling and (state.is_forced or not is_forced):
                    return True
        return False

    async def release_execution(self, execution_id: str) -> ExecutionStatus:
        """Have the services try again to fold an execution's log that they set aside as broken.

        Raises:
            UnknownExecutionError: there is no such execution.
            BrokenHistoryError: its log still cannot be folded; it says why.
        """
        status = await self.get_execution_status(execution_id)
        await self._requests.send(Recipient.PLANNER, Advance(execution_id))
        await self._requests.send(Recipient.SCHEDULER, Advance(execution_id))
        return status

    async def get_available_resources(self, pool: str = "default") -> ResourceInventory:
        """Return what a pool offers now."""
        return inventory_of(await self.histories.pool(pool))

    # --- the wire ------------------------------------------------------------------------------

    async def request(self, message: SchedulerMessage) -> tuple[Event, ...]:
        """Ask a scheduler for something, and return the events that the request led to.

        It waits until the scheduler has recorded its decision, through every
        outage: the request stays on file.

        Raises:
            UnknownExecutionError: there is no such execution.
            RequestRefusedError: the scheduler recorded why it cannot be done.
        """
        state, after = await self.histories.latest(message.key)
        name = self.histories.name(message.key)
        if (request_id := request_id_of(message)) and request_id in state.requests:
            return await self._requests.answered(name, request_id)
        return await self._requests.ask(Recipient.SCHEDULER, message, name, after)

    async def close(self) -> None:
        """Disconnect; executions go on without us."""
        await self.resources.close()
        await self.node.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def connect(
    server: str | Sequence[str] = "nats://127.0.0.1:4222",
    *,
    namespace: str = "default",
    access: Access | None = None,
) -> Orchestrator:
    """Connect to a running platform.

    ``access`` names the files with our key or credentials, and with certificates.

    Raises:
        ServerUnavailableError: no server with JetStream answers there, or it and we do not trust each other.
        NotPermittedError: our user may not do what a client does.
        CallerError: a file of ``access`` cannot be used.
    """
    node = await Node.open(server, namespace=namespace, name="talka client", access=access)
    return Orchestrator(node)


def _workflow_of(name: str, tasks: Sequence[Task], edges: Sequence[Dependency]) -> Workflow:
    return Workflow(f"{name}-{uuid4().hex[:8]}", name, tuple(tasks), tuple(edges))
