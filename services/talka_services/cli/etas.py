"""``talka eta``: when an execution that runs will be over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import console, duration, local_time, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.forecast import Run
    from talka_core.resource import PoolRecord
    from talka_core.scheduler import ExecutionRecord
    from talka_core.simulation import Offer

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of an execution that is not over.")]
Seed = Annotated[int, typer.Option("--seed", help="Another number draws other run times.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "eta")(eta)


def eta(target: Target, execution_id: Id, seed: Seed = 0) -> None:
    """Tell when an execution will be over, in half and in nine of ten cases.

    What is left is simulated many times, with run times drawn from those of
    tasks of the same kinds on record; what runs takes longer than it has
    already. The execution is taken to have its pool for itself, and to go on now if it is paused.
    """
    state, pool, past = run_loop(_read(target, execution_id))
    found = _forecast(state, pool, past, round(1000 * time.time()), seed)
    if target.is_json:
        print_json(found)
    else:
        _print(found)


async def _read(target: Target, execution_id: str) -> tuple[ExecutionRecord, PoolRecord, list[Run]]:
    from talka_services.cli.past import runs_in
    from talka_services.cli.records import open_records

    async with open_records(target) as records:
        state = await records.histories.execution(execution_id)
        _check(state)
        return state, await records.histories.pool(state.pool), await runs_in(records)


def _check(state: ExecutionRecord) -> None:
    from talka_protocols.states import FINAL_EXECUTION_STATES

    if state.status in FINAL_EXECUTION_STATES:
        raise UsageError(
            f"The execution {state.execution_id!r} is over: {state.status}.",
            hint="`talka status` says how it ended, `talka predict` how long another run will take.",
        )
    if state.is_stopping or state.is_rolling_back or state.workflow is None:
        raise UsageError(
            f"The execution {state.execution_id!r} is not on its way to a regular end.",
            hint="Ask again when it has been resumed.",
        )


def _forecast(
    state: ExecutionRecord, pool: PoolRecord, past: list[Run], now_ms: int, seed: int
) -> dict[str, Any]:
    from talka_core.forecast import Run, durations, errors_of, forecast, overhead_of, predicted, rest_of
    from talka_core.forecast.observations import bare
    from talka_core.status import status_of

    rest = rest_of(state, now_ms)
    others = [run for run in past if run.id != state.execution_id]
    run = Run(
        state.execution_id,
        rest.workflow,
        rest.waits,
        offers=tuple(_offers(pool)),
        shared=dict(pool.shared),
    )
    # Tasks of this execution that have ended tell of those to come, too.
    predictions = predicted(run, durations(past))
    like = [each for each in others if bare(each.workflow.name) == bare(state.name)]
    errors = errors_of(like, lambda out: durations([each for each in others if each is not out]))
    found = forecast(run, predictions, overhead_of(like), errors, seed, rest.drawn)
    halfway, nearly = found.quantile(0.5), found.quantile(0.9)
    status = status_of(state)
    return {
        "execution_id": state.execution_id,
        "name": state.name,
        "status": str(status.status),
        "done": status.done,
        "total": status.total,
        "at": now_ms / 1000,
        "elapsed_s": (now_ms - state.started_at) / 1000,
        "remaining_s": {"p50": halfway, "p90": nearly},
        "eta": {"p50": now_ms / 1000 + halfway, "p90": now_ms / 1000 + nearly},
        "draws": found.draws,
        "runs": len(like),
        "predicted": sum(each.samples > 0 for each in predictions.values()),
        "left": len(rest.workflow.tasks) - 1,
    }


def _offers(pool: PoolRecord) -> list[Offer]:
    from talka_core.resource.state import SLOTS, slot_of
    from talka_core.resource.state import plain as plain_amounts
    from talka_core.simulation import Offer

    offers: list[Offer] = []
    for entry in pool.workers.values():
        if entry.is_draining:
            continue
        amounts = plain_amounts(entry.capacity)
        prefix = slot_of("")
        offers.append(
            Offer(
                {name: amount for name, amount in amounts.items() if not name.startswith(SLOTS)},
                round(amounts[SLOTS]),
                entry.agent_types,
                {
                    name.removeprefix(prefix): round(n)
                    for name, n in amounts.items()
                    if name.startswith(prefix)
                },
            )
        )
    return offers


def _print(found: dict[str, Any]) -> None:
    remaining, eta_at = found["remaining_s"], found["eta"]
    screen = console()
    screen.print(
        f"{plain(found['name'])}  {found['status']}  {found['done']}/{found['total']} tasks"
        f"  for {duration(found['elapsed_s'])}"
    )
    screen.print(f"  half the time over in {duration(remaining['p50'])}  ({local_time(eta_at['p50'])})")
    screen.print(f"  in nine of ten cases in {duration(remaining['p90'])}  ({local_time(eta_at['p90'])})")
    screen.print(
        f"  {found['left']} tasks left, {found['predicted']} like tasks on record;"
        f" {found['runs']} earlier runs of this workflow"
    )
