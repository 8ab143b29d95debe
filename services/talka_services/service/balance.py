"""Knows which other services of a kind are there, and says which addresses are for them to own.

Leases alone decide who owns what: whoever is free takes what is free, at once.
This only makes a service give up what falls to another one by `share_of`, some
time after the last change of who is there. Services tell each other about
themselves without the server keeping anything; one that falls silent is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

import msgspec

from talka_core.ownership import Peer, share_of
from talka_protocols.errors import TalkaError
from talka_services.jetstream.connection import Connection, Message, NoAnswerError
from talka_services.telemetry import get_logger

BEAT_S = 1.0
SILENT_S = 3.5
STEADY_S = 3.0

log = get_logger(__name__)

_decode = msgspec.json.Decoder(Peer).decode


class Balance:
    """Tells the service ``me`` what to give up: ``give_up`` gets each id that is not for it."""

    def __init__(
        self, kind: str, ids: Sequence[str], connection: Connection, me: Peer, give_up: Callable[[str], None]
    ) -> None:
        self._subject = connection.names.owners(kind)
        self._ids = ids
        self._connection = connection
        self._me = me
        self._give_up = give_up
        self._heard: dict[Peer, float] = {}
        self._share = frozenset(ids)
        self._since = 0.0

    async def run(self, owned: Callable[[], Collection[str]]) -> None:
        """Go on until cancelled; ``owned`` returns the ids of what the service owns at this moment."""
        subscription = await self._connection.wire.subscribe(self._subject, cb=self._on_beat)
        clock = asyncio.get_running_loop().time
        body = msgspec.json.encode(self._me)
        try:
            while True:
                if self._connection.is_up.is_set():
                    await self._beat(body)
                    self._look(clock(), owned())
                else:
                    # Nobody can be heard, which says nothing about who is there.
                    self._heard.clear()
                await asyncio.sleep(BEAT_S)
        finally:
            if not self._connection.wire.is_closed:
                await subscription.unsubscribe()

    async def _beat(self, body: bytes) -> None:
        try:
            await self._connection.publish(self._subject, body)
        except (NoAnswerError, TalkaError) as error:
            log.debug("balance.not_heard", error=str(error))

    async def _on_beat(self, message: Message) -> None:
        peer = read_peer(message.data)
        if peer is None:
            log.warning("balance.unreadable", subject=self._subject)
        elif peer != self._me:
            self._heard[peer] = asyncio.get_running_loop().time()

    def _look(self, now: float, owned: Collection[str]) -> None:
        self._heard = {peer: at for peer, at in self._heard.items() if now - at < SILENT_S}
        share = share_of(self._me, self._heard, self._ids)
        if share != self._share:
            self._share, self._since = share, now
        if now - self._since < STEADY_S:
            return
        for id_ in sorted(set(owned) - share):
            log.info("balance.given_up", subject=self._subject, id=id_, services=len(self._heard) + 1)
            self._give_up(id_)


def read_peer(body: bytes) -> Peer | None:
    """Return the service that says that it is there, None where it is something else that was sent."""
    try:
        return _decode(body)
    except (ValueError, RecursionError):
        return None


def peer_of(holder: str) -> Peer:
    """Return this service as others know it."""
    return Peer(time.time_ns() // 1_000_000, holder)
