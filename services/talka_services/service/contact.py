"""Whether the pool hears this worker, as far as the worker can know by its own monotonic clock.

A heartbeat counts only when the pool's owner has acknowledged it, and then from
the moment it was sent: the owner heard of us no earlier than that. What we hold of
the whole pool it gives to somebody else two leases after that moment at the earliest:
one until we begin to stop, and one to stop in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from talka_services.jetstream.connection import Connection, Message, is_forbidden, is_nobody_there
from talka_services.service.liveness import LEASE_S, Heartbeat

CHECK_S = 0.1
UNANSWERED_MAX = 8
"""How many heartbeats may wait for their acknowledgement at once; older ones are not waited for."""


class Contact:
    """Sends a worker's heartbeats, and says when contact is lost and when it is there again.

    ``on_change`` is told whether it is lost. At first there is contact.
    """

    def __init__(
        self,
        connection: Connection,
        subject: str,
        on_change: Callable[[bool], None],
        lease_s: float = LEASE_S,
    ) -> None:
        self._connection = connection
        self._subject = subject
        self._on_change = on_change
        self._lease_s = lease_s
        self._heard_at = float("-inf")
        self._is_lost = False
        self._tokens: deque[str] = deque()

    def begin(self, now_s: float) -> None:
        """Count from the moment at which an incarnation begins to register: the pool hears of it later."""
        self._heard_at = max(self._heard_at, now_s)

    async def beat(self, beat: Heartbeat) -> None:
        """Send a heartbeat that asks for an acknowledgement."""
        sent_at = _now_s()

        def arrived(_index: int, answer: Message | None) -> None:
            if answer is not None and not is_nobody_there(answer) and not is_forbidden(answer):
                self._heard_at = max(self._heard_at, sent_at)
                self.check()

        self._tokens.append(await self._connection.ask(self._subject, msgspec.json.encode(beat), arrived))
        if len(self._tokens) > UNANSWERED_MAX:
            self._connection.forget(self._tokens.popleft())

    async def watch(self) -> None:
        """Look at the clock until cancelled."""
        while True:
            self.check()
            await asyncio.sleep(CHECK_S)

    def check(self) -> None:
        """Say what has changed since the last look."""
        is_lost = _now_s() - self._heard_at > self._lease_s
        if is_lost is not self._is_lost:
            self._is_lost = is_lost
            self._on_change(is_lost)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
