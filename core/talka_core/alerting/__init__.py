"""Alerts: what somebody should look at, decided from the logs and a clock that is given."""

from talka_core.alerting.book import GIVEN_UP, AlertBook, acknowledge, decide, evolve, failed, retry_ms
from talka_core.alerting.conditions import Lag, Limits
from talka_core.alerting.watch import WATCHED, Watch

__all__ = [
    "GIVEN_UP",
    "WATCHED",
    "AlertBook",
    "Lag",
    "Limits",
    "Watch",
    "acknowledge",
    "decide",
    "evolve",
    "failed",
    "retry_ms",
]
