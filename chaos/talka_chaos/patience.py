"""How long a world may take to come to rest, once the faults are over."""

from __future__ import annotations

from talka_chaos.world import World
from talka_protocols.subjects import EXECUTION


class Patience:
    """Waits ``rest_s`` virtual seconds after the last sign that the world goes on.

    A sign is that more tasks have ended than ever before. How long all of them
    take depends on the world; how long nothing may end does not. Tasks that end
    again and again, because something restarts them for ever, are no sign. What
    kills its worker does so in the calm as well, as often as it is to, and is
    waited for too.
    """

    def __init__(self, world: World, rest_s: float) -> None:
        self._world = world
        self._rest_s = rest_s
        self._most_ended = 0
        self._moved_s = world.now_s()

    def is_over(self) -> bool:
        """Look at the world, and tell whether it has stood still for too long."""
        executions = self._world.book.of_kind(EXECUTION).values()
        ended = sum(len(state.tasks) - state.unfinished for state in executions)
        if ended > self._most_ended:
            self._most_ended, self._moved_s = ended, self._world.now_s()
        return self._world.now_s() > max(self._moved_s, self._world.last_killed_s) + self._rest_s
