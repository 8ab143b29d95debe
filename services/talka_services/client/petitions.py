"""Who asked for what: every request that a log has recorded, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from talka_protocols.commit import Commit
from talka_protocols.events import Event, RequestRefused
from talka_protocols.subjects import EXECUTION, PLAN, LogName
from talka_services.client.histories import Histories


class Petition(Struct, frozen=True):
    """What somebody asked for: the types of the events that it led to, or why it was refused.

    ``at`` is when it was recorded (Unix seconds), ``version`` the first of its events in ``log``.
    """

    at: float
    asked_by: str
    log: str
    version: int
    events: tuple[str, ...]
    task_id: str = ""
    refused: str = ""


def logs_of(histories: Histories, execution_id: str) -> tuple[LogName, LogName]:
    """Return the logs that record what is asked of an execution: its plan's, and its own."""
    own = histories.name(execution_id)
    return LogName(PLAN, own.shard, execution_id), LogName(EXECUTION, own.shard, execution_id)


async def petitions(histories: Histories, logs: Iterable[LogName]) -> list[Petition]:
    """Return what was asked for in some logs, in the order of time.

    Raises:
        BrokenHistoryError: a commit cannot be read.
    """
    found = [
        petition
        for name in logs
        for _position, commit in await histories.commits(name)
        for petition in _petitions(name, commit)
    ]
    return sorted(found, key=lambda each: (each.at, each.log, each.version))


def _petitions(name: LogName, commit: Commit[Event]) -> Iterable[Petition]:
    version = commit.version
    for decision in commit.decisions:
        if decision.asked_by:
            kinds = dict.fromkeys(type(event).__name__ for event in decision.events)
            tasks = (getattr(event, "task_id", "") for event in decision.events)
            refusals = (each.message for each in decision.events if isinstance(each, RequestRefused))
            yield Petition(
                commit.at / 1000,
                decision.asked_by,
                str(name),
                version,
                tuple(kinds),
                next(filter(None, tasks), ""),
                next(refusals, ""),
            )
        version += len(decision.events)
