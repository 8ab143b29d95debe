"""Goal: the trace of any execution is a tree whose spans lie within their parents and cover each task's time.

Method: seeded random graphs run through the closed model, disturbed in every way, while time passes.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.disturbance import disturb, submitted

from talka_chaos.model import Model
from talka_core.traceparent import attempt_span_id
from talka_core.tracing import trace_of
from talka_protocols.commit import decode_commit
from talka_protocols.events import ExecutionEvent, PlanEvent, TaskStarted
from talka_protocols.messages import Recipient
from talka_protocols.tracing import Service, Span, Trace

STEPS = 120


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 1_000_000), st.integers(1, 12), st.booleans())
def test_spans_lie_within_their_parents(seed: int, size: int, is_finished: bool) -> None:
    """Each id is there once, each parent comes first, and no span leaves its parent."""
    model = _played(seed, size, is_finished)
    if (Recipient.SCHEDULER, "e") not in model.players:
        return
    trace = _traced(model)
    seen: dict[str, Span] = {}
    for span in trace.spans:
        assert span.span_id not in seen
        assert span.began_at <= span.ended_at
        if seen:
            parent = seen[span.parent_id]
            assert parent.began_at <= span.began_at
            assert span.ended_at <= parent.ended_at
        seen[span.span_id] = span
    if is_finished:
        assert not any(span.is_open for span in trace.spans)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 1_000_000), st.integers(1, 12))
def test_every_attempt_has_its_span_and_phases_do_not_overlap(seed: int, size: int) -> None:
    """A span bears the id that its attempt was told; the phases of a run do not overlap."""
    model = _played(seed, size, is_finished=True)
    if (Recipient.SCHEDULER, "e") not in model.players:
        return
    trace = _traced(model)
    started = [event for _, event in _history(model, Recipient.SCHEDULER) if isinstance(event, TaskStarted)]
    expected = {attempt_span_id("e", event.task_id, event.attempt) for event in started}
    assert {span.span_id for span in trace.spans if span.service is Service.WORKER} == expected
    phases: dict[str, list[Span]] = {}
    for span in trace.spans[1:]:
        if span.parent_id != trace.spans[0].span_id:
            phases.setdefault(span.parent_id, []).append(span)
    for parent in trace.spans:
        inner = phases.get(parent.span_id, [])
        assert all(a.ended_at <= b.began_at for a, b in pairwise(inner))


def _played(seed: int, size: int, is_finished: bool) -> Model:
    random = Random(seed)
    model = submitted(random, size)
    for _ in range(STEPS):
        model.now_ms += random.choice((0, 0, 7, 250, 1_300))
        disturb(random, model)
    if is_finished and (Recipient.SCHEDULER, "e") in model.players:
        model.finish()
    return model


def _traced(model: Model) -> Trace:
    state = model.players[Recipient.SCHEDULER, "e"].state
    return trace_of(
        state,
        cast("list[tuple[int, ExecutionEvent]]", _history(model, Recipient.SCHEDULER)),
        model.now_ms,
        cast("list[tuple[int, PlanEvent]]", _history(model, Recipient.PLANNER)),
    )


def _history(model: Model, kind: Recipient) -> list[tuple[int, object]]:
    player = model.players[kind, "e"]
    return [
        (commit.at, event)
        for body in player.commits
        for commit in [decode_commit(player.name, body)]
        for _, _, event in commit.events()
    ]
