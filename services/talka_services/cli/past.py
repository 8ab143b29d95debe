"""Runs on record for the commands that forecast: executions, exported files, and traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace as with_fields

from talka_core.forecast import Run
from talka_core.limits import TASKS_MAX
from talka_core.simulation import Offer
from talka_services.cli.command import Target
from talka_services.cli.embedding import Flags, shapes
from talka_services.cli.loading import Request, load_workflow
from talka_services.cli.outcome import UsageError
from talka_services.cli.recollection import names_execution
from talka_services.cli.records import open_execution, open_records
from talka_services.client.recollecting import run_on_record, runs_on_record
from talka_services.loop import run as run_loop
from talka_services.machine import machine_capacity


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
        pool = await records.histories.pool_events(execution_id, state.pool)
        return await run_on_record(records.histories, state, pool)


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
        return await runs_on_record(records.histories)
