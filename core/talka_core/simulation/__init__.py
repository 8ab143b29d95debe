"""What would happen: workflows run on modelled workers in virtual time, decided by the real actors."""

from talka_core.simulation.assumptions import hastened, within
from talka_core.simulation.changes import Change, Setting, Staff, altered, employed, shapes
from talka_core.simulation.cost import cost_of
from talka_core.simulation.feasibility import Feasibility, feasibility
from talka_core.simulation.recorded import NothingRecordedError, Recorded, grown, recorded
from talka_core.simulation.result import SimulatedRun, SimulatedTask
from talka_core.simulation.world import Offer, SimulationStuckError, simulate, whole_of

__all__ = [
    "Change",
    "Feasibility",
    "NothingRecordedError",
    "Offer",
    "Recorded",
    "Setting",
    "SimulatedRun",
    "SimulatedTask",
    "SimulationStuckError",
    "Staff",
    "altered",
    "cost_of",
    "employed",
    "feasibility",
    "grown",
    "hastened",
    "recorded",
    "shapes",
    "simulate",
    "whole_of",
    "within",
]
