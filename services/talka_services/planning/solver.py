"""Exact search in a window of a schedule, by OR-Tools CP-SAT (extra ``optimize``)."""

from __future__ import annotations

from functools import reduce
from math import gcd

from ortools.sat.python import cp_model

from talka_core.search import Project
from talka_core.search.windows import Window

_SOLVED = (cp_model.OPTIMAL, cp_model.FEASIBLE)


def solved(
    project: Project, window: Window, effort: float, limit_s: float, seed: int = 0
) -> list[int] | bool:
    """Return the starts of all tasks with the free ones placed, False if there is no way, True if unknown.

    Args:
        project: What is scheduled.
        window: The tasks to place, and the makespan that is wanted.
        effort: The solver's deterministic time; a unit is about a second.
        limit_s: An end to it by the clock as well.
        seed: Same seed and effort, same answer, unless the clock ends it.
    """
    if window.is_closed:
        return False
    unit = reduce(gcd, project.durations, window.target) or 1
    model = cp_model.CpModel()
    begins = _variables(model, window, unit)
    for task in window.free:
        for needed in project.predecessors[task]:
            if needed in begins:
                model.add(begins[task] >= begins[needed] + project.durations[needed] // unit)
    _share(model, project, window, begins, unit)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_deterministic_time = effort
    solver.parameters.max_time_in_seconds = limit_s
    # A window is small, and another one follows at once: long preparations do not pay.
    solver.parameters.linearization_level = 0
    solver.parameters.cp_model_probing_level = 0
    solver.parameters.symmetry_level = 0
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return False
    if status not in _SOLVED:
        return True
    starts = list(window.starts)
    for task, begin in begins.items():
        starts[task] = unit * solver.value(begin)
    return starts


def _variables(model: cp_model.CpModel, window: Window, unit: int) -> dict[int, cp_model.IntVar]:
    begins: dict[int, cp_model.IntVar] = {}
    for task, low, high in zip(window.free, window.earliest, window.latest, strict=True):
        begins[task] = model.new_int_var(-(-low // unit), high // unit, "")
        model.add_hint(begins[task], min(high, max(low, window.starts[task])) // unit)
    return begins


def _share(
    model: cp_model.CpModel,
    project: Project,
    window: Window,
    begins: dict[int, cp_model.IntVar],
    unit: int,
) -> None:
    """Let no resource be overdrawn, by what is free and what is fixed where that could meet."""
    durations = project.durations
    opens = min(window.earliest)
    closes = max(high + durations[task] for task, high in zip(window.free, window.latest, strict=True))
    intervals: dict[int, cp_model.IntervalVar] = {}
    for task, start in enumerate(window.starts):
        if not durations[task]:
            continue
        if task in begins:
            intervals[task] = model.new_fixed_size_interval_var(begins[task], durations[task] // unit, "")
        elif start < closes and start + durations[task] > opens:
            intervals[task] = model.new_fixed_size_interval_var(start // unit, durations[task] // unit, "")
    for resource, capacity in enumerate(project.capacity):
        held = [task for task in intervals if project.demands[task][resource]]
        if any(task in begins for task in held):
            amounts = [project.demands[task][resource] for task in held]
            model.add_cumulative([intervals[task] for task in held], amounts, capacity)
