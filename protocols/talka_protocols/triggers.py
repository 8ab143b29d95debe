"""What an outside event starts or signals, as data."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from talka_protocols.enums import quick


class Trigger(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which events lead to what; every expression is CEL over ``event`` and ``data``.

    ``on`` is a type of event, with the wildcards of NATS (``order.*``,
    ``order.>``); ``when`` must be true, where there is one. Without ``signal``
    a workflow is started, with the value of each of ``inputs``. Otherwise the
    execution is signalled that ``execution`` is the id of, or the expression
    of one; ``data`` is what it is told, by default the data of the event.
    """

    on: str
    when: str = ""
    inputs: dict[str, str] = {}
    execution: str = ""
    signal: str = ""
    data: str = ""


@quick
class TriggerState(StrEnum):
    """Where a trigger stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    DELETED = "deleted"


class TriggerStatus(Struct, frozen=True):
    """Where a trigger stands; ``last_at`` is Unix seconds, None for never.

    ``fired`` counts the events that it acted upon, ``failed`` those for which an
    expression had no answer, ``refused`` what it fired and nobody would take;
    ``pending`` is what it fired and nobody has taken yet.
    """

    name: str
    state: TriggerState
    version: int
    trigger: Trigger | None = None
    workflow: str = ""
    fired: int = 0
    failed: int = 0
    refused: int = 0
    last_at: float | None = None
    pending: tuple[str, ...] = ()
