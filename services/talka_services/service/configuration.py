"""What the operator of a pool declares about it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from talka_protocols.errors import CallerError
from talka_protocols.messages import ConfigurePool
from talka_protocols.workflow import ResourceRequirements

_BUILT_IN = frozenset(ResourceRequirements.__struct_fields__) - {"custom_resources"} | {"slots"}


class PoolConfiguration(Struct, frozen=True):
    """What a pool has as a whole, and the most that its workers will ever offer.

    ``shared`` maps custom resources to the amount that the whole pool has.
    ``ceiling`` is the most of each resource that one worker will ever offer;
    what it does not name is left open. ``agent_types`` is all that will ever be
    served. None leaves ceiling or agent types open.

    Raises:
        CallerError: an amount is no number from 0, or a pool-wide one has the name of a built-in one.
    """

    shared: Mapping[str, float] = {}
    ceiling: Mapping[str, float] | None = None
    agent_types: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        for name in self.shared:
            if name in _BUILT_IN:
                raise CallerError(
                    f"The pool-wide resource {name!r} has the name of a built-in one.",
                    hint="Only custom resources can be pool-wide; choose another name.",
                )
        for name, amount in (*self.shared.items(), *(self.ceiling or {}).items()):
            if not math.isfinite(amount) or amount < 0:
                raise CallerError(f"The amount of {name!r} is {amount!r}.", hint="Give a number from 0.")

    @property
    def is_given(self) -> bool:
        """Tell whether anything is declared; if not, the pool stays as it is."""
        return bool(self.shared) or self.ceiling is not None or self.agent_types is not None

    def message(self, pool: str) -> ConfigurePool:
        """Return what tells a pool's actor."""
        ceiling = None if self.ceiling is None else _plain(self.ceiling)
        agent_types = None if self.agent_types is None else tuple(sorted(set(self.agent_types)))
        return ConfigurePool(pool, _plain(self.shared), ceiling, agent_types)


def _plain(amounts: Mapping[str, float]) -> dict[str, float]:
    return {name: float(amount) for name, amount in sorted(amounts.items())}
