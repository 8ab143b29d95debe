"""Judges a world that has come to rest by its logs alone; each finding carries its label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from talka_chaos.artifacts import undeclared
from talka_chaos.baselines import adoption_findings
from talka_chaos.breakers import breaker_findings
from talka_chaos.bursts import burst_findings, bursts_of
from talka_chaos.control import cancellations, failures, groups, pauses
from talka_chaos.events import Occasions, event_unrest, trigger_findings
from talka_chaos.fairness import fairness_findings
from talka_chaos.following import ending_findings, following_findings
from talka_chaos.forks import cascade_findings, fork_findings
from talka_chaos.gangs import gang_findings
from talka_chaos.invariants import check_pool, check_strays
from talka_chaos.keyed import rate_findings
from talka_chaos.order import Course
from talka_chaos.punctuality import punctuality_findings
from talka_chaos.ranking import ranking_findings, standings_of
from talka_chaos.rewinding import Rewinding
from talka_chaos.runs import OVER, misattributed
from talka_chaos.scaling import scaling_findings
from talka_chaos.tenancy import quota_findings
from talka_chaos.timeliness import timeliness_findings
from talka_chaos.timetable import schedule_findings, schedule_unrest, unheard
from talka_chaos.turns import turn_findings
from talka_chaos.urgent import endless_findings, preemption_findings
from talka_chaos.virtual_loop import at_once
from talka_chaos.world import World
from talka_core.history import FOLDS, apply, packed, violations
from talka_core.scheduler import SCHEDULER, children
from talka_core.scheduler.waiting import WORKFLOW
from talka_protocols import events as e
from talka_protocols.commit import Commit, decode_commit, encode_commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.messages import ChildFinished
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState
from talka_protocols.subjects import EXECUTION, PLAN, POOL, SCHEDULE, TRIGGER, LogName
from talka_services.runner.journal import newest


def unrest(world: World, submitted: int, scheduled: int = 0, occasions: Occasions | None = None) -> str:
    """L1 say why the world has not come to rest yet; empty when everything is over and given back."""
    if complaint := _starting_unrest(world, scheduled, occasions or Occasions()):
        return complaint
    executions = world.book.of_kind(EXECUTION)
    if len(executions) < submitted:
        return f"L1 {len(executions)} of {submitted} executions were begun"
    for key, state in executions.items():
        if state.status not in FINAL_EXECUTION_STATES:
            return f"L1 execution {key} is {state.status}: {_where(state)}"
        if not SCHEDULER.is_over(state):
            return f"L1 execution {key} waits for {[*state.returning, *state.handing]} to be settled"
    for key, state in world.book.of_kind(PLAN).items():
        if not state.is_handed_over:
            return f"L1 plan {key} is not handed over"
    for key, state in world.book.of_kind(POOL).items():
        if state.grants or state.waiting:
            return f"L2 pool {key} still holds {sorted(state.grants)}, and {sorted(state.waiting)} wait"
        now = world.book.logs_of_kind(POOL)[key][-1].at
        if late := sorted(name for name, kept in state.reservations.items() if kept.expires_at < now):
            # A clock that jumped ahead has outrun the timer that ends them.
            return f"L2 pool {key} still keeps {late}, whose time is over"
    return ""


def _starting_unrest(world: World, scheduled: int, occasions: Occasions) -> str:
    """Say which starts are still to come."""
    return (
        schedule_unrest(world.book.of_kind(SCHEDULE), scheduled)
        or unheard(world.asked, world.book.logs_of_kind(SCHEDULE))
        or event_unrest(world.book.of_kind(TRIGGER), world.events, occasions, world.now_s())
    )


def _where(state: Any) -> dict[str, str]:
    return {
        task_id: f"{record.status} {record.attempt} on {record.worker_id}"
        for task_id, record in state.tasks.items()
    }


def findings(world: World) -> Iterator[str]:
    """Yield everything that is wrong with a world at rest."""
    yield from world.book.violations
    yield from world.surprises
    yield from world.runs.faults
    standings = standings_of(world.book.commits.items())
    readable = dict(world.book.commits)
    for log, commits in world.book.commits.items():
        try:
            if log.kind == EXECUTION:
                yield from _execution(log, commits, world.skew_ms)
                yield from timeliness_findings(log, commits, world.runs.begun, world.silent, world.skew_ms)
            if log.kind == POOL:
                yield from rate_findings(log, commits)
                yield from ranking_findings(log, commits, standings)
                yield from breaker_findings(log, commits)
                yield from scaling_findings(log, commits)
                yield from quota_findings(log, commits)
                yield from fairness_findings(log, commits)
                yield from gang_findings(log, commits)
                yield from preemption_findings(log, commits)
            if log.kind == SCHEDULE:
                events = [event for commit in commits for _, _, event in commit.events()]
                yield from schedule_findings(log, events, world.book.of_kind(EXECUTION))
                yield from _times(world, log, commits)
            if log.kind == TRIGGER:
                yield from _trigger(world, log, commits)
            if log.kind in FOLDS:
                yield from _replay(world, log, commits)
        except BrokenHistoryError as error:
            yield f"F1 {log}: {error}"
            del readable[log]
    for state in world.book.of_kind(POOL).values():
        try:
            check_pool(state)
        except AssertionError as error:
            yield str(error)
    yield from _children(world)
    yield from fork_findings(readable)
    yield from cascade_findings(readable)
    yield from _acknowledged(world)
    yield from world.saves.findings(world.book.commits)
    for subject in world.post.subjects():
        if ".dead." in subject:
            yield f"P1 a message was set aside: {world.post.mailbox(subject).unsettled[0].body!r}"


def _times(world: World, log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    yield from punctuality_findings(log, commits, world.asked)
    if log.key in bursts_of(world.asked):
        yield from burst_findings(log, commits, world.asked, world.book.of_kind(EXECUTION))


def _trigger(world: World, log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    begun_s, executions = world.book.begun_s[log], world.book.of_kind(EXECUTION)
    yield from trigger_findings(log, commits, world.events, begun_s, executions)


def _execution(log: LogName, commits: list[Commit[Any]], skew_ms: int) -> Iterator[str]:
    events = [event for commit in commits for _, _, event in commit.events()]
    course, rewinding = Course(log), Rewinding(log)
    for event in events:
        yield from course.take(event)
        yield from rewinding.take(event)
    for task_id, count in rewinding.outcomes.items():
        if count != 1:
            yield f"O1 {log}: task {task_id} has {count} recorded outcomes"
    waited = {event.task_id for event in events if isinstance(event, e.TaskWaiting)}
    ran = [event for event in events if getattr(event, "task_id", "") not in waited]
    yield from (f"{log}: {sentence}" for event in ran if (sentence := misattributed(event)))
    yield from _arrivals(log, events)
    yield from pauses(log, commits)
    yield from cancellations(log, commits)
    yield from turn_findings(log, commits)
    yield from following_findings(log, commits, skew_ms)
    yield from endless_findings(log, commits)
    yield from adoption_findings(log, commits)
    for sentence in violations(SCHEDULER.initial(log.key), commits):
        yield f"S5 {log}: {sentence}"
    state = apply(FOLDS[EXECUTION], SCHEDULER.initial(log.key), commits)
    yield from failures(log, state)
    yield from groups(log, state)
    yield from ending_findings(log, state)
    if len(rewinding.outcomes) != len(state.tasks) and not rewinding.is_partial:
        yield f"O1 {log}: {len(rewinding.outcomes)} outcomes of {len(state.tasks)} tasks are recorded"
    for sentence in undeclared(commits, state.index.successors):
        yield f"{sentence} in {log}"
    try:
        check_strays(state)
    except AssertionError as error:
        yield f"{log}: {error}"


def _children(world: World) -> Iterator[str]:
    """C1 each attempt that ran a sub-workflow ended after that and as that did, with its results.

    Two logs may be those of two clocks, so what is after counts only as far as these agree.
    """
    executions = world.book.of_kind(EXECUTION)
    ends = {
        (log.key, event.task_id, event.attempt): (commit.at, event)
        for log, commits in world.book.commits.items()
        for commit in commits
        for _, _, event in commit.events()
        if isinstance(event, OVER)
    }
    for key, child in executions.items():
        if child.parent is not None and child.undone_for is None:
            parent = child.parent
            at, end = ends.get((parent.execution_id, parent.task_id, parent.attempt), (0, None))
            if at + world.skew_ms < child.finished_at or not _is_as_reported(children.report(child), end):
                yield f"C1 {parent} ended as {end} at {at}, its sub-workflow {key} as {child.status}"
    for key, state in executions.items():
        for task_id, task in state.tasks.items():
            if task.waiting == WORKFLOW and task.awaited not in executions:
                yield f"C1 task {task_id} of {key} has ended without its sub-workflow"


def _is_as_reported(said: ChildFinished, end: Any) -> bool:
    if said.status in (ExecutionState.SUCCEEDED, ExecutionState.PARTIAL):
        return isinstance(end, e.TaskSucceeded) and bytes(end.result) == bytes(said.result)
    return not isinstance(end, e.TaskSucceeded)


def _arrivals(log: LogName, events: list[Any]) -> Iterator[str]:
    """G1 a signal is recorded once and goes to one task, whose result it is; a question has one answer."""
    data: dict[str, bytes] = {}
    due: dict[str, bytes] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for event in events:
        match event:
            case e.SignalReceived():
                seen["received", event.signal_id] += 1
                data[event.signal_id] = bytes(event.data)
            case e.SignalTaken():
                seen["taken", event.signal_id] += 1
                due[event.task_id] = data[event.signal_id]
            case e.ApprovalAnswered():
                seen["answered", f"{event.task_id}/{event.attempt}"] += 1
            case e.TaskSucceeded() if bytes(event.result) != due.get(event.task_id, bytes(event.result)):
                yield f"G1 {log}: task {event.task_id} ended with other data than its signal's"
            case _:
                pass
    for (what, name), count in seen.items():
        if count > 1:
            yield f"G1 {log}: {name} was {what} {count} times"


def _replay(world: World, log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    fold = FOLDS[log.kind]
    whole = packed(fold, apply(fold, fold.initial(log.key), commits))
    if packed(fold, world.book.states[log]) != whole:
        yield f"F1 {log} folds to another state the second time"
    stored = at_once(world.log.read(log))
    if [encode_commit(decode_commit(log, item.body)) for item in stored] != [item.body for item in stored]:
        yield f"F1 {log} is not the same after reading and writing it"
    snapshot = at_once(world.snapshots.load(log))
    if snapshot is None:
        return
    entry = at_once(newest(log, world.log, world.snapshots, world.book.definitions))
    if entry.snapshot_version != snapshot.version or packed(fold, entry.state) != whole:
        yield f"F2 {log}: its snapshot at {snapshot.version} and the rest fold to another state"


def _acknowledged(world: World) -> Iterator[str]:
    present = {
        (log, item.position, item.commit_id)
        for log in world.book.commits
        for item in at_once(world.log.read(log))
    }
    for log, position, commit_id in world.acknowledged:
        if (log, position, commit_id) not in present:
            yield f"A1 {log}: the acknowledged commit {commit_id} at {position} is gone"
