"""How long a whole run will take: simulated many times, each time with run times drawn from predictions.

To what is simulated comes the platform's own time, which is taken to grow with the number of
tasks, as it did in runs on record. The spread of the simulated logarithms is corrected as the
model's is: its shape is that of the errors that earlier runs, each forecast from the others,
would have had; while there are few of them, a normal one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, log, sqrt
from statistics import NormalDist, fmean, median, pstdev

from msgspec import Struct
from msgspec.structs import replace

from talka_core.forecast.drawing import share
from talka_core.forecast.model import Model, Prediction, quantile_of, shape_of
from talka_core.forecast.runs import Run, logarithm, predicted
from talka_core.simulation import simulate
from talka_protocols.workflow import Workflow

DRAWS_MAX, DRAWS_MIN, TASKS_DRAWN = 40, 12, 8_000
OVERHEAD_SPREAD, OVERHEAD_WEIGHT = 0.3, 2.0
"""By how much the platform's time (its logarithm) differs from run to run, and as how many runs it counts."""
OVERHEAD_S = 0.01
"""What the platform takes for a task where nothing is on record."""
PAST_MAX = 10
"""How many earlier runs, the newest, are looked at for the platform's time and for errors."""
SMALLEST = 1e-4

Draw = Callable[[str, Prediction, float, float], float]
"""Draws a task's seconds: by its id and its prediction, at a share of its tasks and at one of its runs."""

_NORMAL = NormalDist()


class Overhead(Struct, frozen=True):
    """The platform's own time a task, in seconds, and by how much its logarithm varies from run to run."""

    seconds: float = OVERHEAD_S
    spread: float = OVERHEAD_SPREAD


class Forecast(Struct, frozen=True):
    """How long something will take: ``centre`` and ``width`` of its logarithm, and the shape in between."""

    centre: float
    width: float
    shape: tuple[float, ...]
    draws: int

    def quantile(self, portion: float) -> float:
        """Return the seconds within which it will be over with this probability."""
        return exp(self.centre + self.width * quantile_of(self.shape, portion))


def overhead_of(past: Sequence[Run]) -> Overhead:
    """Return what the platform took for itself in runs on record, each simulated as it was."""
    found = [
        log(max(SMALLEST, (run.makespan_s - _again(run)) / len(run.workflow.tasks)))
        for run in past[:PAST_MAX]
        if run.makespan_s is not None
    ]
    if not found:
        return Overhead()
    centre = median(found)
    own = sum((each - centre) ** 2 for each in found)
    weight = OVERHEAD_WEIGHT + len(found) - 1
    spread = sqrt((OVERHEAD_WEIGHT * OVERHEAD_SPREAD**2 + own) / weight)
    return Overhead(exp(centre), spread * sqrt(1 + 1 / len(found)))


def _again(run: Run) -> float:
    return simulate(run.workflow, run.offers, run.shared, run.seconds).makespan_s


def forecast(
    run: Run,
    predictions: Mapping[str, Prediction],
    overhead: Overhead,
    errors: Sequence[float] = (),
    seed: int = 0,
    adapted: Draw | None = None,
) -> Forecast:
    """Return how long a run will take.

    Args:
        run: Its workflow and its workers.
        predictions: Of its tasks' run times, by id; the others take what the run or the workflow says.
        overhead: The platform's own time.
        errors: Of earlier forecasts, as ``errors_of`` returns them.
        seed: The same seed gives the same forecast.
        adapted: What draws a task's seconds from its prediction, if it is not like any other.

    Raises:
        SimulationStuckError: it would wait for ever.
    """
    known = informed(run.workflow, predictions)
    count = draws_of(len(known.tasks))
    logs: list[float] = []
    for number in range(count):
        seconds = {**run.seconds, **_drawn(predictions, seed, number, adapted)}
        simulated = simulate(known, run.offers, run.shared, seconds).makespan_s
        varied = overhead.spread * _NORMAL.inv_cdf(share(seed, "overhead", number))
        logs.append(logarithm(simulated + len(known.tasks) * overhead.seconds * exp(varied)))
    width = max(pstdev(logs) * sqrt(count / (count - 1)), 1e-6)
    return Forecast(fmean(logs), width, shape_of([error / width for error in errors]), count)


def draws_of(tasks: int) -> int:
    """Return how often a graph of this size is simulated: large ones less often, as they vary less."""
    return max(DRAWS_MIN, min(DRAWS_MAX, TASKS_DRAWN // max(1, tasks)))


def _drawn(
    predictions: Mapping[str, Prediction],
    seed: int,
    number: int,
    adapted: Draw | None,
) -> dict[str, float]:
    """Return run times as good as random; tasks of one kind share the drift of the run."""
    draw = adapted or _as_predicted
    return {
        task_id: draw(task_id, found, share(seed, f"task {task_id}", number), share(seed, found.kind, number))
        for task_id, found in predictions.items()
    }


def _as_predicted(_task_id: str, found: Prediction, task_share: float, drift: float) -> float:
    return found.drawn(task_share, drift)


def informed(workflow: Workflow, predictions: Mapping[str, Prediction]) -> Workflow:
    """Return a workflow whose estimates are what is predicted."""
    return replace(
        workflow,
        tasks=tuple(
            replace(task, estimated_seconds=predictions[task.id].quantile(0.5))
            if task.id in predictions
            else task
            for task in workflow.tasks
        ),
    )


def errors_of(past: Sequence[Run], model_without: Callable[[Run], Model]) -> list[float]:
    """Return by how much forecasts of earlier runs, each from the others, would have missed them.

    Args:
        past: Runs of one workflow.
        model_without: What runs say about run times if one of them is left out.

    Returns:
        Logarithms of what a run took over what was to be expected; none for fewer than two runs.
    """
    over = [run for run in past[:PAST_MAX] if run.makespan_s is not None]
    errors: list[float] = []
    for run in over if len(over) > 1 else ():
        overhead = overhead_of([other for other in over if other is not run])
        found = predicted(run, model_without(run))
        centre = {task_id: each.quantile(0.5) for task_id, each in found.items()}
        simulated = simulate(informed(run.workflow, found), run.offers, run.shared, centre).makespan_s
        expected = simulated + len(run.workflow.tasks) * overhead.seconds
        errors.append(logarithm(run.makespan_s or 0.0) - logarithm(expected))
    return errors
