"""The runs that ``talka simulate`` compares: of a file, or of an execution on record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as with_fields

from talka_core.default_strategy import with_default_strategy
from talka_core.simulation import (
    Change,
    Offer,
    SimulatedRun,
    Staff,
    altered,
    cost_of,
    employed,
    hastened,
    whole_of,
    within,
)
from talka_core.simulation import simulate as run_virtually
from talka_core.spelling import did_you_mean
from talka_protocols.baseline import Baseline
from talka_protocols.workflow import Workflow, WorkflowConfig
from talka_services.cli.command import Target
from talka_services.cli.embedding import Flags, shapes
from talka_services.cli.loading import Request, check_improvable, load_workflow, with_strategy
from talka_services.cli.outcome import UsageError
from talka_services.cli.recollection import names_execution, read_recorded
from talka_services.loop import run as run_loop
from talka_services.machine import machine_capacity
from talka_services.planning import improved


@dataclass(frozen=True)
class Changes:
    """What is to be other than it is: the workers, the most tasks at once, and run times by task id.

    ``pool`` names one whose workers, amounts and quotas count. ``prices`` are by resource, for a unit and
    an hour; ``quota`` is the most that the tenant may have.
    ``improve_s`` is the CPU time for which a shorter schedule is searched.
    """

    flags: Flags
    pool: str = ""
    max_parallel: int | None = None
    faster: Mapping[str, float] = field(default_factory=dict[str, float])
    improve_s: float = 0.0
    prices: Mapping[str, float] = field(default_factory=dict[str, float])
    quota: Mapping[str, float] = field(default_factory=dict[str, float])

    def cost(self, offers: Iterable[Offer], shared: Mapping[str, float], run: SimulatedRun) -> float | None:
        """Return what the workers of a run cost, or None if no price is given."""
        return cost_of(offers, shared, self.prices, run.makespan_s) if self.prices else None


@dataclass(frozen=True)
class Case:
    """One run: as it went, or as it would go, and what its workers cost (None without prices)."""

    word: str
    workflow: Workflow
    run: SimulatedRun
    cost: float | None
    is_recorded: bool = False


def cases(
    target: Target, request: Request, strategies: Sequence[str | None], changes: Changes
) -> Iterator[Case]:
    """Yield how it really went, if it is on record and over, and how it would go under each strategy.

    Raises:
        UsageError: an option makes no sense for it.
        TalkaError: it cannot be read or simulated.
    """
    staff = run_loop(_staff(target, changes.pool)) if changes.pool else None
    if not names_execution(request.file):
        yield from (_of_file(replace(request, strategy=name), staff, changes) for name in strategies)
        return
    if request.inputs or request.max_tasks or request.max_seconds:
        raise UsageError(
            f"{request.file!r} is an execution on record: its inputs and limits are what they were.",
            hint="Leave --input, --max-tasks and --max-seconds out, or name a file.",
        )
    found = run_loop(read_recorded(target, request.file))
    if found.run is not None:
        cost = changes.cost(found.offers, found.shared, found.run)
        yield Case(request.file, found.workflow, found.run, cost, is_recorded=True)
    for name in strategies:
        config = None if name is None else with_strategy(found.workflow.config, name)
        setting = altered(found, _change(changes, staff, config), machine_capacity())
        yield _case(
            request.file,
            setting.workflow,
            setting.seconds,
            setting.offers,
            setting.shared,
            changes,
            setting.followed,
        )


def _case(
    word: str,
    workflow: Workflow,
    seconds: Mapping[str, float],
    offers: Sequence[Offer],
    shared: Mapping[str, float],
    changes: Changes,
    followed: Baseline | bool = True,
) -> Case:
    known = {task.id for task in workflow.tasks}
    for task_id in changes.faster:
        if task_id not in known:
            raise UsageError(
                f"--faster names {task_id!r}, but {word} has no such task.",
                hint=did_you_mean(task_id, sorted(known), label="Tasks"),
            )
    if changes.max_parallel is not None:
        config = with_fields(workflow.config, max_parallel=changes.max_parallel)
        workflow = with_fields(workflow, config=config)
    workflow, real = hastened(workflow, seconds, changes.faster)
    if changes.improve_s:
        check_improvable(workflow)
        followed = improved(workflow, whole_of(offers, shared), changes.improve_s) or followed
    run = run_virtually(workflow, offers, shared, real, followed)
    return Case(word, workflow, run, changes.cost(offers, shared, run))


def _of_file(request: Request, staff: Staff | None, changes: Changes) -> Case:
    """Return how the workflow of a file would go."""
    loaded = load_workflow(request).scaled(changes.flags.time_scale)
    if staff is None:
        shaped = shapes(changes.flags, loaded.machines, machine_capacity())
        given = tuple(Offer(shape, labels=dict(changes.flags.labels)) for shape in shaped)
        staff = Staff(given, {}, {})
    else:
        given = employed(staff.offers, _change(changes), machine_capacity())
    quota = {**staff.quotas.get(loaded.workflow.config.tenant, {}), **changes.quota}
    shared = {**staff.shared, **changes.flags.shared}
    workflow = with_default_strategy(loaded.workflow, loaded.workflow.config.pool, staff.strategy)
    return _case(request.file, within(workflow, quota), {}, given, shared, changes)


async def _staff(target: Target, pool: str) -> Staff:
    from talka_services.cli.records import open_records
    from talka_services.client.staffing import staff_of

    async with open_records(target) as records:
        return await staff_of(records.histories, pool)


def _change(changes: Changes, staff: Staff | None = None, config: WorkflowConfig | None = None) -> Change:
    flags = changes.flags
    return Change(
        config=config,
        staff=staff,
        workers=flags.workers,
        capacity=flags.capacity,
        labels=flags.labels,
        shared=flags.shared,
        quota=changes.quota,
        time_scale=flags.time_scale,
    )
