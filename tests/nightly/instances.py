"""Schedules published instances: ``python -m tests.nightly.instances DATA [--improve S] [--only SET...]``.

``DATA`` holds the folders ``rcpsp``, ``stg``, ``jsp`` and ``wt40``, each with an ``index.csv`` of the
best known values. Each instance goes through ``talka simulate``, so through what schedules real tasks.
Prints one JSON object for each set, with what is asked of it, and exits with 1 where that is not reached.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

ONE_PASS = 0.0
GOALS: dict[str, dict[float, float]] = {
    "j30": {ONE_PASS: 5.5, 1.0: 0.3, 10.0: 0.03},
    "j60": {ONE_PASS: 7.5, 1.0: 1.4, 10.0: 0.8},
    "j120": {ONE_PASS: 14.0, 1.0: 6.5, 10.0: 5.5},
    "rg300": {ONE_PASS: 8.0, 1.0: 4.5, 10.0: 3.5},
    "mplib": {ONE_PASS: 1.2, 1.0: 0.6, 10.0: 0.4},
    "jsp1000": {ONE_PASS: 15.0, 1.0: 9.0},
    "jsp2000": {ONE_PASS: 5.0, 1.0: 3.0},
}
"""At most so many percent above the best known value on average, by the seconds of improvement."""

OPTIMAL_SHARE = {1.0: 99.0}
"""At least so many percent of the known optima of task graphs are met."""

TARDINESS_PERCENT = {ONE_PASS: 2.0}
"""The weighted tardiness of all sets is at most so many percent above that of the optima."""


@dataclass(frozen=True)
class Instance:
    """One instance: what `talka simulate` is asked, with which options, and the best value that is known."""

    family: str
    file: str
    options: tuple[str, ...]
    best: float
    is_optimal: bool


def rows(index: Path) -> list[dict[str, str]]:
    """Return the lines of an index."""
    with index.open(newline="") as lines:
        return list(csv.DictReader(lines))


def instances(data: Path) -> Iterator[Instance]:
    """Yield every instance with a best known value."""
    for folder in ("rcpsp", "jsp", "stg"):
        for row in rows(data / folder / "index.csv"):
            where = str(data / folder / row["file"])
            capacity = ("--capacity", f"cpu_cores={row['processors']}") if folder == "stg" else ()
            is_optimal = row["status"] == "optimal"
            yield Instance(row["set"], where, capacity, float(row["best_known"]), is_optimal)
    for row in rows(data / "wt40" / "index.csv"):
        where = f"{data / 'wt40' / 'wt40.txt'}#{row['position_in_file']}"
        best = float(row["optimal_weighted_tardiness"])
        yield Instance("wt40", where, ("--strategy", "deadline"), best, is_optimal=True)


def simulated(members: Iterable[Instance], improve_s: float) -> Iterator[tuple[Instance, float]]:
    """Yield the makespan, or weighted tardiness, of each in seconds; one command for each set of options."""
    search = ("--improve", str(improve_s)) if improve_s else ()
    together: dict[tuple[str, ...], list[Instance]] = {}
    for instance in members:
        together.setdefault(instance.options, []).append(instance)
    for options, those in together.items():
        files = [instance.file for instance in those]
        command = (sys.executable, "-m", "talka", "simulate", *files, *options, *search, "--json")
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        for instance, line in zip(those, output.splitlines(), strict=True):
            key = "weighted_tardiness_s" if instance.family == "wt40" else "makespan_s"
            yield instance, float(json.loads(line)[key])


def judged(family: str, measured: list[tuple[Instance, float]], improve_s: float) -> dict[str, object]:
    """Return what a set came to, and whether that is what is asked."""
    known = [
        (instance.best, value) for instance, value in measured if instance.is_optimal or family[:3] != "stg"
    ]
    verdict: dict[str, object] = {"set": family, "instances": len(measured), "improve_s": improve_s}
    if family == "wt40":
        above = 100 * (sum(value for _, value in known) / sum(best for best, _ in known) - 1)
        missed = sum(1 for best, value in known if not best and value)
        goal = TARDINESS_PERCENT.get(improve_s)
        verdict |= {"above_percent": above, "needlessly_late": missed, "goal": goal}
        return verdict | {"is_met": goal is None or (above <= goal and not missed)}
    if family.startswith("stg"):
        met = sum(1 for best, value in known if value <= best)
        goal = OPTIMAL_SHARE.get(improve_s)
        verdict |= {"optima": len(known), "optima_met": met, "goal_percent": goal}
        return verdict | {"is_met": goal is None or 100 * met >= goal * len(known)}
    above = 100 * fmean(value / best - 1 for best, value in known)
    goal = GOALS.get(family, {}).get(improve_s)
    return verdict | {"above_percent": above, "goal": goal, "is_met": goal is None or above <= goal}


def main(arguments: Iterable[str] | None = None) -> int:
    """Print a line for each set; return the exit code."""
    parser = argparse.ArgumentParser(description="Schedule the published instances.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--improve", type=float, default=ONE_PASS, help="seconds of search for each instance")
    parser.add_argument("--only", nargs="+", default=(), metavar="SET")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    sets: dict[str, list[Instance]] = {}
    for instance in instances(chosen.data):
        if not chosen.only or instance.family in chosen.only:
            sets.setdefault(instance.family, []).append(instance)
    is_met = True
    for family, members in sets.items():
        verdict = judged(family, list(simulated(members, chosen.improve)), chosen.improve)
        is_met &= bool(verdict["is_met"])
        sys.stdout.write(json.dumps(verdict) + "\n")
        sys.stdout.flush()
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
