"""What would happen: workflows run on modelled workers in virtual time, decided by the real actors."""

from talka_core.simulation.result import SimulatedRun, SimulatedTask
from talka_core.simulation.world import Offer, SimulationStuckError, simulate

__all__ = ["Offer", "SimulatedRun", "SimulatedTask", "SimulationStuckError", "simulate"]
