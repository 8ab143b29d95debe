"""Carries effects out: messages, timers, and what only the process itself can do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from talka_core.behaviour import Alert, ClearAlarm, Effect, Send, SetAlarm, SetTimer
from talka_protocols.errors import PlatformError
from talka_protocols.messages import StartTask, SubmitWorkflow, TimerFired, sealed
from talka_protocols.ports import Lease
from talka_protocols.workflow import INLINE_BYTES_MAX
from talka_services.runner.mail import Sorter
from talka_services.runner.ports import Ports
from talka_services.runner.states import LeaseLostError, Outbox
from talka_services.telemetry import get_logger

log = get_logger(__name__)

STAGE_S = 86_400.0
"""The longest that a timer runs on the loop's clock before what is left is asked of the wall clock again.

A machine that sleeps at night stops the loop's clock, and a loop cannot wait for years.
"""
FAR_MS = 60_000
"""What is due sooner needs no alarm at the server."""


class Performer:
    """Performs for one address; ``sender`` and ``epoch`` stand on every parcel.

    ``now_ms`` gives the time of a log by key, in which its timers are due.
    """

    def __init__(
        self,
        sender: str,
        ports: Ports,
        lease: Lease | None,
        fire: Callable[[TimerFired], None],
        perform_local: Callable[[Effect], None] | None,
        now_ms: Callable[[str], int],
    ) -> None:
        self.epoch = lease.epoch if lease else 0
        self._sender = sender
        self._ports = ports
        self._lease = lease
        self._fire = fire
        self._perform_local = perform_local
        self._now_ms = now_ms
        self._sorter = Sorter(ports.names, ports.shards, ports.max_bytes, ports.payload_bytes)
        self._timers: dict[tuple[str, str], tuple[int, asyncio.TimerHandle]] = {}

    async def perform(self, outbox: Outbox) -> bool:
        """Carry effects out; return False when the server did not take the messages.

        Raises:
            LeaseLostError: we may not speak for this address any more.
        """
        if not outbox:
            return True
        self.check_lease()
        sends: list[tuple[str, Send]] = []
        for letter_id, effect in outbox:
            if isinstance(effect, Send):
                sends.append((letter_id, effect))
            elif isinstance(effect, SetTimer):
                self._set_timer(effect)
            elif isinstance(effect, SetAlarm):
                await self._set_alarm(effect)
            elif isinstance(effect, ClearAlarm):
                await self._clear_alarm(effect)
            elif isinstance(effect, Alert):
                log.warning(effect.name, actor=self._sender, alert=effect.sentence)
            else:
                assert self._perform_local is not None, f"nobody performs {type(effect).__name__} here"
                self._perform_local(effect)
        if not sends:
            return True
        try:
            for place, (letter_id, send) in enumerate(sends):
                message = send.message
                if type(message) is StartTask and message.inputs:
                    sends[place] = (letter_id, await self._bundled(send, message))
                elif type(message) is SubmitWorkflow:
                    sends[place] = (letter_id, await self._stored(send, message))
            await self._ports.post.send(self._sorter.envelopes(self._sender, self.epoch, sends))
        except PlatformError as error:
            log.warning("post.not_sent", actor=self._sender, error=str(error))
            return False
        return True

    async def _bundled(self, send: Send, message: StartTask) -> Send:
        """Move inputs that are too large for a message together into one stored object."""
        if sum(memoryview(raw).nbytes for raw in message.inputs.values()) <= INLINE_BYTES_MAX:
            return send
        claim = await self._ports.blobs.put(msgspec.json.encode(message.inputs))
        return replace(send, message=replace(message, inputs={}, bundle=claim))

    async def _stored(self, send: Send, message: SubmitWorkflow) -> Send:
        """Store a sub-workflow that is too large for a message, and name it by its digest."""
        encoded = msgspec.json.encode(message.workflow)
        if len(encoded) <= self._ports.max_bytes // 4:
            return send
        return replace(send, message=replace(message, definition=await self._ports.blobs.put(encoded)))

    def check_lease(self) -> None:
        """Step down unless the lease is surely held.

        Raises:
            LeaseLostError: it is not.
        """
        if self._lease is not None and not self._lease.is_held():
            raise LeaseLostError(f"{self._sender}: the lease ran out.")

    def _set_timer(self, timer: SetTimer) -> None:
        """Fire on the loop's monotonic clock, so a jump of the wall clock expires nothing.

        A timer that is set again goes on as it was: to measure it anew would ask the wall clock again.
        """
        identity = (timer.key, timer.name)
        if (known := self._timers.get(identity)) is not None:
            due_at, handle = known
            if due_at == timer.due_at:
                return
            handle.cancel()
        delay_s = max(0.0, (timer.due_at - self._now_ms(timer.key)) / 1000)
        ring = self._fire_timer if delay_s <= STAGE_S else self._set_again
        handle = asyncio.get_running_loop().call_later(min(delay_s, STAGE_S), ring, timer)
        self._timers[identity] = (timer.due_at, handle)

    async def _set_alarm(self, alarm: SetAlarm) -> None:
        """Fire on our own clock, and what is far off on the server's too: ours may stand still meanwhile."""
        self._set_timer(SetTimer(alarm.key, alarm.name, alarm.due_at))
        if self._ports.alarms is None or alarm.due_at - self._now_ms(alarm.key) < FAR_MS:
            return
        kind, _, address = self._sender.partition(".")
        body = sealed(self._sender, TimerFired(alarm.key, alarm.name), letter_id=f"alarm:{alarm.due_at}")
        try:
            await self._ports.alarms.set(kind, address, alarm.key, alarm.due_at, body)
        except PlatformError as error:
            log.warning("alarm.not_set", actor=self._sender, key=alarm.key, error=str(error))

    async def _clear_alarm(self, alarm: ClearAlarm) -> None:
        """Let neither clock ring; what does ring after all finds nothing due."""
        if (known := self._timers.pop((alarm.key, alarm.name), None)) is not None:
            known[1].cancel()
        if self._ports.alarms is None:
            return
        kind, _, _ = self._sender.partition(".")
        try:
            await self._ports.alarms.clear(kind, alarm.key)
        except PlatformError as error:
            log.warning("alarm.not_cleared", actor=self._sender, key=alarm.key, error=str(error))

    def _set_again(self, timer: SetTimer) -> None:
        self._timers.pop((timer.key, timer.name), None)
        self._set_timer(timer)

    def _fire_timer(self, timer: SetTimer) -> None:
        self._timers.pop((timer.key, timer.name), None)
        self._fire(TimerFired(timer.key, timer.name))

    def forget(self, keys: list[str]) -> None:
        """Cancel the timers of states that are over."""
        for identity in [identity for identity in self._timers if identity[0] in keys]:
            self._timers.pop(identity)[1].cancel()

    def close(self) -> None:
        """Cancel every timer."""
        for _, handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
