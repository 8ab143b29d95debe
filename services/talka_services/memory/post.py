"""The `Post` and `Inbox` ports in memory: a post office knows the mailbox of every subject."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from talka_protocols.ports import Delivery
from talka_protocols.subjects import Names

BATCH = 512


class _Mailbox:
    """What was sent to one subject and is not settled, and how far its owner has got."""

    def __init__(self) -> None:
        self.unsettled: deque[Delivery] = deque()
        self.delivered = 0
        self.count = 0
        self.owner: MemoryInbox | None = None

    def settle(self, highest: dict[str, int]) -> None:
        """Forget everything up to the number that is acknowledged for each subject."""
        while self.unsettled:
            subject, number = self.unsettled[0].token
            if number > highest.get(subject, 0):
                return
            self.unsettled.popleft()
            self.delivered = max(0, self.delivered - 1)


class MemoryPost:
    """Delivers envelopes at once; also opens the inboxes that receive them."""

    def __init__(self, names: Names | None = None) -> None:
        self.names = names or Names()
        self._mailboxes: dict[str, _Mailbox] = {}

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Put each (subject, body) into its mailbox, in order; nobody here listens to live subjects."""
        for subject, body in envelopes:
            if self.names.is_live(subject):
                continue
            mailbox = self.mailbox(subject)
            mailbox.count += 1
            mailbox.unsettled.append(Delivery(body, (subject, mailbox.count)))
            if mailbox.owner is not None:
                mailbox.owner.wake.set()

    def open_inbox(
        self, kind: str, address: str, on_renewed: Callable[[], None] | None = None
    ) -> MemoryInbox:
        """Return the inbox of an address, taken over from whoever had it."""
        subjects = (self.names.inbox(kind, address), self.names.requests(kind, address))
        return MemoryInbox([self.mailbox(subject) for subject in subjects], on_renewed)

    def subjects(self) -> list[str]:
        """Return every subject that was ever used, sorted."""
        return sorted(self._mailboxes)

    def lose(self, subject: str) -> None:
        """Lose all that lies in a mailbox, as a server's memory does, and let its owner notice."""
        mailbox = self.mailbox(subject)
        mailbox.unsettled.clear()
        mailbox.delivered = 0
        if mailbox.owner is not None and mailbox.owner.on_renewed is not None:
            mailbox.owner.on_renewed()

    def mailbox(self, subject: str) -> _Mailbox:
        """Return the mailbox of a subject, a new one if there is none yet."""
        return self._mailboxes.setdefault(subject, _Mailbox())


class MemoryInbox:
    """The inbox of one address; everything unsettled is delivered again to a new owner."""

    def __init__(self, mailboxes: Sequence[_Mailbox], on_renewed: Callable[[], None] | None = None) -> None:
        self.wake = asyncio.Event()
        self.on_renewed = on_renewed
        self._mailboxes = mailboxes
        for mailbox in mailboxes:
            mailbox.owner = self
            mailbox.delivered = 0

    async def receive(self) -> Sequence[Delivery]:
        """Wait for a delivery, and return what is there, at most 512, oldest first per subject."""
        while True:
            self.wake.clear()
            batch: list[Delivery] = []
            # Half for each at first, so that neither waits for the other to be empty.
            for share in (BATCH // 2, BATCH):
                for mailbox in self._owned():
                    batch.extend(self._take(mailbox, min(share, BATCH - len(batch))))
            if batch:
                return batch
            await self.wake.wait()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these deliveries and every earlier one of their subjects."""
        highest: dict[str, int] = {}
        for delivery in deliveries:
            subject, number = delivery.token
            highest[subject] = max(number, highest.get(subject, 0))
        for mailbox in self._mailboxes:
            mailbox.settle(highest)

    async def close(self) -> None:
        """Stop receiving; what is not acknowledged stays for the next owner."""
        for mailbox in self._owned():
            mailbox.owner = None

    def redeliver(self) -> None:
        """Deliver everything unsettled again, as a server does whose acknowledgement wait is over."""
        for mailbox in self._owned():
            mailbox.delivered = 0
        self.wake.set()

    def _owned(self) -> list[_Mailbox]:
        return [mailbox for mailbox in self._mailboxes if mailbox.owner is self]

    @staticmethod
    def _take(mailbox: _Mailbox, room: int) -> list[Delivery]:
        waiting = len(mailbox.unsettled) - mailbox.delivered
        first, mailbox.delivered = mailbox.delivered, mailbox.delivered + min(waiting, room)
        return [mailbox.unsettled[index] for index in range(first, mailbox.delivered)]
