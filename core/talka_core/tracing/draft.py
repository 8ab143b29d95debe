"""Spans that are still being drawn: what is known of them so far."""

from __future__ import annotations

from msgspec import Struct, field

from talka_core.traceparent import span_id, trace_id
from talka_protocols.tracing import Attribute, Link, Moment, Outcome, Service, Span


class Draft(Struct):
    """A span whose end, outcome and moments are not all known yet; ``ended_at`` is 0 while it is open."""

    span_id: str
    parent_id: str
    name: str
    service: Service
    began_at: int
    ended_at: int = 0
    outcome: Outcome = Outcome.UNSET
    message: str = ""
    attributes: dict[str, Attribute] = field(default_factory=dict[str, Attribute])
    moments: list[Moment] = field(default_factory=list[Moment])
    links: list[Link] = field(default_factory=list[Link])

    def end(self, at: int, outcome: Outcome = Outcome.UNSET, message: str = "") -> None:
        """End it, never before it began."""
        self.ended_at = max(at, self.began_at)
        self.outcome, self.message = outcome, message

    def note(self, name: str, at: int, **attributes: Attribute) -> None:
        """Remember something that happened during it."""
        self.moments.append(Moment(name, max(at, self.began_at), attributes))

    def drawn(self, until: int) -> Span:
        """Return the span; an open one goes to ``until``."""
        is_open = not self.ended_at
        return Span(
            self.span_id,
            self.parent_id,
            self.name,
            self.service,
            self.began_at,
            max(until, self.began_at) if is_open else self.ended_at,
            self.outcome,
            self.message,
            self.attributes,
            tuple(self.moments),
            tuple(self.links),
            is_open,
        )


def link_to(execution_id: str, relation: str) -> Link:
    """Return a link to the root of another execution's trace; ``relation`` is what that is to this one."""
    described = {"talka.execution.id": execution_id, "talka.relation": relation}
    return Link(trace_id(execution_id), span_id(execution_id), {**described})
