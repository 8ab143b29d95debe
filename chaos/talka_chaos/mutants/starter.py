"""Planted bugs of the starter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from talka_chaos.mutants.planting import Mutant, behaving
from talka_core.behaviour import Effect, Send
from talka_core.starter import STARTER, ScheduleRecord
from talka_protocols.events import ScheduleEvent
from talka_protocols.messages import Recipient, ReportEnd


def end_not_asked() -> AbstractContextManager[Any]:
    """The starter waits to be told of an end, and never asks."""

    def deaf(effects: Iterable[Effect]) -> Iterator[Effect]:
        return (x for x in effects if not (isinstance(x, Send) and isinstance(x.message, ReportEnd)))

    def react(state: ScheduleRecord, event: ScheduleEvent) -> Iterator[Effect]:
        return deaf(STARTER.react(state, event))

    def resume(state: ScheduleRecord) -> Iterator[Effect]:
        return deaf(STARTER.resume(state))

    return behaving(Recipient.STARTER, react=react, resume=resume)


def due_time_repeated() -> AbstractContextManager[Any]:
    """The next due time is counted from the one that was dealt with last, and may be that one again."""

    def following(state: ScheduleRecord, _schedule: Any, after: int, _now_ms: int) -> int:
        return after if len(state.alive) % 2 else after + 1_000

    # The package has a function of the module's name.
    return patch.object(import_module("talka_core.starter.decide"), "_following", following)


def request_forgotten() -> AbstractContextManager[Any]:
    """The starter does not remember which requests it has heard."""

    def evolve(state: ScheduleRecord, event: ScheduleEvent, at: int) -> None:
        STARTER.evolve(state, event, at)
        state.requests = []

    return behaving(Recipient.STARTER, evolve=evolve)


STARTER_MUTANTS: tuple[Mutant, ...] = (end_not_asked, due_time_repeated, request_forgotten)
