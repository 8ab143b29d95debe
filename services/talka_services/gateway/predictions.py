"""How long a workflow would take here: run times of its tasks, and of the whole, from what has run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from talka_core.forecast import Prediction, Run, durations, predicted
from talka_core.forecast.makespan import Forecast
from talka_protocols.workflow import Workflow
from talka_services.client.forecasting import makespan_of, offers_in
from talka_services.client.recollecting import runs_on_record
from talka_services.formats.document import WorkflowFile
from talka_services.gateway.calls import Call
from talka_services.gateway.definitions import BYTES_MAX, MEDIA, Limits, brought
from talka_services.gateway.operations import Operation
from talka_services.gateway.roles import Role


class Quantiles(Struct, frozen=True):
    """Seconds: below them lie 5, 50, 90 and 95 of a hundred cases."""

    p5: float
    p50: float
    p90: float
    p95: float


class TaskPrediction(Struct, frozen=True):
    """How long a task will run, told from ``samples`` tasks of its ``kind`` or from its estimate."""

    kind: str
    samples: int
    seconds: Quantiles


class WorkflowPrediction(Struct, frozen=True):
    """How long a workflow would take on its pool as it is, and each of its ``tasks``.

    ``predicted`` of them are like tasks in the ``runs`` on record.
    """

    name: str
    runs: int
    predicted: int
    makespan_s: Quantiles
    tasks: dict[str, TaskPrediction]


async def predict_workflow(call: Call, query: Limits, body: bytes) -> WorkflowPrediction:
    """Predict how long a workflow would take, from tasks of the same kinds that ran; nothing is started."""
    workflow = await brought(call, body, query)
    pool = await call.histories.pool(workflow.config.pool)
    known = await runs_on_record(call.histories)
    run = Run("", workflow, offers=tuple(offers_in(pool)), shared=dict(pool.shared))
    return await asyncio.to_thread(_prediction, workflow, run, known)


def _prediction(workflow: Workflow, run: Run, known: Sequence[Run]) -> WorkflowPrediction:
    predictions = predicted(run, durations(known))
    return WorkflowPrediction(
        workflow.name,
        len(known),
        sum(found.samples > 0 for found in predictions.values()),
        _quantiles(makespan_of(run, predictions, known)),
        {
            task_id: TaskPrediction(found.kind, found.samples, _quantiles(found))
            for task_id, found in predictions.items()
        },
    )


def _quantiles(found: Forecast | Prediction) -> Quantiles:
    return Quantiles(*(found.quantile(share) for share in (0.05, 0.5, 0.9, 0.95)))


OPERATIONS = (
    Operation(
        "POST",
        "/predictions",
        predict_workflow,
        "insight",
        role=Role.VIEWER,
        media=MEDIA,
        document=WorkflowFile,
        limit_bytes=BYTES_MAX,
    ),
)
