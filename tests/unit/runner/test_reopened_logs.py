"""Goal: a log that had ended and goes on is live again for its shard, whatever moment its owner dies at.

Method: the states of a scheduler's shard over ports in memory, with a behaviour that is over when told so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from talka_core.scheduler import SCHEDULER
from talka_protocols import events as e
from talka_protocols.commit import decode_commit
from talka_protocols.messages import CancelExecution
from talka_protocols.ports import Inbox
from talka_protocols.subjects import EXECUTION, SHARD, LogName, Names
from talka_services.memory import MemoryBlobs, MemoryLeases, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal
from talka_services.runner.ports import Ports
from talka_services.runner.roster import Roster
from talka_services.runner.states import Cause, States

LOG = LogName(EXECUTION, "0", "e")
ROSTER = LogName(SHARD, "0", "scheduler-0")
OVER = "over"


def _decide(_state: Any, message: Any, _now_ms: int) -> Iterator[Any]:
    yield e.ExecutionPaused(reason=message.reason)


def _is_over(state: Any) -> bool:
    return bool(state.reason == OVER)


BEHAVIOUR: Any = replace(SCHEDULER, decide=_decide, is_over=_is_over)


class Shard:
    """One owner of the shard after the other, over the same logs."""

    def __init__(self) -> None:
        names = Names("test")
        self.log, self._post = MemoryLog(), MemoryPost(names)

        async def open_inbox(kind: str, address: str, on_renewed: Any) -> Inbox:
            return self._post.open_inbox(kind, address, on_renewed)

        self._ports = Ports(
            self.log,
            MemorySnapshots(),
            self._post,
            MemoryBlobs(),
            MemoryLeases(),
            open_inbox,
            names,
            shards=1,
        )
        self._epoch = 0

    async def take_over(self) -> list[str]:
        """Let a new owner begin, and return the logs that it would fold."""
        self._epoch += 1
        definitions = Definitions(self._ports.blobs)
        self.roster = Roster("scheduler", "0", self._ports, self._epoch)
        journal = StoredJournal(EXECUTION, "0", self._ports, definitions)
        self.states = States(BEHAVIOUR, journal, definitions, self._ports.clock, self.roster)
        return await self.roster.take_over("owner")

    async def say(self, reason: str) -> None:
        """Have one message decided, appended, and its log forgotten if it is over."""
        causes = await self.states.prepare([Cause("m", CancelExecution("e", reason))])
        touched = await self.states.decide(causes)
        assert await self.states.append(touched, self._epoch) == set()
        self.states.retire(touched)


async def test_a_log_that_goes_on_is_folded_by_the_next_owner() -> None:
    """Its end was recorded; when it goes on the roster names it again, until it ends again."""
    shard = Shard()
    assert await shard.take_over() == []
    await shard.say("begin")
    await shard.say(OVER)
    await shard.roster.flush()
    assert await shard.take_over() == []
    await shard.say("again")
    assert await shard.take_over() == ["e"]
    await shard.states.load("e")
    await shard.say(OVER)
    await shard.roster.flush()
    assert await shard.take_over() == []


async def test_a_log_that_goes_on_before_its_end_was_recorded_is_not_closed() -> None:
    """The end that was noted and not yet recorded is forgotten."""
    shard = Shard()
    await shard.take_over()
    await shard.say("begin")
    await shard.say(OVER)
    await shard.say("again")
    await shard.roster.flush()
    assert await shard.take_over() == ["e"]


async def test_the_roster_names_a_log_before_it_goes_on() -> None:
    """An owner that dies between the two appends leaves a log that is named and over, and not the reverse."""
    shard = Shard()
    await shard.take_over()
    await shard.say("begin")
    await shard.say(OVER)
    await shard.roster.flush()
    await shard.say("again")
    again = (await shard.log.read(LOG))[-1].position
    opened = [
        stored.position
        for stored in await shard.log.read(ROSTER)
        for _, _, event in decode_commit(ROSTER, stored.body).events()
        if event == e.LogsOpened(("e",))
    ]
    assert len(opened) == 2
    assert opened[1] < again


async def test_what_a_log_that_stays_over_records_does_not_open_it() -> None:
    """A refused request is recorded in the log of an execution that is over, and changes nothing else."""
    shard = Shard()
    await shard.take_over()
    await shard.say("begin")
    await shard.say(OVER)
    await shard.roster.flush()
    await shard.say(OVER)
    assert await shard.take_over() == []
