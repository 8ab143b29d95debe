"""Planted bugs, each the removal of one safeguard: a simulation that misses one is worth nothing.

Where two safeguards stand behind each other, the mutant removes both.
"""

from talka_chaos.mutants.ordering import ORDERING_MUTANTS
from talka_chaos.mutants.planting import Mutant, seeds_needed
from talka_chaos.mutants.pool import POOL_MUTANTS
from talka_chaos.mutants.preempting import PREEMPTION_MUTANTS
from talka_chaos.mutants.rewinding import REWINDING_MUTANTS
from talka_chaos.mutants.runner import RUNNER_MUTANTS
from talka_chaos.mutants.scheduler import SCHEDULER_MUTANTS
from talka_chaos.mutants.starter import STARTER_MUTANTS
from talka_chaos.mutants.trigger import TRIGGER_MUTANTS
from talka_chaos.mutants.trouble import TROUBLE_MUTANTS
from talka_chaos.mutants.worker import WORKER_MUTANTS

MUTANTS: dict[str, Mutant] = {
    mutant.__name__: mutant
    for mutant in (
        *SCHEDULER_MUTANTS,
        *ORDERING_MUTANTS,
        *REWINDING_MUTANTS,
        *STARTER_MUTANTS,
        *TRIGGER_MUTANTS,
        *TROUBLE_MUTANTS,
        *POOL_MUTANTS,
        *PREEMPTION_MUTANTS,
        *WORKER_MUTANTS,
        *RUNNER_MUTANTS,
    )
}

__all__ = ["MUTANTS", "Mutant", "seeds_needed"]
