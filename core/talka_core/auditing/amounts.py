"""How much is taken of what there is: of a worker's own, and of what a pool has as a whole.

Amounts are counted in whole thousandths. This is bookkeeping of the auditor's
own: what a name means is read from it here once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import ceil

from msgspec import Struct, field

Thousandths = dict[str, int]
SLOTS = "slots"


def counted(amounts: Mapping[str, float]) -> Thousandths:
    """Return amounts in thousandths, a part of one counted as a whole one."""
    return {name: ceil(round(amount * 1000, 6)) for name, amount in amounts.items()}


class Limited(Struct, frozen=True):
    """A place under the limit of a key: what it counts against, how many may, and how long a start counts.

    ``period_ms`` is 0 where the place comes back with the allocation.
    """

    counter: str
    limit: int
    period_ms: int = 0


def limited(name: str) -> Limited | None:
    """Return what ``key:KEY/LIMIT`` or ``rate:KEY/STARTS/MS`` says; None for every other name."""
    if name.startswith("key:"):
        counter, _, limit = name.rpartition("/")
        return Limited(counter, int(limit)) if len(counter) > len("key:") and _is_number(limit) else None
    if name.startswith("rate:"):
        head, _, period = name.rpartition("/")
        counter, _, limit = head.rpartition("/")
        if len(counter) > len("rate:") and _is_number(limit) and _is_number(period):
            return Limited(counter, int(limit), int(period))
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


class Offer(Struct):
    """What one incarnation of a worker has, and what of it is taken."""

    capacity: Thousandths
    agent_types: tuple[str, ...]
    taken: Counter[str] = field(default_factory=Counter[str])

    def claim(self, agent_type: str, own: Thousandths) -> Thousandths:
        """Return what an allocation takes here: its own amounts, and a slot if something runs on it."""
        if not agent_type:
            return own
        of_its_type = f"{SLOTS}:{agent_type}"
        slots = {SLOTS: 1000} | ({of_its_type: 1000} if of_its_type in self.capacity else {})
        return own | slots

    def excess(self, claim: Thousandths) -> Iterator[str]:
        """Say of what more is taken than there is."""
        for name in claim:
            taken, most = self.taken[name], self.capacity.get(name, 0)
            if taken > most:
                yield f"{taken / 1000:g} of {most / 1000:g} {name} are taken"


class Share(Struct, frozen=True):
    """What something takes of a pool as a whole, by name; ``rates`` come back by time and not with it."""

    amounts: Thousandths
    rates: Thousandths


def shared(amounts: Thousandths, declared: Mapping[str, float]) -> Share:
    """Return the part of the amounts that the pool has as a whole."""
    amount: Thousandths = {}
    rates: Thousandths = {}
    for name, taken in amounts.items():
        place = limited(name)
        if place is not None and place.period_ms:
            rates[name] = taken
        elif place is not None or name in declared:
            amount[name] = taken
    return Share(amount, rates)


def counter_of(name: str) -> str:
    """Return what an amount of the whole pool counts against."""
    place = limited(name)
    return place.counter if place else name


def whole(name: str, declared: Mapping[str, float]) -> int:
    """Return how much the pool has as a whole, in thousandths, by the word of the request at hand."""
    place = limited(name)
    return 1000 * place.limit if place else counted(declared).get(name, 0)
