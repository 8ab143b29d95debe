"""When an execution that runs will be over, from what is left of it and from the runs on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from talka_core.forecast import (
    Forecast,
    Prediction,
    Run,
    durations,
    errors_of,
    forecast,
    overhead_of,
    predicted,
    rest_of,
)
from talka_core.forecast.observations import bare
from talka_core.resource import PoolRecord
from talka_core.resource.state import SLOTS, plain, slot_of
from talka_core.scheduler import ExecutionRecord
from talka_core.simulation import Offer, within
from talka_core.status import status_of
from talka_protocols.errors import RequestRefusedError
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_services.client.histories import Histories
from talka_services.client.recollecting import runs_on_record


class Quantiles(Struct, frozen=True):
    """What holds in half, and in nine of ten cases."""

    p50: float
    p90: float


class Eta(Struct, frozen=True):
    """When an execution will be over: seconds, and instants in Unix seconds.

    It rests on ``draws`` simulations of the ``left`` tasks, of which
    ``predicted`` are like tasks on record, and on ``runs`` earlier executions of the workflow.
    """

    execution_id: str
    name: str
    status: str
    done: int
    total: int
    at: float
    elapsed_s: float
    remaining_s: Quantiles
    eta: Quantiles
    draws: int
    runs: int
    predicted: int
    left: int


async def eta(histories: Histories, execution_id: str, now_ms: int, seed: int = 0) -> Eta:
    """Tell when an execution will be over.

    What is left is simulated many times, with run times drawn from those of
    tasks of the same kinds on record. It is taken to have its pool for itself.

    Raises:
        UnknownExecutionError: there is no such execution.
        RequestRefusedError: it is over, or not on its way to a regular end.
    """
    state = await histories.execution(execution_id)
    _check(state)
    pool = await histories.pool(state.pool)
    return _forecast(state, pool, await runs_on_record(histories), now_ms, seed)


def _check(state: ExecutionRecord) -> None:
    if state.status in FINAL_EXECUTION_STATES:
        raise RequestRefusedError(
            f"The execution {state.execution_id!r} is over: {state.status}.",
            hint="`talka status` says how it ended, `talka predict` how long another run will take.",
            code="execution_over",
        )
    if state.is_stopping or state.is_rolling_back or state.workflow is None:
        raise RequestRefusedError(
            f"The execution {state.execution_id!r} is not on its way to a regular end.",
            hint="Ask again when it has been resumed.",
            code="not_running",
        )


def _forecast(state: ExecutionRecord, pool: PoolRecord, past: list[Run], now_ms: int, seed: int) -> Eta:
    rest = rest_of(state, now_ms)
    others = [run for run in past if run.id != state.execution_id]
    offers = tuple(offers_in(pool))
    workflow = within(rest.workflow, pool.quotas.get(rest.workflow.config.tenant, {}))
    run = Run(state.execution_id, workflow, rest.waits, offers=offers, shared=dict(pool.shared))
    # Tasks of this execution that have ended tell of those to come, too.
    predictions = predicted(run, durations(past))
    like = [each for each in others if bare(each.workflow.name) == bare(state.name)]
    errors = errors_of(like, lambda out: durations([each for each in others if each is not out]))
    found = forecast(run, predictions, overhead_of(like), errors, seed, rest.drawn)
    halfway, nearly = found.quantile(0.5), found.quantile(0.9)
    status = status_of(state)
    return Eta(
        state.execution_id,
        state.name,
        str(status.status),
        status.done,
        status.total,
        now_ms / 1000,
        (now_ms - state.started_at) / 1000,
        Quantiles(halfway, nearly),
        Quantiles(now_ms / 1000 + halfway, now_ms / 1000 + nearly),
        found.draws,
        len(like),
        sum(each.samples > 0 for each in predictions.values()),
        len(rest.workflow.tasks) - 1,
    )


def offers_in(pool: PoolRecord) -> list[Offer]:
    """Return the workers of a pool that take tasks, as a simulation needs them."""
    offers: list[Offer] = []
    for entry in pool.workers.values():
        if entry.is_draining:
            continue
        amounts = plain(entry.capacity)
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


def makespan_of(asked: Run, predictions: Mapping[str, Prediction], known: Sequence[Run]) -> Forecast:
    """Return how long a run will take, with what earlier runs of its workflow say about the platform."""
    like = [run for run in known if bare(run.workflow.name) == bare(asked.workflow.name)]
    errors = errors_of(like, lambda run: durations([other for other in known if other is not run]))
    return forecast(asked, predictions, overhead_of(like), errors)
