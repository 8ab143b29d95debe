"""Turns effects into envelopes, one for each inbox, and remembers what to send again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from talka_core.behaviour import Effect, Send
from talka_protocols.messages import SHARDED, Letter, Message, Recipient, encode_letter, sealed_letters
from talka_protocols.subjects import Names, shard_of
from talka_services.runner.definitions import WITH_DEFINITION, stored_form
from talka_services.telemetry import get_logger

log = get_logger(__name__)

ENVELOPE_BYTES = 512
"""What an envelope needs around its letters, and the comma behind each."""

FIRST, NEXT, LAST = range(3)


class Sorter:
    """Knows the inbox of every message."""

    def __init__(self, names: Names, shards: int, max_bytes: int, payload_bytes: int) -> None:
        self._names = names
        self._shards = shards
        self._max_bytes = max_bytes
        self._payload_bytes = payload_bytes
        self._subjects: dict[tuple[Recipient, str], str] = {}

    def subject(self, to: Recipient, message: Message) -> str:
        """Return the subject of the inbox that a message goes to."""
        known = self._subjects.get((to, message.key))
        if known is None:
            known = self._address(to, message.key)
            if len(self._subjects) > 10_000:
                self._subjects.clear()
            self._subjects[to, message.key] = known
        return known

    def _address(self, to: Recipient, key: str) -> str:
        if to is Recipient.CLIENT:
            return self._names.answers(key)
        return self._names.inbox(to.value, shard_of(key, self._shards) if to in SHARDED else key)

    def envelopes(
        self, sender: str, epoch: int, sends: Iterable[tuple[str, Send]]
    ) -> list[tuple[str, bytes]]:
        """Return (subject, body) of the envelopes that carry the messages, in order for each inbox.

        Workers come first, and inboxes that get nothing but notices last: work goes out before word of it.
        A message that cannot travel is left out and reported: it must not keep
        all others, of every execution, from going.
        """
        bags: dict[str, list[list[bytes]]] = {}
        sizes: dict[str, int] = {}
        turns: dict[str, int] = {}
        for letter_id, send in sends:
            letter = self._letter(sender, letter_id, send)
            if letter is None:
                continue
            subject = self.subject(send.to, send.message)
            size = sizes.get(subject, self._max_bytes) + len(letter) + 1
            if size > self._max_bytes:
                bags.setdefault(subject, []).append([])
                size = len(letter) + ENVELOPE_BYTES
            bags[subject][-1].append(letter)
            sizes[subject] = size
            turn = LAST if send.notice else FIRST if send.to is Recipient.WORKER else NEXT
            turns[subject] = min(turn, turns.get(subject, LAST))
        return [
            (subject, sealed_letters(sender, epoch, letters))
            for subject in sorted(bags, key=turns.__getitem__)
            for letters in bags[subject]
        ]

    def _letter(self, sender: str, letter_id: str, send: Send) -> bytes | None:
        message = send.message
        if type(message) in WITH_DEFINITION:
            message = stored_form(message)
        try:
            letter = encode_letter(Letter(letter_id, message))
        except (TypeError, ValueError, RecursionError) as error:
            log.error("letter.not_encodable", sender=sender, letter=letter_id, error=repr(error))
            return None
        if len(letter) + ENVELOPE_BYTES > self._payload_bytes:
            log.error("letter.too_large", sender=sender, letter=letter_id, bytes=len(letter))
            return None
        return letter


class _Due(Struct):
    at_s: float
    delay_s: float


class Reminder:
    """When each owed effect of one state is to be repeated: after ``first_s``, then ever later."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._due: dict[int, _Due] = {}

    def overdue(self, owed: Iterable[tuple[str, Effect]], now_s: float) -> list[tuple[str, Effect]]:
        """Return the messages whose time has come; those not owed any more are forgotten."""
        kept: dict[int, _Due] = {}
        overdue: list[tuple[str, Effect]] = []
        for letter_id, effect in owed:
            if not isinstance(effect, Send):
                continue
            identity = hash(msgspec.json.encode(stored_form(effect.message)))
            due = self._due.get(identity) or _Due(now_s + self._first_s, self._first_s)
            if due.at_s <= now_s:
                overdue.append((letter_id, effect))
                due.delay_s = min(self._most_s, 2 * due.delay_s)
                due.at_s = now_s + due.delay_s
            kept[identity] = due
        self._due = kept
        return overdue
