"""What the operator of a pool declares about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from msgspec import Struct

from talka_core.resource.soundness import scaling_fault
from talka_protocols.errors import CallerError
from talka_protocols.messages import ConfigurePool, ResourceMessage, ScalePool
from talka_protocols.policies import Breaker, ScalingPolicy
from talka_protocols.workflow import ResourceRequirements
from talka_services.strategies import fault_of

FAILURES_MAX = 1_000
"""How many failures a breaker may count; each of their instants is remembered."""
_BUILT_IN = frozenset(ResourceRequirements.__struct_fields__) - {"custom_resources"} | {"slots"}


class PoolConfiguration(Struct, frozen=True):
    """What a pool has as a whole, and the most that its workers will ever offer.

    ``shared`` maps custom resources to the amount that the whole pool has.
    ``ceiling`` is the most of each resource that one worker will ever offer;
    what it does not name is left open. ``agent_types`` is all that will ever be
    served. None leaves ceiling or agent types open. ``breakers`` are the
    circuit breakers by agent type. ``quotas`` are the most that a tenant has at
    once, by tenant and resource, and ``weights`` the fair shares of tenants
    against 1 of the others. ``scaling`` says how many workers it shall
    have; None leaves that as it is. ``strategy`` is that of workflows which name
    none; where it is empty too, ``priority``.

    Raises:
        CallerError: an amount is no number from 0, a pool-wide one has the name of a built-in one, a weight
            is not above 0, a breaker would never open or never close, the number of workers makes no
            sense, or there is no such strategy.
    """

    shared: Mapping[str, float] = {}
    ceiling: Mapping[str, float] | None = None
    agent_types: tuple[str, ...] | None = None
    breakers: Mapping[str, Breaker] = {}
    scaling: ScalingPolicy | None = None
    quotas: Mapping[str, Mapping[str, float]] = {}
    weights: Mapping[str, float] = {}
    strategy: str = ""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        for name in self.shared:
            if name in _BUILT_IN:
                raise CallerError(
                    f"The pool-wide resource {name!r} has the name of a built-in one.",
                    hint="Only custom resources can be pool-wide; choose another name.",
                )
        for name, amount in (
            *self.shared.items(),
            *(self.ceiling or {}).items(),
            *(pair for quota in self.quotas.values() for pair in quota.items()),
        ):
            if not math.isfinite(amount) or amount < 0:
                raise CallerError(f"The amount of {name!r} is {amount!r}.", hint="Give a number from 0.")
        if self.scaling is not None:
            check_scaling(self.scaling)
        if self.strategy and (fault := fault_of(self.strategy)):
            what, hint = fault
            raise CallerError(what, hint=hint)
        for tenant, weight in self.weights.items():
            if not math.isfinite(weight) or weight <= 0:
                raise CallerError(f"The weight of tenant {tenant!r} is {weight!r}.", hint="Give more than 0.")
        for name, rule in self.breakers.items():
            if min(rule.failures, rule.within_ms, rule.open_ms, rule.probes) < 1:
                raise CallerError(
                    f"The circuit breaker of agent type {name!r} has a number below 1: {rule}.",
                    hint="Give at least one failure, one probe, and a millisecond of each duration.",
                )
            if rule.failures > FAILURES_MAX:
                raise CallerError(
                    f"The circuit breaker of agent type {name!r} counts {rule.failures} failures.",
                    hint=f"Give 1 to {FAILURES_MAX}.",
                )

    @property
    def is_given(self) -> bool:
        """Tell whether anything is declared; if not, the pool stays as it is."""
        is_bounded = self.ceiling is not None or self.agent_types is not None
        is_divided = bool(self.quotas) or bool(self.weights)
        return bool(self.shared) or bool(self.breakers) or is_bounded or is_divided or bool(self.strategy)

    def messages(self, pool: str) -> Iterator[ResourceMessage]:
        """Yield what tells a pool's actor, as far as anything is declared."""
        if self.is_given:
            yield self.message(pool)
        if self.scaling is not None:
            yield ScalePool(pool, self.scaling)

    def message(self, pool: str) -> ConfigurePool:
        """Return what tells a pool's actor."""
        ceiling = None if self.ceiling is None else _plain(self.ceiling)
        agent_types = None if self.agent_types is None else tuple(sorted(set(self.agent_types)))
        breakers = {name: self.breakers[name] for name in sorted(self.breakers)}
        quotas = {tenant: _plain(self.quotas[tenant]) for tenant in sorted(self.quotas)}
        shared, weights = _plain(self.shared), _plain(self.weights)
        return ConfigurePool(pool, shared, ceiling, agent_types, breakers, quotas, weights, self.strategy)


def check_scaling(policy: ScalingPolicy) -> None:
    """Refuse a scaling policy that makes no sense.

    Raises:
        CallerError: it does not.
    """
    if fault := scaling_fault(policy):
        raise CallerError(
            f"The scaling policy {fault}",
            hint="Give 0 <= min <= max, a target delay above 0, and times from 0.",
        )


def _plain(amounts: Mapping[str, float]) -> dict[str, float]:
    return {name: float(amount) for name, amount in sorted(amounts.items())}
