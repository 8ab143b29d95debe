"""``alert.alerts``, written by the watch: what was raised, cleared, acknowledged and told."""

from __future__ import annotations

from talka_protocols.alerts import Condition
from talka_protocols.events.fact import Fact


class AlertRaised(Fact, frozen=True, gc=False):
    """Something is wrong that was not before; the event's version is the alert's number.

    ``is_told`` says that a webhook is owed to whoever is to hear of it.
    """

    condition: Condition
    is_told: bool = False


class AlertCleared(Fact, frozen=True, gc=False):
    """What alert ``number`` says is so no more."""

    number: int
    is_told: bool = False


class AlertAcknowledged(Fact, frozen=True, gc=False):
    """Somebody has seen alert ``number``."""

    number: int
    by: str = ""


class WebhookDelivered(Fact, frozen=True, gc=False):
    """The receiver took what event ``about`` of this log says."""

    about: int


class WebhookFailed(Fact, frozen=True, gc=False):
    """The receiver did not take event ``about``; it is not tried again if this ``is_final``."""

    about: int
    attempt: int
    reason: str
    is_final: bool = False


AlertEvent = AlertRaised | AlertCleared | AlertAcknowledged | WebhookDelivered | WebhookFailed
