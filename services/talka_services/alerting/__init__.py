"""Alerts as events: raised from the logs by one watch, kept in a log of their own, told by webhooks."""

from talka_services.alerting.alertlog import AlertLog
from talka_services.alerting.watching import AlertOptions, Watcher

__all__ = ["AlertLog", "AlertOptions", "Watcher"]
