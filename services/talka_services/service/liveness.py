"""Who is still there: counts the silence of workers and clients on our own monotonic clock.

Silence counts only while we are connected and awake: everybody starts anew
after a takeover or a reconnect, and what we ourselves sleep through is nobody
else's silence. So neither a broker outage nor a busy process kills work.

A worker's heartbeat is acknowledged only while we count on its incarnation:
the worker stops what holds pool-wide amounts when acknowledgements stay away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Struct

from talka_core.resource import PoolRecord
from talka_core.resource.state import LEASE_MS, SILENCE_MS
from talka_protocols.errors import PlatformError
from talka_protocols.messages import (
    ClientLeft,
    Message,
    Recipient,
    RejoinWorker,
    WorkerLeft,
    sealed,
)
from talka_services.jetstream.connection import Connection, Subscription
from talka_services.jetstream.connection import Message as Wired
from talka_services.runner.journal import Entry
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

log = get_logger(__name__)

LEASE_S = LEASE_MS / 1000
SILENCE_S = SILENCE_MS / 1000
HEARTBEAT_S = 0.5
ASLEEP_S = 0.5
"""When we look again later than that, the rest of the time was ours and not theirs."""


class Heartbeat(Struct, frozen=True, omit_defaults=True):
    """Sent over core NATS, never stored; a client has no incarnation."""

    id: str
    incarnation: int = 0


_decoder = msgspec.json.Decoder(Heartbeat)


def read_heartbeat(body: bytes) -> Heartbeat | None:
    """Return a heartbeat, None for what is none: anybody who may send some can send anything."""
    try:
        return _decoder.decode(body)
    except (ValueError, RecursionError):
        return None


class Liveness:
    """Watches everybody who holds something of one pool."""

    def __init__(
        self,
        pool: str,
        tell: Callable[[Message], None],
        rejoin: Callable[[str, int], None],
        *,
        silence_s: float = SILENCE_S,
        lease_s: float = LEASE_S,
        asleep_s: float = ASLEEP_S,
    ) -> None:
        self._pool = pool
        self._tell = tell
        self._rejoin = rejoin
        self._silence_s = silence_s
        self._lease_s = lease_s
        self._asleep_s = asleep_s
        self._looked_at = _now_s()
        self._heard: dict[tuple[str, int], float] = {}
        self._strangers: set[tuple[str, int]] = set()
        self._known: set[tuple[str, int]] = set()
        self._given_up: set[tuple[str, int]] = set()

    def hear(self, body: bytes, who: str | None = None) -> bool:
        """Take note of a heartbeat, and tell whether it may be acknowledged.

        ``who`` is whose it is, as far as the server vouches for that: somebody else's counts for nothing.
        """
        beat = read_heartbeat(body)
        if beat is None or (who is not None and beat.id != who):
            return False
        identity = (beat.id, beat.incarnation)
        self._heard[identity] = _now_s()
        if beat.incarnation and identity not in self._known:
            self._strangers.add(identity)
        return identity in self._known and identity not in self._given_up

    def restart(self) -> None:
        """Let everybody start anew, after a takeover or a reconnect."""
        self._heard = dict.fromkeys(self._known, _now_s())

    def check(self, state: PoolRecord, *, is_connected: bool) -> None:
        """Report who has been silent for too long, and tell unknown incarnations to rejoin."""
        now_s = _now_s()
        self._forgive(now_s)
        self._known = _expected(state)
        if not is_connected:
            self.restart()
            return
        # Sorted, as the order of a set differs from process to process, and a seed has to tell all.
        for identity in sorted(self._known):
            heard_at = self._heard.setdefault(identity, now_s)
            if now_s - heard_at > self._patience_s(identity):
                del self._heard[identity]
                self._given_up.add(identity)
                self._report(*identity)
        for identity in sorted(self._strangers - self._known):
            self._rejoin(*identity)
        self._strangers.clear()
        self._given_up &= self._known
        self._heard = {who: at for who, at in self._heard.items() if who in self._known}

    def _forgive(self, now_s: float) -> None:
        """Take the time that we slept through off everybody's silence."""
        slept_s = now_s - self._looked_at - self._asleep_s
        self._looked_at = now_s
        if slept_s > 0:
            self._heard = {who: min(now_s, at + slept_s) for who, at in self._heard.items()}

    def _patience_s(self, identity: tuple[str, int]) -> float:
        return self._silence_s if identity[1] else self._lease_s

    def _report(self, who: str, incarnation: int) -> None:
        if incarnation:
            reason = f"No sign of life for {self._silence_s:g} s."
            self._tell(WorkerLeft(self._pool, who, incarnation, reason))
        else:
            self._tell(ClientLeft(self._pool, who))


class PoolWatch:
    """Listens to the heartbeats of one pool and feeds its actor."""

    def __init__(self, pool: str, ports: Ports, connection: Connection) -> None:
        self._pool = pool
        self._ports = ports
        self._connection = connection
        self._liveness: Liveness | None = None
        self._subscription: Subscription | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    async def open(self, tell: Callable[[Message], None]) -> None:
        """Begin to listen, and report to the actor through ``tell``."""
        self._liveness = liveness = Liveness(self._pool, tell, self._rejoin)

        subject = self._connection.names.heartbeat(self._pool, "*")

        async def heard(message: Wired) -> None:
            who = message.subject[len(subject) - 1 :]
            if liveness.hear(message.data, who) and message.reply:
                await self._connection.publish(message.reply)

        self._subscription = await self._connection.wire.subscribe(subject, cb=heard)
        self._stop_listening = self._connection.on_reconnected(liveness.restart)

    def check(self, entries: dict[str, Entry]) -> None:
        """Look at the committed state of the pool; the actor calls it between batches."""
        if self._liveness is not None and self._pool in entries:
            is_up = self._connection.is_up.is_set()
            self._liveness.check(entries[self._pool].state, is_connected=is_up)

    async def close(self) -> None:
        """Stop listening."""
        if self._stop_listening is not None:
            self._stop_listening()
        if self._subscription is not None and not self._connection.wire.is_closed:
            await self._subscription.unsubscribe()

    def _rejoin(self, worker_id: str, incarnation: int) -> None:
        task = asyncio.create_task(self._send_rejoin(RejoinWorker(worker_id, incarnation)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_rejoin(self, message: RejoinWorker) -> None:
        letter_id = f"liveness:{message.worker_id}:{message.incarnation}"
        envelope = sealed(f"liveness.{self._pool}", message, letter_id=letter_id)
        subject = self._ports.names.inbox(Recipient.WORKER.value, message.worker_id)
        try:
            await self._ports.post.send([(subject, envelope)])
        except PlatformError as error:
            log.warning("liveness.rejoin_not_sent", worker=message.worker_id, error=str(error))


def _expected(state: PoolRecord) -> set[tuple[str, int]]:
    workers = {(worker_id, entry.incarnation) for worker_id, entry in state.workers.items()}
    holders = {(g.holder.client_id, 0) for g in state.grants.values() if g.holder.client_id}
    waiters = {(r.holder.client_id, 0) for r in state.waiting.values() if r.holder.client_id}
    return workers | holders | waiters


def _now_s() -> float:
    return asyncio.get_running_loop().time()
