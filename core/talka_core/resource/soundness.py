"""Messages whose numbers make no sense: nothing happens for them, and whoever runs the platform is told.

Who asks through a client or starts a worker is refused there, with the place.
This is for what comes from elsewhere: a negative amount would be capacity out
of nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.behaviour import Alert, Effect, Send
from talka_core.limits import AMOUNT_MAX
from talka_protocols import messages as m
from talka_protocols.messages import Recipient
from talka_protocols.policies import ScalingPolicy

WORKERS_MAX = 10_000
"""The most workers that a pool may be told to have."""


def fault(message: m.ResourceMessage) -> str:
    """Say what makes no sense about the message; nothing if it is sound."""
    match message:
        case m.RequestAllocation():
            limits = {f"limits of {name}": most for name, most in message.terms.limits.items()}
            return _wrong("asks for", message.amounts | limits)
        case m.ReserveResources():
            return _wrong("asks for", message.amounts)
        case m.RegisterWorker():
            slots = {
                "slots": message.slots,
                **{f"slots of {t}": s for t, s in message.slots_by_agent.items()},
            }
            return _wrong("offers", message.capacity | slots)
        case m.ConfigurePool():
            return _wrong("declares", message.shared | (message.ceiling or {})) or _unfair(message)
        case m.ScalePool(policy=ScalingPolicy() as policy):
            return scaling_fault(policy)
        case _:
            return ""


def scaling_fault(policy: ScalingPolicy) -> str:
    """Say what makes no sense about a scaling policy; nothing if it is sound."""
    if not 0 <= policy.min_workers <= policy.max_workers <= WORKERS_MAX:
        return (
            f"asks for {policy.min_workers} to {policy.max_workers} workers, "
            f"which is no range within 0 to {WORKERS_MAX}."
        )
    if policy.max_workers < 1:
        return "allows no worker at all."
    if policy.target_delay_ms < 1 or min(policy.cool_down_ms, policy.scale_to_zero_after_ms) < 0:
        return "names a duration that is none."
    return ""


def complaints(message: m.ResourceMessage) -> Iterator[Effect]:
    """Yield what is said about a message that is not sound: to the operator, and to a client that waits."""
    sentence = fault(message)
    if not sentence:
        return
    yield Alert("pool.senseless_message", f"{_sender(message)} {sentence} Nothing happened for it.")
    if isinstance(message, m.ReserveResources):
        refused = m.ReservationAnswered(
            message.client_id, message.reservation_id, reason=f"The request {sentence}"
        )
        yield Send(Recipient.CLIENT, refused, notice=True)


def _wrong(verb: str, amounts: dict[str, float]) -> str:
    for name, amount in amounts.items():
        if not 0 <= amount <= AMOUNT_MAX:
            return f"{verb} {amount:g} of {name!r}, which is no amount."
    return ""


def _unfair(message: m.ConfigurePool) -> str:
    for tenant, quota in message.quotas.items():
        if wrong := _wrong(f"grants tenant {tenant!r}", quota):
            return wrong
    for tenant, weight in message.weights.items():
        if not 0 < weight <= AMOUNT_MAX:
            return f"declares {weight:g} as the weight of tenant {tenant!r}, which is none."
    return ""


def _sender(message: m.ResourceMessage) -> str:
    match message:
        case m.RegisterWorker():
            return f"Worker {message.worker_id!r}"
        case m.RequestAllocation():
            return f"The request {message.allocation_id!r}"
        case m.ReserveResources():
            return f"The reservation {message.reservation_id!r}"
        case _:
            return "The configuration"
