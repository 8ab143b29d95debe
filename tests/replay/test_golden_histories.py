"""Goal: what was stored once is readable for ever, and folds to the state that it folded to then.

Method: histories recorded by ``record.py`` are folded again. A state may have gained fields since; what
was recorded must be in it unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import pytest
from msgspec import Raw
from tests.replay.folded import FOLDED, folded

from talka_core.history import FOLDS, apply, packed, violations
from talka_core.scheduler import SCHEDULER
from talka_protocols.commit import decode_commit, encode_commit
from talka_protocols.events import (
    ExecutionEvent,
    PlanEvent,
    PoolEvent,
    ScheduleEvent,
    ShardEvent,
    TriggerEvent,
)
from talka_protocols.subjects import EXECUTION, LogName

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.jsonl"))


def _differences(recorded: Any, actual: Any, place: str = "") -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(actual, dict):
        fields, found = cast("dict[str, Any]", recorded), cast("dict[str, Any]", actual)
        for key, value in fields.items():
            yield from _differences(value, found.get(key, "nothing"), f"{place}.{key}")
    elif recorded != actual:
        yield f"{place} was {recorded!r} and is {actual!r}"


def _read(path: Path) -> tuple[dict[LogName, list[bytes]], dict[LogName, Any]]:
    commits: dict[LogName, list[bytes]] = {}
    states: dict[LogName, Any] = {}
    for text in path.read_bytes().splitlines():
        fields = msgspec.json.decode(text, type=dict[str, Raw])
        log = msgspec.json.decode(fields["log"], type=LogName)
        if "commit" in fields:
            commits.setdefault(log, []).append(bytes(fields["commit"]))
        else:
            states[log] = msgspec.json.decode(fields["state"])
    return commits, states


def test_every_kind_of_event_is_in_a_history() -> None:
    """Whatever may be stored is kept here, so that a new kind comes with its history."""
    unions = (ExecutionEvent, PlanEvent, PoolEvent, ScheduleEvent, ShardEvent, TriggerEvent)
    kinds = {kind for union in unions for kind in get_args(union)}
    recorded = (
        type(event)
        for path in HISTORIES
        for log, bodies in _read(path)[0].items()
        for body in bodies
        for _, _, event in decode_commit(log, body).events()
    )
    assert kinds - set(recorded) == set()


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_history_folds_to_the_recorded_state(path: Path) -> None:
    """Every log of the history folds to the state that was recorded with it."""
    commits, states = _read(path)
    for log, bodies in commits.items():
        fold = FOLDS[log.kind]
        state = apply(fold, fold.initial(log.key), [decode_commit(log, body) for body in bodies])
        assert list(_differences(states[log], msgspec.json.decode(packed(fold, state)), str(log))) == []


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_history_keeps_to_the_tables(path: Path) -> None:
    """The history moves only as the tables allow, and would be written the same today."""
    commits, _ = _read(path)
    for log, bodies in commits.items():
        decoded: list[Any] = [decode_commit(log, body) for body in bodies]
        assert [encode_commit(commit) for commit in decoded] == bodies
        if log.kind == EXECUTION:
            assert not list(violations(SCHEDULER.initial(log.key), decoded))


def test_the_page_has_the_histories() -> None:
    """What the page's own fold is held against is what these histories fold to."""
    recorded = {path.stem: path.read_bytes() for path in FOLDED.glob("*.json")}
    assert recorded == {path.stem: folded(path) for path in HISTORIES}, (
        "python -m tests.replay.folded writes them anew"
    )
