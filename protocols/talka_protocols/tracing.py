"""A trace of one execution: what each service spent time on, as OpenTelemetry draws it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from talka_protocols.enums import quick


@quick
class Service(StrEnum):
    """Who spent the time of a span."""

    PLANNER = "planner"
    SCHEDULER = "scheduler"
    RESOURCE = "resource"
    WORKER = "worker"


@quick
class Outcome(StrEnum):
    """How what a span shows has ended; ``unset`` is for what neither succeeded nor failed."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


Attribute = str | int | float | bool


class Moment(Struct, frozen=True, omit_defaults=True):
    """Something that happened during a span, at an instant (Unix milliseconds)."""

    name: str
    at: int
    attributes: dict[str, Attribute] = {}


class Link(Struct, frozen=True, omit_defaults=True):
    """A span of another trace that belongs to this one: a sub-workflow's, a parent's, an origin's."""

    trace_id: str
    span_id: str
    attributes: dict[str, Attribute] = {}


class Span(Struct, frozen=True, omit_defaults=True):
    """A stretch of time from ``began_at`` to ``ended_at`` (Unix milliseconds).

    ``span_id`` is 16 hexadecimal digits; ``parent_id`` is empty for the root.
    One that ``is_open`` had not ended when the trace was made.
    """

    span_id: str
    parent_id: str
    name: str
    service: Service
    began_at: int
    ended_at: int
    outcome: Outcome = Outcome.UNSET
    message: str = ""
    attributes: dict[str, Attribute] = {}
    moments: tuple[Moment, ...] = ()
    links: tuple[Link, ...] = ()
    is_open: bool = False


class Trace(Struct, frozen=True):
    """All spans of an execution, each behind its parent; ``trace_id`` is 32 hexadecimal digits."""

    trace_id: str
    execution_id: str
    spans: tuple[Span, ...]
