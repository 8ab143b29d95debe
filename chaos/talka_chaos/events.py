"""Events from outside a world, the triggers that wait for them, and what must be true of their logs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from talka_chaos.graphs import random_workflow
from talka_core.cloudevents import write_event
from talka_core.trigger.decide import firing_id
from talka_protocols import events as e
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.commit import Commit
from talka_protocols.messages import CreateTrigger, DeleteTrigger, PauseTrigger, ResumeTrigger, TriggerMessage
from talka_protocols.subjects import LogName
from talka_protocols.triggers import Trigger

SHARE = 0.25
DELETED_SHARE = 0.3
KINDS = ("order.a", "order.b", "other")
SETTLING_S = 15.0
"""How long what was handed on last may take to arrive."""
FILTERED, FAILING = 0, 3
"""What the filter of a drawn trigger says no to, and what it has no answer for."""


class Arrived(Struct):
    """A message as its subscriber sees it, and when it was published."""

    subject: str
    data: bytes
    at_s: float
    reply: str = ""
    headers: dict[str, str] | None = None


class EventStream:
    """The stream of outside events of a world, and how far it has been taken in.

    ``settled`` is where the next owner begins, and goes back if an owner that is
    none any more still writes; ``taken_in`` is how far any owner ever came.
    """

    def __init__(self) -> None:
        self.published: list[Arrived] = []
        self.settled = 0
        self.taken_in = 0
        self.settled_at_s = 0.0
        self.wake = asyncio.Event()

    def publish(self, subject: str, event: CloudEvent, now_s: float) -> None:
        """Store an event; positions begin at 1."""
        self.published.append(Arrived(subject, write_event(event), now_s))
        self.wake.set()

    def behind(self, position: int) -> Sequence[tuple[int, Arrived]]:
        """Return what lies behind a position."""
        return list(enumerate(self.published[position:], position + 1))


class Occasions(Struct, frozen=True):
    """What happens around the triggers of a seed: requests and events, each with its virtual second."""

    requests: tuple[tuple[float, TriggerMessage], ...] = ()
    events: tuple[tuple[float, CloudEvent], ...] = ()

    @property
    def triggers(self) -> int:
        """Return how many triggers there will be."""
        return sum(isinstance(message, CreateTrigger) for _, message in self.requests)


def drawn_occasions(seed: int, signalled: str, storm_s: float) -> Occasions:
    """Return the triggers and events of a seed, which most have none of; no other draw depends on them."""
    random = Random(f"events {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return Occasions()
    requests: list[tuple[float, TriggerMessage]] = []
    for number in range(random.choice((1, 2))):
        requests += _trigger(random, f"t{number}", signalled, storm_s)
    requests += _deletions(seed, requests, storm_s)
    events = [
        (random.uniform(0.0, storm_s + 5.0), event)
        for event in _events(random)
        for _ in range(random.choice((1, 2, 3)))
    ]
    return Occasions(tuple(requests), tuple(events))


def at_now(message: TriggerMessage, position: int) -> TriggerMessage:
    """Return a request as a client makes it that sees the stream end here."""
    return replace(message, after=position) if isinstance(message, CreateTrigger | ResumeTrigger) else message


def _trigger(
    random: Random, name: str, signalled: str, storm_s: float
) -> Iterator[tuple[float, TriggerMessage]]:
    on, when = random.choice(("order.*", "order.b", ">")), "data.n > 0"
    if random.random() < 0.6:
        drawn = random_workflow(random, name, random.choice((1, 2)))
        trigger, workflow = Trigger(on, when, {"n": "data.n"}), replace(drawn, inputs={"n": None})
    else:
        trigger, workflow = Trigger(on, when, execution=signalled, signal="outside"), None
    yield 1.0, CreateTrigger(name, f"{name}-create", trigger, 0, workflow)
    if random.random() < 0.2:
        at_s = random.uniform(2.0, storm_s)
        yield at_s, PauseTrigger(name, f"{name}-pause")
        yield at_s + random.uniform(0.0, 10.0), ResumeTrigger(name, f"{name}-resume", 0)


def _deletions(
    seed: int, requests: list[tuple[float, TriggerMessage]], storm_s: float
) -> list[tuple[float, TriggerMessage]]:
    """Let some triggers be deleted; no other draw of the seed depends on it."""
    random = Random(f"deletions {seed}")  # noqa: S311
    names = [asked.name for _, asked in requests if isinstance(asked, CreateTrigger)]
    return [
        (random.uniform(2.0, storm_s), DeleteTrigger(name, f"{name}-delete"))
        for name in names
        if random.random() < DELETED_SHARE
    ]


def _events(random: Random) -> Iterator[CloudEvent]:
    for number in range(random.choice((2, 6, 12))):
        data: dict[str, Any] = {} if number % 4 == FAILING else {"n": number % 4}
        source, kind = random.choice(("s", "t")), random.choice(KINDS)
        yield CloudEvent(str(number), source, kind, data=Raw(msgspec.json.encode(data)))


# --- what must be true ---------------------------------------------------------------------------


def event_unrest(states: dict[str, Any], stream: EventStream, occasions: Occasions, now_s: float) -> str:
    """L4 say why the events of a world have not all led to what they lead to."""
    if len(states) < occasions.triggers:
        return f"L4 {len(states)} of {occasions.triggers} triggers were created"
    if len(stream.published) < len(occasions.events):
        return f"L4 {len(stream.published)} of {len(occasions.events)} events were published"
    if stream.taken_in < len(stream.published) and occasions.triggers:
        return f"L4 {stream.taken_in} of {len(stream.published)} events were taken in"
    if occasions.triggers and now_s < stream.settled_at_s + SETTLING_S:
        return "L4 events were taken in a moment ago"
    for name, state in states.items():
        if state.pending:
            return f"L4 trigger {name} waits for {sorted(state.pending)} to be on record"
    return ""


def trigger_findings(
    log: LogName,
    commits: list[Commit[Any]],
    stream: EventStream,
    created_at_s: float,
    executions: dict[str, Any],
) -> Iterator[str]:
    """Yield what is wrong with one trigger's log.

    E1 an event is acted upon once, however often it comes; E2 each event that was
    published for the trigger led to what it calls for, and no other did; E3 what
    was fired is an execution, and every execution of the trigger's was fired.
    """
    facts = [event for commit in commits for _, _, event in commit.events()]
    trigger = next((fact.trigger for fact in facts if isinstance(fact, e.TriggerCreated)), None)
    if trigger is None:
        return
    done: dict[str, Any] = {}
    after = 0
    for fact in facts:
        if isinstance(fact, e.TriggerCreated | e.TriggerResumed):
            after = max(after, fact.after)
        if not isinstance(fact, e.TriggerFired | e.TriggerFailed):
            continue
        if fact.firing_id in done:
            yield f"E1 {log}: {fact.occurrence} was acted upon twice"
        if fact.occurrence.position <= after:
            yield f"E2 {log}: {fact.occurrence} came before it counted, at {after}"
        done[fact.firing_id] = fact
    is_always_on = not any(isinstance(fact, e.TriggerPaused | e.TriggerDeleted) for fact in facts)
    yield from _reactions(log, trigger, done, stream, created_at_s if is_always_on else float("inf"))
    started = {key for key, fact in done.items() if isinstance(fact, e.TriggerFired) and not fact.signal}
    found = {key for key in executions if key.startswith(f"{log.key}-")}
    if started != found:
        yield f"E3 {log}: {sorted(started - found)} do not exist, {sorted(found - started)} were not fired"


def _reactions(
    log: LogName, trigger: Trigger, done: dict[str, Any], stream: EventStream, from_s: float
) -> Iterator[str]:
    wanted: dict[str, type] = {}
    known: set[str] = set()
    for arrived in stream.published:
        fields = msgspec.json.decode(arrived.data)
        named = firing_id(log.key, fields["source"], fields["id"])
        kind = _expected(trigger, fields)
        if kind is None:
            continue
        known.add(named)
        if named in done and not isinstance(done[named], kind):
            yield f"E2 {log}: {fields} led to {done[named]}"
        if arrived.at_s > from_s:
            wanted[named] = kind
    if missing := wanted.keys() - done.keys():
        yield f"E2 {log}: {sorted(missing)} led to nothing"
    if other := done.keys() - known:
        yield f"E2 {log}: {sorted(other)} led to something"


def _expected(trigger: Trigger, fields: dict[str, Any]) -> type | None:
    """Return which fact an event calls for, by the words of the draw alone."""
    kind, n = fields["type"], fields["data"].get("n", FAILING)
    is_on = trigger.on in (">", kind) or (trigger.on == "order.*" and kind.startswith("order."))
    if not is_on or n == FILTERED:
        return None
    return e.TriggerFailed if n == FAILING else e.TriggerFired
