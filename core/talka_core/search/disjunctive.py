"""Projects whose resources do one task at a time: their schedules are orders, one for each resource.

The graph of a schedule has the dependencies, and an arc from each task to the
next one on its resource. Its longest path is the makespan; a shorter schedule
takes another order of tasks on that path. After Balas, "Machine sequencing via
disjunctive graphs", Operations Research 17 (1969).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from talka_core.search.dice import Dice
from talka_core.search.project import Project


def machines_of(project: Project) -> list[int] | None:
    """Return the resource that each task has for itself while it runs, -1 for none.

    None says that some resource does several tasks at once and may run short, or that some task
    takes several of the resources that do one at a time.
    """
    demands, durations = project.demands, project.durations
    running = [task for task, own in enumerate(durations) if own]
    shared: list[int] = []
    machines = [-1] * len(durations)
    for resource, capacity in enumerate(project.capacity):
        held = [task for task in running if demands[task][resource]]
        if any(2 * demands[task][resource] <= capacity for task in held):
            shared.append(resource)
        elif any(machines[task] >= 0 for task in held):
            return None
        else:
            for task in held:
                machines[task] = resource
    return machines if all(_is_ample(project, machines, resource) for resource in shared) else None


def _is_ample(project: Project, machines: Sequence[int], resource: int) -> bool:
    """Tell whether a resource is enough for all that can run at once: on each machine one, and the others."""
    most: dict[int, int] = {}
    for task, own in enumerate(project.durations):
        amount = project.demands[task][resource] if own else 0
        place = machines[task] if machines[task] >= 0 else ~task - 1
        most[place] = max(most.get(place, 0), amount)
    return sum(most.values()) <= project.capacity[resource]


class Move(Struct, frozen=True):
    """Tasks that follow one another on a resource, and the same ones in another order.

    Either the first goes behind the others or the last before them; ``is_forward`` says which.
    """

    old: list[int]
    new: list[int]
    is_forward: bool

    @property
    def turned(self) -> list[tuple[int, int]]:
        """Return the pairs (first, second) whose order the move turns round."""
        if self.is_forward:
            return [(self.old[0], other) for other in self.old[1:]]
        return [(other, self.old[-1]) for other in self.old[:-1]]


class Sequencing:
    """A schedule as a graph: each task has one before and one after it on its resource (-1 for none).

    ``ends`` has the longest path to a task's end, ``tails`` that from its start on, and both a last
    entry of 0, which is what -1 finds. ``length`` is the makespan.
    """

    def __init__(self, project: Project, machines: Sequence[int], starts: Sequence[int]) -> None:
        count = len(starts)
        self._project = project
        self._before, self._after = [-1] * count, [-1] * count
        self._order = sorted(range(count), key=lambda task: (starts[task], task))
        last: dict[int, int] = {}
        for task in self._order:
            if machines[task] >= 0:
                self._link(last.get(machines[task], -1), task)
                last[machines[task]] = task
        self._places = [0] * count
        for place, task in enumerate(self._order):
            self._places[task] = place
        self.length = 0
        self.ends, self.tails = [0] * (count + 1), [0] * (count + 1)
        self._recount(0, count - 1)

    @property
    def starts(self) -> list[int]:
        """Return when each task begins."""
        return [end - own for end, own in zip(self.ends, self._project.durations, strict=False)]

    def _link(self, first: int, second: int) -> None:
        if first >= 0:
            self._after[first] = second
        if second >= 0:
            self._before[second] = first

    def _recount(self, first: int, last: int) -> None:
        """Measure anew what a change between two places of the order can alter."""
        ends, tails, durations = self.ends, self.tails, self._project.durations
        links, edges = self._before, self._project.predecessors
        for task in self._order[first:]:
            longest = ends[links[task]]
            for other in edges[task]:
                longest = max(longest, ends[other])
            ends[task] = longest + durations[task]
        links, edges = self._after, self._project.successors
        for task in self._order[last::-1]:
            longest = tails[links[task]]
            for other in edges[task]:
                longest = max(longest, tails[other])
            tails[task] = longest + durations[task]
        self.length = max(ends)

    def critical(self, dice: Dice) -> list[list[int]]:
        """Return one of the longest paths, in blocks of tasks that follow one another on a resource."""
        ends, tails, length = self.ends, self.tails, self.length
        durations, successors = self._project.durations, self._project.successors
        first = [task for task, own in enumerate(durations) if tails[task] == length and ends[task] == own]
        blocks: list[list[int]] = []
        task = -1
        while first:
            following = first[dice.below(len(first))] if len(first) > 1 else first[0]
            if blocks and self._before[following] == task:
                blocks[-1].append(following)
            else:
                blocks.append([following])
            task = following
            first = [
                other
                for other in {*successors[task], self._after[task]}
                if other >= 0
                and ends[other] - durations[other] == ends[task]
                and tails[other] == length - ends[task]
            ]
            first.sort()
        return blocks

    def moves(self, blocks: Sequence[Sequence[int]], reach: int) -> list[Move]:
        """Return how tasks near a block's border could leave the block.

        Only that can make the schedule shorter; nothing leaves the first block at its front, nor
        the last one at its end.
        """
        found: list[Move] = []
        for place, block in enumerate(blocks):
            size = len(block)
            if place < len(blocks) - 1:
                for at in range(max(0, size - 1 - reach), size - 1):
                    old = list(block[at:])
                    found.append(Move(old, [*old[1:], old[0]], is_forward=True))
            if place:
                is_whole = size == 2 and place < len(blocks) - 1
                for at in range(1, 1 if is_whole else min(size, 1 + reach)):
                    old = list(block[: at + 1])
                    found.append(Move(old, [old[-1], *old[:-1]], is_forward=False))
        return found

    def estimate(self, move: Move) -> int:
        """Return a lower bound of the longest path through the tasks that a move would have moved.

        After Balas and Vazacopoulos, "Guided local search with shifting bottleneck for job shop
        scheduling", Management Science 44 (1998).
        """
        ends, tails, durations = self.ends, self.tails, self._project.durations
        predecessors, successors = self._project.predecessors, self._project.successors
        at, early = ends[self._before[move.old[0]]], list[int]()
        for task in move.new:
            for other in predecessors[task]:
                at = max(at, ends[other])
            at += durations[task]
            early.append(at)
        tail, longest = tails[self._after[move.old[-1]]], 0
        for task in reversed(move.new):
            for other in successors[task]:
                tail = max(tail, tails[other])
            longest = max(longest, early.pop() + tail)
            tail += durations[task]
        return longest

    def apply(self, move: Move) -> bool:
        """Make a move; False where it would close a cycle, and nothing is changed."""
        first, last = self._places[move.old[0]], self._places[move.old[-1]]
        stretch = self._order[first : last + 1]
        turned = self._forward(stretch) if move.is_forward else self._backward(stretch)
        if not turned:
            return False
        self._order[first : last + 1] = turned
        for place, task in enumerate(turned, first):
            self._places[task] = place
        ahead, behind = self._before[move.old[0]], self._after[move.old[-1]]
        for task in move.new:
            self._link(ahead, task)
            ahead = task
        self._after[ahead] = -1
        self._link(ahead, behind)
        self._recount(first, last)
        return True

    def _forward(self, stretch: Sequence[int]) -> list[int]:
        """Return the stretch with its first task behind its last one; empty if the last needs the first."""
        moved, successors = stretch[0], self._project.successors
        needed = {stretch[-1]}
        for task in reversed(stretch[1:-1]):
            if self._after[task] in needed or not needed.isdisjoint(successors[task]):
                needed.add(task)
        if not needed.isdisjoint(successors[moved]):
            return []
        kept = [task for task in stretch[1:] if task not in needed]
        return [*(task for task in stretch if task in needed), moved, *kept]

    def _backward(self, stretch: Sequence[int]) -> list[int]:
        """Return the stretch with its last task before its first one; empty if it needs the first."""
        moved, predecessors = stretch[-1], self._project.predecessors
        needing = {stretch[0]}
        for task in stretch[1:-1]:
            if self._before[task] in needing or not needing.isdisjoint(predecessors[task]):
                needing.add(task)
        if not needing.isdisjoint(predecessors[moved]):
            return []
        kept = [task for task in stretch[:-1] if task not in needing]
        return [*kept, moved, *(task for task in stretch if task in needing)]
