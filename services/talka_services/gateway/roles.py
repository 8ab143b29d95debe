"""Roles: what a caller may do. Each holds all that the ones before it do."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """A viewer looks, an operator runs and steers work, an admin sets up what starts by itself, too."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def holds(self, other: Role) -> bool:
        """Tell whether this role may do all that the other one may."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = tuple(Role)


def highest(roles: list[Role]) -> Role | None:
    """Return the role that holds all others, None of none."""
    return max(roles, key=_ORDER.index, default=None)


class Caller(Struct, frozen=True):
    """Who asks: the name that requests are recorded under, and the role.

    ``is_limited`` says whether there is a limit to how much it may ask.
    """

    name: str
    role: Role
    is_limited: bool = True
