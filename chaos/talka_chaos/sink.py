"""An outside system that tasks act on: it honours the idempotency key and the fence, as every one should.

Of each task it remembers the newest fence that it has seen and refuses older
ones; it does nothing twice under one key, and nothing under a key that has been undone.
"""

from __future__ import annotations

UNDO = "/undo"


class Sink:
    """The effects that are left, by key, in the order in which they were made.

    ``undone`` holds the keys whose effect was asked to be undone.
    """

    def __init__(self) -> None:
        self.effects: dict[str, str] = {}
        self.undone: dict[str, int] = {}
        self._fences: dict[str, int] = {}

    def act(self, task_id: str, key: str, fence: int) -> bool:
        """Do or undo something for a task; tell whether it changed anything."""
        if fence < self._fences.get(task_id, 0):
            return False
        self._fences[task_id] = fence
        if key.endswith(UNDO):
            undone = key.removesuffix(UNDO)
            is_new = undone not in self.undone
            self.undone.setdefault(undone, fence)
            self.effects.pop(undone, None)
            return is_new
        if key in self.undone or key in self.effects:
            return False
        self.effects[key] = task_id
        return True
