"""Goal: orders for resources that do one task at a time are feasible, and get shorter where they can."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core_search.test_search import check

from talka_core.search import Project, begin, proceed
from talka_core.search.dice import Dice
from talka_core.search.disjunctive import Sequencing, machines_of
from talka_core.search.rules import best_ranks
from talka_core.search.schedules import serial


def shop(jobs: int, machines: int, seed: int) -> Project:
    """Return a job shop whose jobs also have a task without a machine, and may fork and wait for others."""
    random = Random(seed)
    durations: list[int] = []
    predecessors: list[tuple[int, ...]] = []
    demands: list[tuple[int, ...]] = []
    for _ in range(jobs):
        own: list[int] = []
        for machine in [*random.sample(range(machines), machines), None]:
            durations.append(random.choice((0, 1, 2, 5, 9)))
            others = random.sample(range(len(predecessors)), min(len(predecessors), random.randint(0, 1)))
            predecessors.append(tuple({*own[-random.randint(1, 2) :], *others}))
            demands.append(tuple(int(number == machine) for number in range(machines)))
            own.append(len(durations) - 1)
    return Project(range(len(durations)), durations, predecessors, demands, [1] * machines)


shops = st.builds(shop, st.integers(1, 5), st.integers(1, 4), st.integers(0, 10**6))


@settings(deadline=None, max_examples=80, derandomize=True)
@given(shops, st.integers(0, 10**6))
def test_every_move_keeps_a_schedule_and_no_estimate_is_too_long(project: Project, seed: int) -> None:
    """After each move the schedule is as if it had been measured from the start; a cycle changes nothing."""
    machines, dice = machines_of(project), Dice(seed)
    assert machines is not None
    sequencing = Sequencing(project, machines, serial(project, range(len(project.durations))))
    for _ in range(12):
        moves = sequencing.moves(sequencing.critical(dice), 3)
        if not moves:
            break
        move = moves[dice.below(len(moves))]
        estimate, before = sequencing.estimate(move), sequencing.starts
        if not sequencing.apply(move):
            assert sequencing.starts == before
            continue
        check(project, sequencing.starts)
        again = Sequencing(project, machines, sequencing.starts)
        assert (again.ends, again.tails) == (sequencing.ends, sequencing.tails)
        at = sequencing.starts
        for first, second in move.turned:
            assert at[second] < at[first]
        is_adjacent = len(move.old) == 2
        assert not is_adjacent or estimate <= sequencing.length


@settings(deadline=None, max_examples=20, derandomize=True)
@given(shops, st.integers(0, 99))
def test_the_local_search_can_be_interrupted(project: Project, seed: int) -> None:
    """In one go or in parts, over a stored state or not, the same steps lead to the same schedule."""
    whole = proceed(project, begin(project, seed), 12)
    part = proceed(project, begin(project, seed), 5)
    stored = msgspec.json.decode(msgspec.json.encode(part), type=type(part))
    assert proceed(project, stored, 7) == whole
    check(project, whole.best)
    assert whole.bound <= whole.makespan <= best_ranks(project)[0]


def test_a_shop_is_done_much_sooner_than_by_the_rules() -> None:
    """Fisher and Thompson's ten jobs on ten machines; the optimum is 930, the rules need over 1,000."""
    project = _ten_by_ten()
    search = proceed(project, begin(project), 80)
    assert best_ranks(project)[0] > 1_000
    assert 930 <= search.makespan <= 960
    check(project, search.best)


def test_what_does_several_tasks_at_once_is_no_shop() -> None:
    """Neither room for two, nor a task with two machines; a task that takes nothing is no matter."""
    assert machines_of(Project(range(3), (1, 1, 1), ((), (), ()), ((1,), (1,), (1,)), (2,))) is None
    assert machines_of(Project((0, 1), (1, 1), ((), ()), ((1, 1), (1, 0)), (1, 1))) is None
    assert machines_of(Project((0, 1, 2), (1, 1, 0), ((), (), ()), ((2,), (0,), (2,)), (3,))) == [0, -1, -1]


def test_what_is_enough_for_all_machines_is_no_matter() -> None:
    """Two machines and a task without one need three slots at most, however many tasks there are."""
    demands = ((1, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 1))
    free = ((), (), (), ())
    assert machines_of(Project(range(4), (1, 1, 1, 1), free, demands, (1, 1, 3))) == [0, 0, 1, -1]
    assert machines_of(Project(range(4), (1, 1, 1, 1), free, demands, (1, 1, 2))) is None


def _ten_by_ten() -> Project:
    rows = """
    0 29 1 78 2 9 3 36 4 49 5 11 6 62 7 56 8 44 9 21
    0 43 2 90 4 75 9 11 3 69 1 28 6 46 5 46 7 72 8 30
    1 91 0 85 3 39 2 74 8 90 5 10 7 12 6 89 9 45 4 33
    1 81 2 95 0 71 4 99 6 9 8 52 7 85 3 98 9 22 5 43
    2 14 0 6 1 22 5 61 3 26 4 69 8 21 7 49 9 72 6 53
    2 84 1 2 5 52 3 95 8 48 9 72 0 47 6 65 4 6 7 25
    1 46 0 37 3 61 2 13 6 32 5 21 9 32 8 89 7 30 4 55
    2 31 0 86 1 46 5 74 4 32 6 88 8 19 9 48 7 36 3 79
    0 76 1 69 3 76 5 51 2 85 9 11 6 40 7 89 4 26 8 74
    1 85 0 13 2 61 6 7 8 64 9 76 5 47 3 52 4 90 7 45
    """
    durations: list[int] = []
    predecessors: list[tuple[int, ...]] = []
    demands: list[tuple[int, ...]] = []
    for row in rows.split("\n")[1:-1]:
        numbers = list(map(int, row.split()))
        for place, (machine, own) in enumerate(zip(numbers[::2], numbers[1::2], strict=True)):
            predecessors.append((len(durations) - 1,) if place else ())
            durations.append(own)
            demands.append(tuple(int(number == machine) for number in range(10)))
    return Project(range(100), durations, predecessors, demands, [1] * 10)
