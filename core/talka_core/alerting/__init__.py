"""Alerts: what somebody should look at, decided from the logs and a clock that is given."""

from talka_core.alertbook import GIVEN_UP, AlertBook, acknowledge, decide, evolve, failed, retry_ms
from talka_core.alerting.conditions import Lag, Limits
from talka_core.alerting.notices import document_of, notice_id, signature, written
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
    "document_of",
    "evolve",
    "failed",
    "notice_id",
    "retry_ms",
    "signature",
    "written",
]
