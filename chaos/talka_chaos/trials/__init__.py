"""A user's own workflow in the simulated cluster: its graph with modelled tasks, and faults of seeds."""

from talka_chaos.trials.trying import tried

__all__ = ["tried"]
