"""Goal: an event's document is its head and all that it says itself, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.unit.core_simulation.golden import HISTORIES, commits_of

from talka_protocols.commit import Decision
from talka_protocols.events import Event, ExecutionStarted
from talka_protocols.subjects import EXECUTION, LogName
from talka_services.client.tailing import event_json


def test_what_says_nothing_is_its_head() -> None:
    decision = Decision[Event]('a"b', (ExecutionStarted(),))
    text = event_json(LogName(EXECUTION, "0", "e"), 7, 2, 1500, decision, ExecutionStarted())
    assert msgspec.json.decode(text) == {
        "seq": 7,
        "version": 2,
        "at": 1.5,
        "type": "ExecutionStarted",
        "execution_id": "e",
        "id": msgspec.json.decode(text)["id"],
        "cause": 'a"b',
    }


def test_who_asked_is_told_where_somebody_did() -> None:
    decision = Decision[Event]("client-1:1", (ExecutionStarted(),), "token:ada")
    text = event_json(LogName(EXECUTION, "0", "e"), 7, 2, 1500, decision, ExecutionStarted())
    assert msgspec.json.decode(text)["asked_by"] == "token:ada"


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_every_field_is_there_once(path: Path) -> None:
    """Of every event in the golden histories; a name that is in both would be lost."""
    for log, commits in commits_of(path).items():
        for commit in commits:
            for version, decision, event in commit.decided():
                document = msgspec.json.decode(event_json(log, 1, version, commit.at, decision, event))
                own = msgspec.json.decode(msgspec.json.encode(event))
                assert document | own == document
                assert len(document) == 7 + len(own) - 1
                assert (document["version"], document["cause"]) == (version, decision.cause)
