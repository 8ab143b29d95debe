"""Turns effects into envelopes, one for each inbox, and remembers what to send again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from talka_core.behaviour import Effect, Send
from talka_protocols.messages import (
    Envelope,
    Letter,
    Message,
    Parcel,
    Recipient,
    encode_envelope,
)
from talka_protocols.subjects import Names, shard_of
from talka_services.runner.definitions import stored_form


class Sorter:
    """Knows the inbox of every message."""

    def __init__(self, names: Names, shards: int, max_bytes: int) -> None:
        self._names = names
        self._shards = shards
        self._max_bytes = max_bytes
        self._subjects: dict[tuple[Recipient, str], str] = {}

    def subject(self, to: Recipient, message: Message) -> str:
        """Return the subject of the inbox that a message goes to."""
        known = self._subjects.get((to, message.key))
        if known is None:
            is_sharded = to in (Recipient.PLANNER, Recipient.SCHEDULER)
            address = shard_of(message.key, self._shards) if is_sharded else message.key
            known = self._names.inbox(to.value, address)
            if len(self._subjects) > 10_000:
                self._subjects.clear()
            self._subjects[to, message.key] = known
        return known

    def envelopes(
        self, sender: str, epoch: int, sends: Iterable[tuple[str, Send]]
    ) -> list[tuple[str, bytes]]:
        """Return (subject, body) of the envelopes that carry the messages, in order."""
        letters: dict[str, list[Letter]] = {}
        for letter_id, send in sends:
            letter = Letter(letter_id, stored_form(send.message))
            letters.setdefault(self.subject(send.to, send.message), []).append(letter)
        return [
            (subject, body)
            for subject, batch in letters.items()
            for body in self._bodies(sender, epoch, batch)
        ]

    def _bodies(self, sender: str, epoch: int, letters: list[Letter]) -> Iterator[bytes]:
        body = encode_envelope(Envelope((Parcel(sender, epoch, tuple(letters)),)))
        if len(body) <= self._max_bytes or len(letters) == 1:
            yield body
            return
        middle = len(letters) // 2
        yield from self._bodies(sender, epoch, letters[:middle])
        yield from self._bodies(sender, epoch, letters[middle:])


class _Due(Struct):
    at_s: float
    delay_s: float


class Reminder:
    """When each owed effect of one state is to be repeated: after ``first_s``, then ever later."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._due: dict[bytes, _Due] = {}

    def overdue(self, owed: Iterable[tuple[str, Effect]], now_s: float) -> list[tuple[str, Effect]]:
        """Return the messages whose time has come; those not owed any more are forgotten."""
        kept: dict[bytes, _Due] = {}
        overdue: list[tuple[str, Effect]] = []
        for letter_id, effect in owed:
            if not isinstance(effect, Send):
                continue
            identity = msgspec.json.encode(stored_form(effect.message))
            due = self._due.get(identity) or _Due(now_s + self._first_s, self._first_s)
            if due.at_s <= now_s:
                overdue.append((letter_id, effect))
                due.delay_s = min(self._most_s, 2 * due.delay_s)
                due.at_s = now_s + due.delay_s
            kept[identity] = due
        self._due = kept
        return overdue
