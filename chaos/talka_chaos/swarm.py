"""How much goes wrong: a seed draws its own rate for every fault, so each seed is another climate.

Rates are capped: under rates near one even a healthy system cannot move. Faults
stop after ``storm_s``, and only then is liveness judged.
"""

from __future__ import annotations

from random import Random
from typing import Literal

from msgspec import Struct

Chance = Literal[
    "tail",
    "reorder",
    "duplicate",
    "redeliver",
    "slow_append",
    "post_error",
    "crash_at_call",
    "heartbeat_loss",
    "task_failure",
]
"""The faults that happen, or not, at every chance for them; the others just happen now and then."""


class Faults(Struct, frozen=True):
    """Probabilities of one fault at one chance for it, and mean times between those that just happen.

    Times are virtual seconds.
    """

    storm_s: float
    delay_s: float
    tail: float
    reorder: float
    duplicate: float
    redeliver: float
    slow_append: float
    post_error: float
    crash_at_call: float
    heartbeat_loss: float
    task_failure: float
    crash_every_s: float
    lease_loss_every_s: float
    inbox_loss_every_s: float
    cut_off_every_s: float


def draw(random: Random) -> Faults:
    """Draw the climate of one world."""

    def rate(most: float) -> float:
        return random.choice((0.0, 0.1, 0.4, 1.0)) * random.uniform(0.2, 1.0) * most

    def every(least: float) -> float:
        return random.choice((least, 3 * least, 10 * least, 1e9))

    return Faults(
        storm_s=random.uniform(10.0, 40.0),
        delay_s=random.choice((0.001, 0.01, 0.1)),
        tail=rate(0.2),
        reorder=rate(0.5),
        duplicate=rate(0.4),
        redeliver=rate(0.3),
        slow_append=rate(0.3),
        post_error=rate(0.1),
        crash_at_call=rate(0.02),
        heartbeat_loss=rate(0.4),
        task_failure=rate(0.6),
        crash_every_s=every(3.0),
        lease_loss_every_s=every(3.0),
        inbox_loss_every_s=every(4.0),
        cut_off_every_s=every(4.0),
    )
