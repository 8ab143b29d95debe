"""Planted bugs of triggers, and of what hands events to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from talka_chaos.mutants.planting import Mutant, behaving
from talka_core.trigger import TRIGGER_BEHAVIOUR, TriggerRecord
from talka_protocols.events import TriggerEvent
from talka_protocols.messages import Recipient, TriggerMessage
from talka_services.service.intake import Intake


def event_not_remembered() -> AbstractContextManager[Any]:
    """A trigger acts upon an event as often as it comes."""

    def decide(state: TriggerRecord, message: TriggerMessage, now_ms: int) -> Iterator[TriggerEvent]:
        forgetful = state if hasattr(message, "firing_id") else replace(state, recent=[], pending={})
        yield from TRIGGER_BEHAVIOUR.decide(forgetful, message, now_ms)

    return behaving(Recipient.TRIGGER, decide=decide)


def event_settled_too_early() -> AbstractContextManager[Any]:
    """Events count as taken in before they are handed to their triggers."""
    real: Any = vars(Intake)["_take_in"]

    async def hasty(self: Any, arrived: Sequence[tuple[int, Any]]) -> None:
        await self._stream.settle(arrived[-1][0])
        await real(self, arrived)

    return patch.object(Intake, "_take_in", hasty)


TRIGGER_MUTANTS: tuple[Mutant, ...] = (event_not_remembered, event_settled_too_early)
