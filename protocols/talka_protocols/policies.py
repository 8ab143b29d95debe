"""What a definition may ask for besides its graph: how to retry, to join, to repeat and to undo.

Durations are seconds (float) because people write them, and say so in their names.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from talka_protocols.enums import quick

MAP_ITEMS_MAX = 1_000
LOOP_ITERATIONS_MAX = 1_000


@quick
class OnFailure(StrEnum):
    """What becomes of the others when a task has failed for good.

    ``skip`` skips what needs it; ``continue`` runs that as if the task had
    succeeded with the result null; ``fail_fast`` cancels everything else.
    """

    SKIP = "skip"
    CONTINUE = "continue"
    FAIL_FAST = "fail_fast"


@quick
class Join(StrEnum):
    """When a task with several dependencies may start; a whole number means: so many have succeeded.

    ``all`` of them have succeeded; ``any`` one has; ``first`` one has, and the
    others are cancelled; ``done`` means that all have ended, however they did.
    """

    ALL = "all"
    ANY = "any"
    FIRST = "first"
    DONE = "done"


@quick
class Then(StrEnum):
    """What an execution does when it has been rolled back: run again from there, or end."""

    CONTINUE = "continue"
    STOP = "stop"


class RetryPolicy(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How long to wait between attempts, and which errors are worth another one.

    The pause begins at ``base_seconds`` and grows by ``factor`` to at most
    ``max_seconds``; ``jitter`` is the largest share of it that is left out.
    ``only`` and ``never`` hold error codes, types of exceptions (a subclass
    counts), ``exit_3`` or ``http_503``, with ``*`` for any text.
    """

    base_seconds: float = 0.2
    factor: float = 2.0
    max_seconds: float = 60.0
    jitter: float = 0.5
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


class Concurrency(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """At most ``limit`` attempts with the same key run in a pool at once, of whatever workflow."""

    key: str
    limit: int = 1


class Rate(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """At most ``starts`` attempts with the same key begin in a pool within any ``per_seconds``."""

    key: str
    starts: int = 1
    per_seconds: float = 1.0


class Action(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Something else that runs in a task's name: its fallback, or what undoes it."""

    agent_type: str
    payload: dict[str, Any] = {}
    timeout_seconds: float | None = None
    retries: int = 0


class MapOver(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Run the task once for each item of a list.

    ``over`` is a reference such as ``"${split.parts}"`` or a list. In the
    payload ``${item}`` stands for the item and ``${index}`` for its position.
    """

    over: Any
    max_items: int = MAP_ITEMS_MAX
    max_parallel: int | None = None
    tolerated_failures: int = 0


class Loop(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Run the task again until a condition on its own result holds (CEL: ``result``, ``iteration``)."""

    until: str
    max_iterations: int = 10
    delay_seconds: float = 0.0


class Breaker(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When a pool stops granting attempts of one agent type, and when it tries that again.

    It opens after ``failures`` attempts within ``within_ms`` that failed by
    their agent's fault. After ``open_ms`` it lets ``probes`` attempts through at
    once, and closes when so many have succeeded.
    """

    failures: int = 5
    within_ms: int = 60_000
    open_ms: int = 30_000
    probes: int = 1


class ScalingPolicy(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How many workers a pool shall have.

    There are at least ``min_workers`` and at most ``max_workers``. More are
    wanted when work is expected to wait longer than ``target_delay_ms``, or has
    waited so long; fewer no sooner than ``cool_down_ms`` after the last
    decision. The last one goes when nothing was to do for
    ``scale_to_zero_after_ms``; 0 keeps it.
    """

    min_workers: int = 0
    max_workers: int = 1
    target_delay_ms: int = 10_000
    cool_down_ms: int = 60_000
    scale_to_zero_after_ms: int = 0
