"""A user's own workflow in the simulated cluster: its graph with modelled tasks, under the faults of seeds."""

from talka_chaos.trials.trying import tried

__all__ = ["tried"]
