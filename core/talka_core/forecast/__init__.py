"""What will be: run times and memory of tasks, makespans, and what is left of what runs, from history."""

from talka_core.forecast.makespan import Forecast, Overhead, errors_of, forecast, overhead_of
from talka_core.forecast.model import Model, Prediction
from talka_core.forecast.requirements import Requirement, requirements
from talka_core.forecast.rest import Rest, rest_of
from talka_core.forecast.runs import Run, covered, durations, memory, predicted, run_of

__all__ = [
    "Forecast",
    "Model",
    "Overhead",
    "Prediction",
    "Requirement",
    "Rest",
    "Run",
    "covered",
    "durations",
    "errors_of",
    "forecast",
    "memory",
    "overhead_of",
    "predicted",
    "requirements",
    "rest_of",
    "run_of",
]
