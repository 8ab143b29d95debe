"""The one shape of every actor: six pure parts, a seventh where it is needed, and the effects they ask for.

``decide`` is a generator: each event it yields is remembered (``evolve``)
before it goes on, so later events of one decision see the earlier ones.
Never call it without ``step``, nor ``decide_batch`` without ``step_batch``.

Law B1: after any prefix of a history, the owed effects that ``react`` gave and
that no later event settled are exactly those that ``resume`` gives. Notices
are not owed: whoever waits for one asks again, and ``answer`` repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct

from talka_protocols.messages import ConfirmProgress, Message, Recipient, StartTask, TimerFired

S = TypeVar("S")
M = TypeVar("M")
E = TypeVar("E")


class Send(Struct, frozen=True, gc=False):
    """Send a message; a ``notice`` is not owed."""

    to: Recipient
    message: Message
    notice: bool = False


class SetTimer(Struct, frozen=True):
    """Deliver ``TimerFired(key, name)`` at ``due_at`` (milliseconds since the epoch)."""

    key: str
    name: str
    due_at: int


class SetAlarm(Struct, frozen=True):
    """Deliver ``TimerFired(key, name)`` at ``due_at`` of the wall clock, however far off that is."""

    key: str
    name: str
    due_at: int


class ClearAlarm(Struct, frozen=True):
    """Let an alarm that was set before not ring any more; that there is none is no error."""

    key: str
    name: str


class Launch(Struct, frozen=True):
    """Run an attempt on this worker."""

    start: StartTask


class Stop(Struct, frozen=True):
    """Stop an attempt that runs on this worker; kill it at once if it ``is_forced``."""

    execution_id: str
    task_id: str
    attempt: int
    is_forced: bool = False


class Confirm(Struct, frozen=True):
    """Tell a task on this worker that what it saved is recorded, or is refused."""

    confirmation: ConfirmProgress


class Alert(Struct, frozen=True):
    """Tell whoever runs the platform something that nobody asked for."""

    name: str
    sentence: str


class Enlist(Struct, frozen=True):
    """Record this worker's next incarnation in its log, then deliver ``Enlisted``."""

    worker_id: str


class Improve(Struct, frozen=True):
    """Search for a shorter schedule beside everything else, for so long; it is not owed."""

    execution_id: str
    limit_s: float


Effect = Send | SetTimer | SetAlarm | ClearAlarm | Launch | Stop | Confirm | Alert | Enlist | Improve


@dataclass(frozen=True)
class Behaviour(Generic[S, M, E]):
    """The parts of one actor.

    ``log_kind`` names its logs. ``evolve`` takes the event's time as well.
    ``is_over`` tells that nothing is owed any more and nothing will happen.
    ``decide_batch``, where there is one, decides messages that arrived together
    as a whole: it yields each event with the place of the message that led to it.
    """

    log_kind: str
    initial: Callable[[str], S]
    decide: Callable[[S, M, int], Iterator[E]]
    answer: Callable[[S, M], Iterable[Effect]]
    evolve: Callable[[S, E, int], None]
    react: Callable[[S, E], Iterable[Effect]]
    resume: Callable[[S], Iterable[Effect]]
    is_over: Callable[[S], bool]
    decide_batch: Callable[[S, Sequence[M], int], Iterator[tuple[int, E]]] | None = None


def step(
    behaviour: Behaviour[S, M, E], state: S, message: M, now_ms: int
) -> tuple[list[E], list[tuple[int, Effect]]]:
    """Take one message: return its events, and its effects with the index of their event.

    The state is changed. When there are no events the effects are the answer,
    with index -1.
    """
    events: list[E] = []
    effects: list[tuple[int, Effect]] = []
    for _ in stepping(behaviour, state, message, now_ms, events, effects):
        pass
    return events, effects


def stepping(
    behaviour: Behaviour[S, M, E],
    state: S,
    message: M,
    now_ms: int,
    events: list[E],
    effects: list[tuple[int, Effect]],
) -> Iterator[None]:
    """Do what ``step`` does, filling its two results, and stop for a moment after each event."""
    evolve, react = behaviour.evolve, behaviour.react
    for index, event in enumerate(behaviour.decide(state, message, now_ms)):
        evolve(state, event, now_ms)
        for effect in react(state, event):
            effects.append((index, effect))  # noqa: PERF401  (most facts have one effect or none)
        events.append(event)
        yield
    if not events:
        effects += [(-1, effect) for effect in behaviour.answer(state, message)]


def step_batch(
    behaviour: Behaviour[S, M, E], state: S, messages: Sequence[M], now_ms: int
) -> Iterator[tuple[int, list[E], list[tuple[int, Effect]]]]:
    """Take messages that arrived together: yield (place, events, effects), each as ``step`` returns it.

    A message may come up several times, whenever events of others stand between
    its own. Those that led to no event come last; and so do timers, to which what
    is due to nobody else may have been put down: one that rang too early is set
    again all the same. The state is changed; when a triple is yielded, it is as its last event left it.
    """
    if behaviour.decide_batch is None:
        for place, message in enumerate(messages):
            yield place, *step(behaviour, state, message, now_ms)
        return
    evolve, react = behaviour.evolve, behaviour.react
    silent = dict.fromkeys(range(len(messages)))
    current, events, effects = -1, list[E](), list[tuple[int, Effect]]()
    for place, event in behaviour.decide_batch(state, messages, now_ms):
        if place != current:
            if events:
                yield current, events, effects
            current, events, effects = place, [], []
            silent.pop(place, None)
        evolve(state, event, now_ms)
        for effect in react(state, event):
            effects.append((len(events), effect))
        events.append(event)
    if events:
        yield current, events, effects
    for place, message in enumerate(messages):
        if place in silent or isinstance(message, TimerFired):
            yield place, [], [(-1, effect) for effect in behaviour.answer(state, message)]


def is_owed(effect: Effect) -> bool:
    """Tell whether the effect must be repeated until an event settles it."""
    if isinstance(effect, Send):
        return not effect.notice
    return not isinstance(effect, Confirm | Alert | Improve)
