"""Logs event by event: as documents, a page at a time, and on as they grow."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from talka_core.history import FOLDS, apply
from talka_protocols.commit import Commit, Decision, event_id
from talka_protocols.events import Event
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_protocols.subjects import EXECUTION, POOL, SCHEDULE, TRIGGER, LogName
from talka_services.client.histories import Histories

KEYS = {POOL: "pool", SCHEDULE: "name", TRIGGER: "name"}
"""What the key of a log is called in its events; that of every other is an execution id."""


async def until_over(
    histories: Histories, execution_id: str, after: int = 0
) -> AsyncGenerator[tuple[int, Commit[Event]]]:
    """Yield an execution's commits with their positions, and go on until it is over.

    What it ended with before it was resumed or restarted is no end. Commits
    that hold nothing behind event ``after`` may be left out.

    Raises:
        UnknownExecutionError: there is no such execution.
        BrokenHistoryError: its log cannot be folded.
    """
    state, newest = await histories.latest(execution_id)
    begin = newest if after >= state.version else 0
    if begin and state.status in FINAL_EXECUTION_STATES:
        return
    async with aclosing(histories.follow_commits(histories.name(execution_id), begin)) as commits:
        async for position, commit in commits:
            yield position, commit
            if position > newest:
                apply(FOLDS[EXECUTION], state, [commit])
            if position >= newest and state.status in FINAL_EXECUTION_STATES:
                return


def event_documents(
    log: LogName, position: int, commit: Commit[Event], first: int = 1
) -> list[dict[str, Any]]:
    """Return the events of a commit from event ``first`` on, each as ``events --json`` prints it."""
    return [
        event_document(log, position, version, commit.at, decision, event)
        for version, decision, event in commit.decided()
        if version >= first
    ]


def event_document(
    log: LogName, position: int, version: int, at: int, decision: Decision[Event], event: Event
) -> dict[str, Any]:
    """Return an event as a document; ``at`` is in Unix seconds, its own instants in ms.

    ``cause`` is the id of the message that led to it, and ``asked_by`` who sent that, if it
    was a request; the correlation is the execution id.
    """
    document: dict[str, Any] = msgspec.json.decode(event_json(log, position, version, at, decision, event))
    return document


def event_json(
    log: LogName, position: int, version: int, at: int, decision: Decision[Event], event: Event
) -> bytes:
    """Return an event's document as JSON, which is put together from its head and what the event says itself.

    No field of an event has a name of the head's.
    """
    head = {
        "seq": position,
        "version": version,
        "at": at / 1000,
        "type": event.__struct_config__.tag,
        KEYS.get(log.kind, "execution_id"): log.key,
        "id": event_id(log, version),
        "cause": decision.cause,
    }
    if decision.asked_by:
        head["asked_by"] = decision.asked_by
    own = msgspec.json.encode(event)
    rest = own.find(b",", 1)
    return msgspec.json.encode(head)[:-1] + (own[rest:] if rest > 0 else b"}")
