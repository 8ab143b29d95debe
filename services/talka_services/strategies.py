"""Strategies by entry point: packages bring them in the group ``talka.strategies``."""

from __future__ import annotations

from importlib.metadata import entry_points

from talka_core.custom_strategies import PLUGGED_IN
from talka_core.spelling import did_you_mean
from talka_protocols.workflow import Strategy

GROUP = "talka.strategies"


def plug_in() -> None:
    """Load every strategy that an installed package brings; one that has a built-in name is never asked."""
    for point in entry_points(group=GROUP):
        if point.name not in PLUGGED_IN:
            PLUGGED_IN[point.name] = point.load()


def is_custom(name: str) -> bool:
    """Tell whether a package brings a strategy of this name, and load it then."""
    plug_in()
    return name in PLUGGED_IN


def fault_of(name: str) -> tuple[str, str] | None:
    """Return what to say of a name that no strategy has, and a hint; None if there is such a strategy."""
    if name in tuple(Strategy) or is_custom(name):
        return None
    hint = did_you_mean(name, [*Strategy, *sorted(PLUGGED_IN)], label="Strategies")
    return f"There is no strategy {name!r}.", hint
