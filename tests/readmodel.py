"""What the tests of the read model share: logs of generated histories as one log of notifications."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from random import Random
from typing import Any

from tests.properties.disturbance import disturb, submitted

from talka_chaos.model import Model
from talka_protocols.messages import Recipient, SubmitWorkflow
from talka_protocols.ports import StoredCommit
from talka_services.memory import MemoryBlobs
from talka_services.projection import Projector, View
from talka_services.projection.views import identity_rows


def history(seed: int, size: int, disturbances: int) -> Model:
    """Return a model in which a random graph has run through disturbances, perhaps not to its end."""
    random = Random(seed)
    model = submitted(random, size)
    for _ in range(disturbances):
        disturb(random, model)
    if seed % 3:
        for _, message in [sent for sent in model.archive if isinstance(sent[1], SubmitWorkflow)]:
            # It may have been lost.
            model.tell(Recipient.PLANNER, message)
        model.finish()
    return model


def notifications(model: Model, seed: int) -> list[StoredCommit]:
    """Return all commits of a model as one stream would hold them: each log in order, the logs mixed."""
    random = Random(seed)
    waiting = {player.name: list(player.commits) for player in model.players.values() if player.commits}
    stream: list[StoredCommit] = []
    while waiting:
        name = random.choice(sorted(waiting, key=str))
        stream.append(StoredCommit(name, len(stream) + 1, waiting[name].pop(0), ""))
        if not waiting[name]:
            del waiting[name]
    return stream


class Stream:
    """Notifications in memory, as a source and as a log to read executions from; gives ``page`` at a time."""

    def __init__(self, commits: Sequence[StoredCommit], page: int = 1_000) -> None:
        self.commits = list(commits)
        self.page = page
        self.reads = 0

    async def identity(self) -> str:
        """Return the stream's name."""
        return "stream"

    async def end(self) -> int:
        """Return the last position."""
        return len(self.commits)

    async def written_at(self, after: int) -> int:
        """Return a time, if anything follows."""
        return int(after < len(self.commits))

    async def follow(self, after: int) -> AsyncGenerator[Sequence[StoredCommit]]:
        """Yield what lies behind a position, then wait for ever."""
        for first in range(after, len(self.commits), self.page):
            yield self.commits[first : first + self.page]
        await asyncio.Event().wait()

    async def read(self, log: Any, after: int = 0) -> list[StoredCommit]:
        """Return one log's commits."""
        self.reads += 1
        return [commit for commit in self.commits if commit.log == log and commit.position > after]


def projector(view: View, stream: Stream) -> Projector:
    """Return a projector of a stream."""
    log: Any = stream
    return Projector(view, stream, log, MemoryBlobs())


def rows(view: View) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that a model says."""
    return dict(identity_rows(view))


__all__ = ["Stream", "history", "notifications", "projector", "rows"]
