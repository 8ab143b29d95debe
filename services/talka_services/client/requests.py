"""Puts requests on file at an actor, and finds out what they led to."""

from __future__ import annotations

from contextlib import aclosing
from itertools import count

from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import Event, RequestRefused
from talka_protocols.messages import Message, Recipient, sealed
from talka_protocols.subjects import LogName, shard_of
from talka_services.client.asking import asker
from talka_services.client.histories import Histories
from talka_services.runner.definitions import stored_form
from talka_services.runner.ports import Ports


class Requests:
    """One client's requests; each letter has an id of its own, which the decision names as its cause.

    They are recorded as those of ``by``: of whoever asks at the time if that is None, of nobody if empty.
    """

    def __init__(self, ports: Ports, histories: Histories, client_id: str, *, by: str | None = None) -> None:
        self._ports = ports
        self._histories = histories
        self._client_id = client_id
        self._by = by
        self._letters = count(1)

    async def send(self, to: Recipient, message: Message) -> str:
        """Put a request on file, where it stays until recorded, and return its letter's id."""
        shard = shard_of(message.key, self._ports.shards)
        letter_id = f"{self._client_id}:{next(self._letters)}"
        by = asker() if self._by is None else self._by
        body = sealed(self._client_id, stored_form(message), letter_id=letter_id, asked_by=by)
        await self._ports.post.send([(self._ports.names.requests(to.value, shard), body)])
        return letter_id

    async def ask(self, to: Recipient, message: Message, name: LogName, after: int) -> tuple[Event, ...]:
        """Send a request, and return the events that it led to behind position ``after`` of a log.

        It waits until the decision is recorded, through every outage. What has a request id may be
        recorded for another letter that brings the same request, because each is heard once.

        Raises:
            RequestRefusedError: the log says why it cannot be done.
        """
        letter_id, request_id = await self.send(to, message), request_id_of(message)
        async with aclosing(self._histories.follow_commits(name, after)) as commits:
            async for _position, commit in commits:
                for decision in commit.decisions:
                    if decision.cause == letter_id or _answers(decision.events, request_id):
                        return _accepted(decision.events)
        raise AssertionError("a log is followed without end")

    async def answered(self, name: LogName, request_id: str) -> tuple[Event, ...]:
        """Return the events that a request led to which the log knows; none if they have been pruned.

        Raises:
            RequestRefusedError: the log says why it could not be done.
        """
        for _position, commit in await self._histories.commits(name):
            for decision in commit.decisions:
                if _answers(decision.events, request_id):
                    return _accepted(decision.events)
        return ()


def request_id_of(message: Message) -> str:
    """Return the id under which a request is heard once, empty if it has none."""
    return getattr(message, "request_id", "")


def _answers(events: tuple[Event, ...], request_id: str) -> bool:
    return bool(request_id) and any(getattr(event, "request_id", "") == request_id for event in events)


def _accepted(events: tuple[Event, ...]) -> tuple[Event, ...]:
    for event in events:
        if isinstance(event, RequestRefused):
            raise RequestRefusedError(event.message, code=event.code)
    return events
