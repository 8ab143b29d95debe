"""Numbers that look random and follow from a seed alone."""

from __future__ import annotations

_MASK = (1 << 64) - 1


class Dice:
    """Deterministic draws; ``state`` is all that is needed to go on later.

    A multiplicative congruential generator with the multiplier of Knuth's MMIX; only its upper bits are used.
    """

    __slots__ = ("state",)

    def __init__(self, state: int) -> None:
        self.state = state & _MASK

    def share(self) -> float:
        """Return a number from 0 to below 1."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (self.state >> 11) / 9007199254740992.0

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to below the limit."""
        return int(self.share() * limit)
