"""One runner for every actor: decide, append, perform, acknowledge last."""

from talka_services.runner.actor import Actor, Address, LeaseLostError
from talka_services.runner.ports import Clock, Ports, SystemClock

__all__ = ["Actor", "Address", "Clock", "LeaseLostError", "Ports", "SystemClock"]
