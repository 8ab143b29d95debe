"""The modelled broker in calm weather, for the suites to hold it to what the real one does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from talka_chaos.swarm import Faults
from talka_chaos.world import World
from talka_protocols.ports import Post
from talka_protocols.subjects import Names
from talka_services.memory import MemoryPost

NO_FAULTS = Faults(**dict.fromkeys(Faults.__struct_fields__, 0.0) | {"delay_s": 0.001})


def _anything(*_commit: object) -> bool:
    return False


class Immortal:
    """A process that is in contact and does not die."""

    cut_until_s = 0.0

    def crash(self) -> None:
        """Be asked to die, which nobody does here."""
        raise AssertionError("nothing goes wrong in calm weather")


def calm_world(names: Names) -> World:
    """Return a world in which nothing goes wrong, on the loop that runs."""
    world = World(0, NO_FAULTS)
    world.is_stormy = False
    world.names, world.post = names, MemoryPost(names)
    # It judges what actors commit, and here anything is.
    world.book = cast("Any", SimpleNamespace(take=_anything))
    return world


class CountingPost:
    """A post that knows how much was sent to each subject."""

    def __init__(self, inner: Post) -> None:
        self.sent: Counter[str] = Counter()
        self._inner = inner

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Send envelopes; see the port."""
        await self._inner.send(envelopes)
        self.sent.update(subject for subject, _ in envelopes)
