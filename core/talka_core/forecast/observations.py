"""What is known of tasks that ran, and which tasks are of one kind."""

from __future__ import annotations

import re

from msgspec import Struct, field

from talka_protocols.workflow import Task

_ITEM = re.compile(r"(\[\d+\])+$")
_NUMBER = re.compile(r"([-_. #:]+(ID)?|ID)\d+$")
_MADE_AT = re.compile(r"[-_.]*\d{8}T\d{4,6}Z?([-_]\d+)?$")


class Kind(Struct, frozen=True):
    """Tasks that do the same work: of one workflow, of one name but for numbers, run by one agent type."""

    workflow: str
    name: str
    agent_type: str


class Observation(Struct, frozen=True):
    """One task that ran: its kind, in which run, and what was measured.

    ``value`` is seconds or MiB, ``features`` numbers that were known before it
    ran, ``busy`` the share of the time in which it kept a core busy (None if not measured).
    """

    kind: Kind
    run: str
    value: float
    features: dict[str, float] = field(default_factory=dict[str, float])
    busy: float | None = None


def kind_of(workflow: str, task: Task) -> Kind:
    """Return the kind of a task in a workflow of this name."""
    return Kind(bare(workflow), unnumbered(task.name or task.id), task.agent_type)


def bare(workflow: str) -> str:
    """Return the name of a workflow without the instant at which it was made."""
    return _MADE_AT.sub("", workflow) or workflow


def unnumbered(name: str) -> str:
    """Return a name without the numbers that are set off at its end: items and parts are of one kind."""
    bare = _ITEM.sub("", name)
    while True:
        shorter = _NUMBER.sub("", bare)
        if not shorter or shorter == bare:
            return bare
        bare = shorter


def features_of(task: Task) -> dict[str, float]:
    """Return the numbers in a task's payload, by field: what its run time may depend on."""
    return {
        name: float(value)
        for name, value in task.payload.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    }
