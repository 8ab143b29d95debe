"""A process beside a worker that tells the pool when nothing of the worker is left."""

from talka_services.witness.will import Incarnation, Will
from talka_services.witness.witness import Witness

__all__ = ["Incarnation", "Will", "Witness"]
