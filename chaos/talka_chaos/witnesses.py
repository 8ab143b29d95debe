"""Witnesses of a world's workers: they tell the pool when a worker has died and nothing of it is left.

They stand where ``services/witness`` puts a process. Not every world has them, and where there are
some, not every death has one: a machine takes its witness with it. What is told may take long.
"""

from __future__ import annotations

import asyncio
from random import Random

from talka_chaos.world import World
from talka_protocols.messages import Envelope, Letter, Parcel, Recipient, WorkerLeft, encode_envelope

SHARE = 0.3
TOLD = 0.8
LATE = 0.2
SOON_S = 1.5
LATE_S = 6.0


class Witness:
    """Sees the deaths of one worker; nothing else of a world depends on what it draws."""

    def __init__(self, worker_id: str, pool: str, world: World) -> None:
        has_one = Random(f"witnesses {world.seed}").random() < SHARE  # noqa: S311  (a seed is no secret)
        self._random = Random(f"witness {world.seed} {worker_id}")  # noqa: S311
        self._share = TOLD if has_one else 0.0
        self._worker_id = worker_id
        self._pool = pool
        self._world = world
        self._incarnation = 0

    def expect(self, incarnation: int) -> None:
        """Know which incarnation ends with the process."""
        self._incarnation = incarnation

    def see_the_end(self) -> None:
        """Have it told, some time later, that nothing runs any more."""
        incarnation, self._incarnation = self._incarnation, 0
        if incarnation and self._random.random() < self._share:
            most_s = LATE_S if self._random.random() < LATE else SOON_S
            loop = asyncio.get_running_loop()
            loop.call_later(self._random.uniform(0.0, most_s), self._tell, incarnation)

    def _tell(self, incarnation: int) -> None:
        self._world.note("witnessed", self._worker_id, incarnation)
        self._world.injected["witnessed"] += 1
        message = WorkerLeft(self._pool, self._worker_id, incarnation, is_ended=True)
        letter = Letter(f"witness:{self._worker_id}:{incarnation}", message)
        sender = f"witness.{self._worker_id}"
        body = encode_envelope(Envelope((Parcel(sender, incarnation, (letter,)),)))
        self._world.request(Recipient.RESOURCE.value, self._pool, body)
