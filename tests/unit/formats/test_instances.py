"""Goal: published instances become the workflows that they describe; damaged ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka_core.simulation import Offer, simulate
from talka_protocols.errors import WorkflowInvalidError
from talka_services.formats.instances import Instance, instances_in, is_instance, read_instance

PSPLIB = """\
***********
file with basedata            : any.bas
***********
projects                      :  1
jobs (incl. supersource/sink ):  4
RESOURCES
  - renewable                 :  2   R
  - nonrenewable              :  0   N
***********
PROJECT INFORMATION:
pronr.  #jobs rel.date duedate tardcost  MPM-Time
    1      2      0        9        1        9
***********
PRECEDENCE RELATIONS:
jobnr.    #modes  #successors   successors
   1        1          2           2   3
   2        1          1           4
   3        1          1           4
   4        1          0
***********
REQUESTS/DURATIONS:
jobnr. mode duration  R 1  R 2
------------------------------
  1      1     0       0    0
  2      1     3       2    0
  3      1     4       2    1
  4      1     0       0    0
***********
RESOURCEAVAILABILITIES:
  R 1  R 2
    3    1
***********
"""
PATTERSON = "4 2\n3 1\n0 0 0 2 2\n 3\n3 2 0 1 4\n4 2 1 1 4\n0 0 0 0\n"
MPLIB = "2\n1\n3\n3 0\n1\n0 0 1 1:2\n3 2 1 1:3\n0 0 0\n3 2\n1\n0 0 1 2:2\n4 2 1 2:3\n0 0 0\n"
TASK_GRAPH = "2\n0 0 0\n1 3 1 0\n2 4 1 0\n3 0 2 1 2\n# Edges : 4 (of 6)\n"
JOB_SHOP = "2 2\n0 3 1 2\n1 4 0 1\n"


def _read(directory: Path, suffix: str, text: str) -> Instance:
    file = directory / f"any{suffix}"
    file.write_text(text)
    assert is_instance(str(file))
    return read_instance(str(file))


@pytest.mark.parametrize(
    ("suffix", "text", "capacity", "tasks", "makespan_s"),
    [
        (".sm", PSPLIB, {"r1": 3.0, "r2": 1.0}, 4, 7.0),
        (".rcp", PATTERSON, {"r1": 3.0, "r2": 1.0}, 4, 7.0),
        (".rcmp", MPLIB, {"r1": 3.0}, 7, 7.0),
        (".stg", TASK_GRAPH, {}, 4, 7.0),
        (".jsp", JOB_SHOP, {"m0": 1.0, "m1": 1.0}, 4, 6.0),
    ],
)
def test_formats(
    tmp_path: Path, suffix: str, text: str, capacity: dict[str, float], tasks: int, makespan_s: float
) -> None:
    """Capacities, tasks, needs and order are those of the file, as its schedule shows."""
    instance = _read(tmp_path, suffix, text)
    assert instance.capacity == capacity
    assert len(instance.workflow.tasks) == tasks
    run = simulate(instance.workflow, [Offer(capacity or {"cpu_cores": 1.0})])
    assert (run.status, run.makespan_s) == ("succeeded", makespan_s)


def test_release_date_is_waited_for(tmp_path: Path) -> None:
    """A project begins when it is released, and its wait holds nothing."""
    run = simulate(
        _read(tmp_path, ".rcmp", MPLIB.replace("3 2\n1", "3 50\n1")).workflow, [Offer({"r1": 3.0})]
    )
    assert run.tasks["2.1"].start_s == 50.0
    assert run.tasks["1.2"].start_s == 0.0


@pytest.mark.parametrize(
    ("suffix", "text", "line"),
    [
        (".rcp", "", 1),
        (".rcp", "4 2\n3 x\n", 2),
        (".rcp", PATTERSON.replace("1 4\n0", "1 9\n0"), 7),
        (".rcp", "4 -2\n", 1),
        (".rcp", "999999999999\n", 1),
        (".sm", PSPLIB.replace("REQUESTS", "OTHER"), 20),
        (".rcmp", MPLIB.replace("1:2", "12"), 7),
        (".jsp", "2 2\n0 3 1\n", 2),
        (".jsp", "\0\xff", 1),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, suffix: str, text: str, line: int) -> None:
    """The error names the file and the line."""
    with pytest.raises(WorkflowInvalidError) as caught:
        _read(tmp_path, suffix, text)
    assert (caught.value.code, caught.value.line) == ("bad_instance", line)
    assert caught.value.file


def test_a_text_may_be_anything(tmp_path: Path) -> None:
    """Only a text that begins as a job shop does is one; others may be Talka files, or missing."""
    for name, text, is_one in (("a", JOB_SHOP, True), ("b", "talka: 1\nname: w\n", False), ("c", "", False)):
        (tmp_path / f"{name}.txt").write_text(text)
        assert is_instance(str(tmp_path / f"{name}.txt")) is is_one
    assert not is_instance(str(tmp_path / "none.txt"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The name of the file is in the message."""
    with pytest.raises(WorkflowInvalidError, match=r"none\.sm"):
        read_instance(str(tmp_path / "none.sm"))


TARDINESS = "3 5\n2 9\n4 0\n1 1\n7 8\n3 9\n"


def test_sets_with_due_dates(tmp_path: Path) -> None:
    """Each set of a file is a workflow of its own, with one machine for all jobs."""
    file = tmp_path / "wt2.txt"
    file.write_text(TARDINESS)
    assert is_instance(f"{file}#2")
    assert instances_in(str(file)) == [f"{file}#1", f"{file}#2"]
    assert instances_in(f"{file}#2") == [f"{file}#2"]
    instance = read_instance(f"{file}#1")
    assert instance.capacity == {"machine": 1.0}
    assert [(task.deadline, task.weight) for task in instance.workflow.tasks] == [(4.0, 2.0), (0.0, 9.0)]
    run = simulate(instance.workflow, [Offer(instance.capacity)])
    assert (run.makespan_s, run.deadline_misses, run.weighted_tardiness_s) == (8.0, 2, 9 * 5 + 2 * 4)


@pytest.mark.parametrize(
    ("name", "text", "number", "message"),
    [
        ("wt2.txt", TARDINESS, "", "2 sets"),
        ("wt2.txt", TARDINESS, "#3", "no set 3"),
        ("wt2.txt", TARDINESS, "#0", "no set 0"),
        ("any.wt", TARDINESS + "4", "#1", "the end"),
        ("any.wt", "3 x 1\n1 1 1\n1 1 1", "", "'x'"),
        ("any.wt", "", "", "0 sets"),
    ],
)
def test_damaged_sets(tmp_path: Path, name: str, text: str, number: str, message: str) -> None:
    """A set that is not there or not whole is refused with the place."""
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(WorkflowInvalidError, match=message):
        read_instance(f"{file}{number}")
