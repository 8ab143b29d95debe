"""How long those take that go first in a pool's queue, each line added up once."""

from __future__ import annotations

from talka_core.explanation.asking import Asking
from talka_core.explanation.picture import Picture
from talka_core.graph import DEFAULT_TASK_SECONDS, duration_of
from talka_core.resource import PoolRecord
from talka_core.resource.state import SLOTS, Request, slot_of


class Lines:
    """The work of all that wait in the pools of a picture, by what is short."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._before: dict[tuple[str, str], dict[str, float]] = {}
        self._short: dict[tuple[str, str], tuple[str, float]] = {}

    def before_s(self, asking: Asking) -> float:
        """Return the seconds of those that go first, if they get all that workers have of what is short."""
        wanted = (asking.pool.pool, asking.request.shape)
        if wanted not in self._short:
            self._short[wanted] = _short(asking)
        short, offered = self._short[wanted]
        if not offered:
            return 0.0
        key = (asking.pool.pool, short)
        if key not in self._before:
            self._before[key] = self._added_up(asking.pool, short)
        return self._before[key][asking.allocation_id] / offered

    def _added_up(self, pool: PoolRecord, short: str) -> dict[str, float]:
        """Return, by waiting request, the amount of what is short times seconds of all in front of it."""
        before: dict[str, float] = {}
        total = 0.0
        for place in sorted(place for queue in pool.queues.values() for place in queue):
            before[place[2]] = total
            request = pool.waiting[place[2]]
            if amount := _amount(request, short):
                total += amount * self._estimated_s(request)
        return before

    def _estimated_s(self, request: Request) -> float:
        state = self._picture.executions.get(request.holder.execution_id)
        task = state.index.tasks.get(request.holder.task_id) if state is not None else None
        return DEFAULT_TASK_SECONDS if task is None else duration_of(task)


def _short(asking: Asking) -> tuple[str, float]:
    """Return what is short for requests of this shape, and how much the workers have of it."""
    short = asking.missing[0] if asking.missing else ""
    return short, sum(entry.capacity.get(short, 0) for entry in asking.open.values()) / 1000


def _amount(request: Request, name: str) -> float:
    if name.startswith(SLOTS):
        return 1.0 if name in (SLOTS, slot_of(request.agent_type)) else 0.0
    return request.amounts.get(name, 0.0)
