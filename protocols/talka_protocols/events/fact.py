"""What all events have in common, and the small structs inside them."""

from __future__ import annotations

from msgspec import Struct

from talka_protocols.workflow import DEFAULT_TENANT


class Fact(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True, gc=False):
    """Root of all events."""


class TaskFailure(Struct, frozen=True, omit_defaults=True):
    """Why an attempt failed: a stable code, a sentence, and details for people.

    ``kinds`` names it more exactly, for the rules of retries: the classes of an
    exception with its own first, ``exit_3`` of a command, ``http_503``.
    """

    code: str
    message: str
    detail: str = ""
    kinds: tuple[str, ...] = ()


class Holder(Struct, frozen=True, omit_defaults=True, gc=False):
    """Who holds or wants resources: a task's attempt, or a client under a name of its own."""

    execution_id: str = ""
    task_id: str = ""
    attempt: int = 0
    client_id: str = ""


class Affinity(Struct, frozen=True, omit_defaults=True):
    """Which workers a request is for: with the labels that it ``requires``, and nobody else.

    Of those rather one with the labels that it ``prefers``, and of these
    rather ``near``: the worker that holds what the task takes in.
    """

    requires: dict[str, str] = {}
    prefers: dict[str, str] = {}
    near: str = ""


ANYWHERE = Affinity()


class Terms(Struct, frozen=True, omit_defaults=True):
    """On whose account a request counts, and with what it is granted together.

    It counts against the quotas and the share of its ``tenant``. The live
    allocations of its execution never exceed ``limits`` together. A ``gang``
    of so many ``members`` is granted as a whole or not at all. ``reservation``
    names one that was made in advance, whose resources it uses. What
    ``is_preemptible`` may be taken from its holder for a better rank that has to
    start by ``start_by`` (Unix milliseconds; 0 if nothing is due).
    """

    tenant: str = DEFAULT_TENANT
    limits: dict[str, float] = {}
    gang: str = ""
    members: int = 0
    reservation: str = ""
    is_preemptible: bool = False
    start_by: int = 0


ORDINARY = Terms()


class Parent(Struct, frozen=True, omit_defaults=True, gc=False):
    """The attempt of a task whose sub-workflow an execution is.

    ``output`` is the task of the sub-workflow whose result it wants; empty for all of them.
    """

    execution_id: str
    task_id: str
    attempt: int
    output: str = ""
