"""Goal: the judges of the scenarios on real processes notice what they are there for.

Method: what clients, tasks and readers could have seen, made by hand, with one thing wrong in each.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from msgspec import Raw
from msgspec.structs import replace

from talka_chaos.records import Record
from talka_chaos.scenarios.catalogue import CATALOGUE
from talka_chaos.scenarios.effects import Effect
from talka_chaos.scenarios.judgement import acknowledged, acted_once, borne_out, ends
from talka_chaos.scenarios.load import GO, TASKS, WAITING, Load, graph
from talka_chaos.scenarios.observer import Observer
from talka_chaos.scenarios.report import table
from talka_chaos.scenarios.running import Outcome
from talka_core.validation import check
from talka_protocols.commit import Commit, Decision
from talka_protocols.events import Event, SignalReceived, TaskSucceeded
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import EXECUTION, LogName

RAN = Effect("key", "x", "t0", 2, 7)


def record(*events: Event) -> Record:
    """Return a record of one commit."""
    return Record("x", ((1, Commit(1, 0, 0, (Decision("", events),))),) if events else ())


def load(tmp_path: Path) -> Load:
    """Return the ledger of clients that were promised one execution and its signal."""
    kept = Load(cast("Any", None), tmp_path / "sink", Random(1), 20, 20)
    kept.submitted["x"] = graph("x", kept.sink, Random(1))
    kept.signalled.add("x")
    return kept


def test_the_load_is_valid(tmp_path: Path) -> None:
    """Its workflows can run, have so many tasks, and one of them waits for the signal."""
    workflow = check(graph("x", tmp_path / "sink", Random(3)))
    assert len(workflow.tasks) == TASKS
    assert [task.id for task in workflow.tasks if task.agent_type == "signal"] == [WAITING]


def test_what_was_promised_and_is_gone_is_noticed(tmp_path: Path) -> None:
    """A lost execution, a lost signal and one that is there twice are all noticed; none is if all is well."""
    promised, signal = load(tmp_path), SignalReceived(GO, GO, Raw(b"1"))
    assert list(acknowledged(record(signal), promised)) == []
    assert len(list(acknowledged(record(), promised))) == 2
    assert "signals on record" in "".join(acknowledged(record(signal, signal), promised))
    assert list(ends(promised)) == ["L1 x has not ended"]


def test_runs_that_must_not_be_are_noticed() -> None:
    """An attempt that ran twice, and a key of two tasks, or two keys of one."""
    later = replace(RAN, attempt=3, fence=8)
    assert list(acted_once([RAN, later])) == []
    assert "ran 2 times" in "".join(acted_once([RAN, RAN]))
    assert "W2" in "".join(acted_once([RAN, replace(RAN, task_id="t1")]))
    assert "W2" in "".join(acted_once([RAN, replace(later, key="other")]))


def test_outcomes_of_nobody_are_noticed() -> None:
    """A success that no attempt acted for, or with the result of another attempt."""
    good = TaskSucceeded(task_id="t0", attempt=2, result=Raw(b"2"), finished_at=1)
    assert list(borne_out(record(good), [RAN])) == []
    assert "did not act" in "".join(borne_out(record(replace(good, attempt=1)), [RAN]))
    assert "result of another" in "".join(borne_out(record(replace(good, result=Raw(b"1"))), [RAN]))


def test_reads_that_go_back_are_noticed() -> None:
    """A read that began after another had ended and shows less, or something else, is not linearizable."""
    name = LogName(EXECUTION, "0", "x")
    first, second, other = (StoredCommit(name, n, body, "") for n, body in ((1, b"a"), (2, b"b"), (2, b"c")))
    answers: list[list[StoredCommit]] = []

    def named(_execution_id: str) -> LogName:
        return name

    async def read(_name: LogName) -> list[StoredCommit]:
        return answers.pop(0)

    client = SimpleNamespace(
        histories=SimpleNamespace(name=named),
        node=SimpleNamespace(ports=SimpleNamespace(log=SimpleNamespace(read=read))),
    )

    async def looked(*given: list[StoredCommit]) -> Observer:
        observer = Observer()
        answers.extend(given)
        for _ in given:
            await observer.look(cast("Any", client), "x")
        return observer

    def violations(*given: list[StoredCommit]) -> int:
        return len(asyncio.run(looked(*given)).violations)

    assert violations([first], [first, second], [first, second]) == 0
    assert violations([first, second], [first]) == 1
    assert violations([first, second], [first, other]) == 1


def test_the_table_has_a_row_for_each_scenario() -> None:
    """Runs of one scenario stand together, with the ranges of their figures."""
    runs = [Outcome("kill-worker", 13, 325, 325 + more, 0, 9, 1.0, more / 10, ()) for more in (4, 16)]
    lines = table([*runs, replace(runs[0], scenario="power-loss", violations=("A1 gone",))]).splitlines()
    assert len(lines) == 4
    assert "| 2 | 13 | 4 to 16 | 0.4 to 1.6 s | 0 |" in lines[2]
    assert lines[3].endswith("| 1 |")


def test_there_are_enough_scenarios() -> None:
    """Each has a name, and says in a sentence what is broken."""
    assert len(CATALOGUE) >= 14
    assert len({scenario.fault for scenario in CATALOGUE.values()}) == len(CATALOGUE)
