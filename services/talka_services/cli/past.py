"""Runs on record for the commands that forecast: executions, exported files, and traces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace as with_fields

from talka_core.forecast import Run, run_of
from talka_core.limits import TASKS_MAX
from talka_core.simulation import Offer, recorded
from talka_protocols.subjects import EXECUTION, POOL, LogName
from talka_services.cli.command import Target
from talka_services.cli.embedding import Flags, shapes
from talka_services.cli.loading import Request, load_workflow
from talka_services.cli.outcome import UsageError
from talka_services.cli.recollection import names_execution
from talka_services.cli.records import Records, open_execution, open_records
from talka_services.loop import run as run_loop
from talka_services.service.worker import machine_capacity

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord

NEWEST = 100
"""How many executions of a namespace, the newest, are its history."""
AT_ONCE = 8


@dataclass(frozen=True)
class Subject:
    """What is to be forecast, and what became of it if that is on record."""

    word: str
    asked: Run
    went: Run


def subject(target: Target, request: Request, flags: Flags) -> Subject:
    """Return a file or an execution as what is to be forecast: nothing of it is known but what was before.

    Raises:
        TalkaError: it cannot be read.
    """
    if names_execution(request.file):
        went = run_loop(_recorded_run(target, request.file))
    else:
        went = _file_run(request, flags)
    asked = Run(went.id, went.workflow, features=went.features, offers=went.offers, shared=went.shared)
    return Subject(request.file, asked, went)


def _file_run(request: Request, flags: Flags) -> Run:
    from talka_services.formats.wfmeasured import measured

    loaded = load_workflow(request)
    workflow = loaded.workflow
    found = measured(loaded.source.value) if loaded.source and loaded.source.is_wfformat else {}
    makespan = workflow.metadata.get("measured_makespan_seconds") if found else None
    if found:
        # Its definition is what was measured: who is asked to predict that must not know it.
        tasks = tuple(with_fields(task, payload={}, estimated_seconds=None) for task in workflow.tasks)
        workflow = with_fields(workflow, tasks=tasks)
    offers = tuple(Offer(shape) for shape in shapes(flags, loaded.machines, machine_capacity()))
    return Run(
        request.file,
        workflow,
        {task_id: each.seconds for task_id, each in found.items()},
        {task_id: each.features for task_id, each in found.items() if each.features},
        {task_id: each.busy for task_id, each in found.items() if each.busy is not None},
        {task_id: each.memory_mb for task_id, each in found.items() if each.memory_mb is not None},
        offers,
        dict(flags.shared),
        float(makespan) if isinstance(makespan, int | float) else None,
    )


async def _recorded_run(target: Target, wanted: str) -> Run:
    async with open_execution(target, wanted) as (records, execution_id):
        state = await records.histories.execution(execution_id)
        return await _run(records, state, await pool_history(records, state.pool))


def history(target: Target, named: Sequence[str]) -> list[Run]:
    """Return the runs that forecasts rest on, the newest first: those named, else the namespace's.

    Raises:
        TalkaError: one of them cannot be read, or there is no platform to ask.
    """
    if not named:
        return run_loop(_namespace_runs(target))
    flags = Flags()
    found = [
        run_loop(_recorded_run(target, word))
        if names_execution(word)
        else _file_run(Request(word, max_tasks=TASKS_MAX), flags)
        for word in named
    ]
    for word, run in zip(named, found, strict=True):
        if not run.seconds:
            raise UsageError(
                f"{word} holds no run times of tasks.",
                hint="Name executions, exported files, or traces in WfFormat.",
            )
    return found


async def _namespace_runs(target: Target) -> list[Run]:
    async with open_records(target) as records:
        return await runs_in(records)


async def runs_in(records: Records, without: str = "") -> list[Run]:
    """Return the newest executions on record as runs, the newest first."""
    states = await newest_states(records, without)
    pools = {pool: await pool_history(records, pool) for pool in {state.pool for state in states}}
    return [await _run(records, state, pools[state.pool]) for state in states]


async def newest_states(records: Records, without: str = "") -> list[ExecutionRecord]:
    """Return the newest executions that have begun, the newest first."""
    histories = records.histories
    some = asyncio.Semaphore(AT_ONCE)

    async def one(execution_id: str) -> ExecutionRecord:
        async with some:
            return await histories.execution(execution_id)

    names = [name for name in await histories.names(EXECUTION) if name != without]
    states = [state for state in await asyncio.gather(*map(one, names)) if state.started_at]
    states.sort(key=lambda state: (-state.started_at, state.execution_id))
    return states[:NEWEST]


async def _run(records: Records, state: ExecutionRecord, pool: Sequence[tuple[int, Any]]) -> Run:
    histories = records.histories
    commits = await histories.commits(histories.name(state.execution_id))
    events = [event for _, commit in commits for _, _, event in commit.events()]
    return run_of(state, recorded(state, events, pool, round(1000 * time.time())))


async def pool_history(records: Records, pool: str) -> list[tuple[int, Any]]:
    """Return the events of a pool with their instants (milliseconds since the epoch)."""
    commits = await records.histories.commits(LogName(POOL, "-", pool))
    return [(commit.at, event) for _, commit in commits for _, _, event in commit.events()]
