"""The kinds of inbox and of message, and the messages that every actor knows."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from talka_protocols.enums import quick


@quick
class Recipient(StrEnum):
    """The kinds of inbox."""

    PLANNER = "planner"
    SCHEDULER = "scheduler"
    STARTER = "starter"
    TRIGGER = "trigger"
    RESOURCE = "resource"
    WORKER = "worker"
    CLIENT = "client"


SHARDED = frozenset({Recipient.PLANNER, Recipient.SCHEDULER, Recipient.STARTER, Recipient.TRIGGER})
"""Those that share their work by the hash of the key."""


class Say(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True, gc=False):
    """Root of all messages."""


class ToExecution(Say, frozen=True, gc=False):
    """For the planner or the scheduler: about one execution."""

    execution_id: str

    @property
    def key(self) -> str:
        """Return the execution id."""
        return self.execution_id


class ToSchedule(Say, frozen=True, gc=False):
    """For the starter: about one schedule."""

    name: str

    @property
    def key(self) -> str:
        """Return the schedule's name."""
        return self.name


class ToTrigger(Say, frozen=True, gc=False):
    """For one trigger."""

    name: str

    @property
    def key(self) -> str:
        """Return the trigger's name."""
        return self.name


class ToPool(Say, frozen=True, gc=False):
    """For the resource actor: about one pool."""

    pool: str

    @property
    def key(self) -> str:
        """Return the pool's name."""
        return self.pool


class ToWorker(Say, frozen=True, gc=False):
    """For one worker."""

    worker_id: str

    @property
    def key(self) -> str:
        """Return the worker's id."""
        return self.worker_id


class ToClient(Say, frozen=True, gc=False):
    """For one client."""

    client_id: str

    @property
    def key(self) -> str:
        """Return the client's id."""
        return self.client_id


class TimerFired(Say, frozen=True, gc=False):
    """A timer that the state asked for ran out on a monotonic clock."""

    key: str
    name: str


class Advance(Say, frozen=True, gc=False):
    """Do whatever the recorded state calls for; said after every fold."""

    key: str
