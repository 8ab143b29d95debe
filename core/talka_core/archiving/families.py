"""Which executions may be archived: families as a whole, and only when nothing of them is live.

A sub-workflow may be undone or run again with the task that it belongs to, and
tells that how it ended. So an execution goes together with all its
sub-workflows, or none of them goes. A fork has taken over what it needs in its
own log, so it holds up nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct

LIVE = "is not over, or something of it is still owed"
YOUNG = "has not been over for long enough"
PART = "is a sub-workflow of {root}, and goes with it"
KIN = "has a sub-workflow that cannot go: {member} {reason}"
UNKNOWN = "is not here"
GONE = "is archived already"


class Standing(Struct, frozen=True):
    """What is to be known of one execution; ``ended_at`` is milliseconds since the epoch.

    ``is_over`` says that it has ended and nothing is owed by it; ``parent`` is the execution whose
    sub-workflow it is.
    """

    is_over: bool
    ended_at: int = 0
    parent: str = ""
    is_archived: bool = False


class Family(Struct, frozen=True):
    """An execution and all its sub-workflows, parents before their children."""

    root: str
    members: tuple[str, ...]


class Plan(Struct, frozen=True):
    """What may go, and of what may not, why."""

    families: tuple[Family, ...] = ()
    kept: dict[str, str] = {}


def plan(standings: Mapping[str, Standing], ended_before: int, wanted: Collection[str] | None = None) -> Plan:
    """Return which executions may be archived.

    Args:
        standings: Where all executions of the namespace stand, by id.
        ended_before: Only those that have ended by then (milliseconds since the epoch).
        wanted: Only these, and what goes with them; all unless given.
    """
    children = _children(standings)
    families: list[Family] = []
    kept: dict[str, str] = {}
    for name in sorted(standings if wanted is None else wanted):
        standing = standings.get(name)
        if standing is None:
            kept[name] = UNKNOWN
        elif standing.is_archived:
            if wanted is not None:
                kept[name] = GONE
        elif (root := _root(standings, name)) != name:
            if wanted is not None:
                kept[name] = PART.format(root=root)
        else:
            members = tuple(_members(children, name))
            if reason := _held_up(standings, members, ended_before):
                kept[name] = reason
            else:
                families.append(Family(name, members))
    return Plan(tuple(families), kept)


def _children(standings: Mapping[str, Standing]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for name in sorted(standings):
        standing = standings[name]
        if standing.parent and not standing.is_archived:
            children.setdefault(standing.parent, []).append(name)
    return children


def _root(standings: Mapping[str, Standing], name: str) -> str:
    """Return the oldest ancestor that is here and not archived; nobody is an own ancestor."""
    seen = {name}
    while True:
        parent = standings.get(standings[name].parent)
        if parent is None or parent.is_archived or standings[name].parent in seen:
            return name
        name = standings[name].parent
        seen.add(name)


def _members(children: Mapping[str, list[str]], root: str) -> Iterator[str]:
    waiting, seen = [root], {root}
    for name in waiting:
        yield name
        fresh = [child for child in children.get(name, ()) if child not in seen]
        seen.update(fresh)
        waiting += fresh


def _held_up(standings: Mapping[str, Standing], members: tuple[str, ...], ended_before: int) -> str:
    """Return why a family may not go; empty if it may."""
    for name in members:
        standing = standings[name]
        reason = "" if standing.is_over else LIVE
        if standing.is_over and standing.ended_at > ended_before:
            reason = YOUNG
        if reason:
            return reason if name == members[0] else KIN.format(member=name, reason=reason)
    return ""
