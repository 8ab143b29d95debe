"""``talka simulate --chaos``: what becomes of a workflow in a simulated cluster that fails."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from talka_protocols.states import ExecutionState
from talka_services.cli.command import Target
from talka_services.cli.outcome import UsageError
from talka_services.cli.recollection import names_execution
from talka_services.cli.screen import console, plain, print_json

if TYPE_CHECKING:
    from talka_services.cli.cases import Changes
    from talka_services.cli.embedding import Flags
    from talka_services.cli.loading import Request
    from talka_services.trials import Site, Trial

SEEDS = 50
SEEDS_SHOWN, TASKS_SHOWN = 10, 5
WORKERS = 2
"""Unless told otherwise there is another worker when one has died."""


@dataclass(frozen=True)
class Seeds:
    """Which seeds are tried: ``first`` alone, or so many from there on."""

    first: int | None = None
    count: int | None = None

    @property
    def numbers(self) -> range:
        """Return the seeds."""
        first = self.first or 0
        count = self.count or (SEEDS if self.first is None else 1)
        return range(first, first + count)


def check_used(
    seeds: Seeds, changes: Changes, strategies: Sequence[str], *, is_chaos: bool, with_tasks: bool
) -> None:
    """Refuse seeds where nothing goes wrong, and with ``--chaos`` what is about makespans.

    Raises:
        UsageError: there is some of it.
    """
    if not is_chaos and seeds != Seeds():
        raise UsageError(
            "--seed and --seeds say which faults happen, and without --chaos none do.",
            hint="Add --chaos, or leave them out.",
        )
    makespans = {
        "--strategy": len(strategies) > 1,
        "--pool": bool(changes.pool),
        "--max-parallel": changes.max_parallel is not None,
        "--faster": bool(changes.faster),
        "--price": bool(changes.prices),
        "--quota": bool(changes.quota),
        "--improve": bool(changes.improve_s),
        "--label": bool(changes.flags.labels),
        "--tasks": with_tasks,
    }
    unused = [flag for flag, is_given in makespans.items() if is_given]
    if is_chaos and unused:
        raise UsageError(
            f"{', '.join(unused)} cannot be used with --chaos, which compares no makespans.",
            hint="Leave it out; --workers, --capacity, --shared and one --strategy are heeded.",
        )


def try_workflows(target: Target, files: Sequence[str], request: Request, flags: Flags, seeds: Seeds) -> bool:
    """Try each workflow, say what became of it, and tell whether nothing was violated in any.

    Raises:
        UsageError: one is an execution on record.
        NoTrialsError: this installation lacks the simulation.
        TalkaError: a workflow cannot be read, or can never run on such workers.
    """
    held = [_try_workflow(target, replace(request, file=file), flags, seeds) for file in files]
    return all(held)


def _try_workflow(target: Target, request: Request, flags: Flags, seeds: Seeds) -> bool:
    """Try one workflow under the faults of every seed.

    Raises:
        UsageError: it is an execution on record.
        NoTrialsError: this installation lacks the simulation.
        TalkaError: the workflow cannot be read, or can never run on such workers.
    """
    from talka_services.cli.embedding import shapes
    from talka_services.cli.loading import load_workflow
    from talka_services.machine import machine_capacity
    from talka_services.trials import Site, trier

    if names_execution(request.file):
        raise UsageError(
            f"{request.file!r} is an execution on record, which was what it was.",
            hint="With --chaos name the file of its workflow.",
        )
    tried = trier()
    loaded = load_workflow(request).scaled(flags.time_scale)
    if flags.workers is None and not loaded.machines:
        flags = replace(flags, workers=WORKERS)
    site = Site(shapes(flags, loaded.machines, machine_capacity()), dict(flags.shared))
    with _silence(is_verbose=target.is_verbose):
        found = list(tried(loaded.workflow, site, seeds.numbers))
    report = _report(request.file, loaded.workflow.name, seeds, found)
    again = _flags(request, flags, site, is_shaped=bool(loaded.machines))
    if target.is_json:
        print_json(report)
    else:
        _print(report, again)
    return not report["violations"]


@contextmanager
def _silence(*, is_verbose: bool) -> Generator[None]:
    """Say nothing of what simulated actors log, which is a lot, unless somebody wants to see it."""
    before = logging.root.manager.disable
    logging.disable(logging.NOTSET if is_verbose else logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _report(file: str, name: str, seeds: Seeds, found: Iterable[Trial]) -> dict[str, Any]:
    from msgspec import to_builtins

    trials = list(found)
    injected: Counter[str] = Counter()
    for trial in trials:
        injected.update(trial.injected)
    return {
        "file": file,
        "name": name,
        "seeds": len(trials),
        "first_seed": seeds.numbers[0],
        "statuses": dict(Counter(trial.status for trial in trials)),
        "unsuccessful": [
            {"seed": trial.seed, "status": trial.status, "tasks": to_builtins(trial.stopped)}
            for trial in trials
            if trial.status != ExecutionState.SUCCEEDED
        ],
        "injected": dict(sorted(injected.items())),
        "attempts": sum(trial.attempts for trial in trials),
        "events": sum(trial.events for trial in trials),
        "violations": [
            {
                "seed": trial.seed,
                "status": trial.status,
                "findings": list(trial.violations),
                "faults": to_builtins(trial.faults),
                "injected": sum(trial.injected.values()),
            }
            for trial in trials
            if trial.violations
        ],
    }


def _flags(request: Request, flags: Flags, site: Site, *, is_shaped: bool) -> list[str]:
    """Return the flags with which the same is tried anywhere; ``is_shaped`` by the machines of a trace."""
    shape = () if is_shaped else ("--workers", str(len(site.offers)), *_pairs("--capacity", site.offers[0]))
    plain_flags = {
        "--strategy": request.strategy,
        "--max-tasks": request.max_tasks,
        "--max-seconds": request.max_seconds,
        "--time-scale": None if flags.time_scale == 1 else flags.time_scale,
    }
    given = [word for flag, value in plain_flags.items() if value is not None for word in (flag, str(value))]
    inputs = [word for pair in request.inputs for word in ("--input", pair)]
    return [*shape, *_pairs("--shared", site.shared), *inputs, *given]


def _pairs(flag: str, amounts: Mapping[str, float]) -> Iterable[str]:
    for name, amount in amounts.items():
        yield from (flag, f"{name}={amount:.12g}")


def _print(report: dict[str, Any], again: Sequence[str]) -> None:
    note = console().print
    ends = ", ".join(f"{count} {status}" for status, count in report["statuses"].items())
    faults = ", ".join(f"{kind} {count}" for kind, count in report["injected"].items())
    note(f"{plain(report['name'])}: {report['seeds']} seeds from {report['first_seed']} on: {ends}")
    note(f"faults: {faults}")
    note(f"checked: {report['attempts']:,} attempts, {report['events']:,} events")
    for sentence in _unsuccessful(report):
        note(plain(sentence))
    for failed in report["violations"]:
        note(f"seed {failed['seed']} violates what is promised:")
        for finding in failed["findings"][:10]:
            note(f"  {plain(finding)}")
        few = ", ".join(f"{fault['kind']} at {fault['at_s']:.3f} s" for fault in failed["faults"])
        note(f"  of {failed['injected']} faults it takes {len(failed['faults'])}: {few or 'none'}")
        command = ("talka", "simulate", "--chaos", "--seed", str(failed["seed"]), report["file"], *again)
        note(f"  again: {plain(shlex.join(command))}")
    if not report["violations"]:
        note("violations: none")


def _unsuccessful(report: dict[str, Any]) -> Iterable[str]:
    """Yield for each way to end without success the seeds that did, and the tasks by which."""
    for status in report["statuses"]:
        ended = [each for each in report["unsuccessful"] if each["status"] == status]
        if not ended:
            continue
        shown = ", ".join(str(each["seed"]) for each in ended[:SEEDS_SHOWN])
        more = f" and {len(ended) - SEEDS_SHOWN} more" if len(ended) > SEEDS_SHOWN else ""
        yield f"{status}: with seed {shown}{more}"
        counts = Counter((task["task_id"], task["status"]) for each in ended for task in each["tasks"])
        last = {(task["task_id"], task["status"]): task for each in ended for task in each["tasks"]}
        for key, count in counts.most_common(TASKS_SHOWN):
            where = f"{' '.join(key)} in {count} of {len(ended)}, lastly at attempt {last[key]['attempts']}"
            yield f"  {where}: {last[key]['error'] or 'no reason is recorded'}"
