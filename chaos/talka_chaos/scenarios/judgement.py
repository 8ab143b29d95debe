"""What must hold of a scenario after its healing; each violation carries its label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from talka_chaos.processes import Cluster
from talka_chaos.records import Record, pool_is_empty, record_of
from talka_chaos.scenarios.effects import Effect, effects_in
from talka_chaos.scenarios.load import GO, WAITING, Load
from talka_chaos.scenarios.observer import Observer
from talka_chaos.verifier import Verifier
from talka_protocols.events import SignalReceived, TaskSucceeded
from talka_protocols.states import ExecutionState
from talka_services.client import Orchestrator

EMPTY_S = 20.0


async def judged(cluster: Cluster, orchestrator: Orchestrator, load: Load, observer: Observer) -> list[str]:
    """Return a sentence for each violation; see the functions below for the labels."""
    effects = effects_in(load.sink)
    found = [*ends(load), *acted_once(effects)]
    for execution_id, workflow in load.submitted.items():
        await observer.look(orchestrator, execution_id)
        record = await record_of(orchestrator, execution_id)
        task_ids = frozenset(task.id for task in workflow.tasks)
        found += [f"O1 {execution_id}: {fault}" for fault in record.faults(task_ids)]
        found += acknowledged(record, load)
        found += borne_out(record, effects)
    if left := await pool_is_empty(orchestrator, EMPTY_S):
        found.append(f"L2 the pool still has {left}")
    found += [f"V1 {sentence}" for sentence in await Verifier().server(cluster.url)]
    found += [f"P1 {sentence}" for sentence in cluster.tracebacks()]
    return [*found, *observer.violations]


def ends(load: Load) -> Iterator[str]:
    """L1 every execution that was submitted has succeeded."""
    for execution_id in load.submitted:
        result = load.results.get(execution_id)
        if result is None:
            yield f"L1 {execution_id} has not ended"
        elif result.status is not ExecutionState.SUCCEEDED:
            yield f"L1 {execution_id} has ended as {result.status}"


def acknowledged(record: Record, load: Load) -> Iterator[str]:
    """A1 what a client was promised is on record, once: its execution, and the signal that it sent."""
    if not record.commits:
        yield f"A1 {record.execution_id} was acknowledged, and nothing is recorded of it"
    signals = Counter(event.signal_id for _, event in record.events if isinstance(event, SignalReceived))
    expected = {GO: 1} if record.execution_id in load.signalled else {}
    if signals != expected and record.execution_id in load.signalled:
        yield f"A1 {record.execution_id}: the signals on record are {dict(signals)}, not {expected}"


def acted_once(effects: list[Effect]) -> Iterator[str]:
    """W1 no attempt ran twice; W2 all attempts of a task act under one key, which is no other task's."""
    runs = Counter((effect.execution_id, effect.task_id, effect.attempt) for effect in effects)
    yield from (f"W1 attempt {run} ran {count} times" for run, count in runs.items() if count > 1)
    tasks = {(effect.execution_id, effect.task_id) for effect in effects}
    pairs = {(effect.execution_id, effect.task_id, effect.key) for effect in effects}
    keys = {effect.key for effect in effects}
    if not len(tasks) == len(pairs) == len(keys):
        yield f"W2 {len(tasks)} tasks acted under {len(keys)} keys"


def borne_out(record: Record, effects: list[Effect]) -> Iterator[str]:
    """E1 a recorded success is that of an attempt which acted, and has its result and not another's."""
    acted = {
        (effect.task_id, effect.attempt) for effect in effects if effect.execution_id == record.execution_id
    }
    for _, event in record.events:
        if not isinstance(event, TaskSucceeded) or event.task_id == WAITING:
            continue
        if (event.task_id, event.attempt) not in acted:
            yield f"E1 {record.execution_id}: attempt {event.attempt} of {event.task_id} did not act"
        if bytes(event.result) != str(event.attempt).encode():
            yield f"E1 {record.execution_id}: {event.task_id} has the result of another attempt"
