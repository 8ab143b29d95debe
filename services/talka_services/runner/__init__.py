"""One runner for every actor: decide, append, perform, acknowledge last."""

from talka_services.runner.actor import Actor, Address
from talka_services.runner.ports import Clock, Ports, SystemClock
from talka_services.runner.states import LeaseLostError

__all__ = ["Actor", "Address", "Clock", "LeaseLostError", "Ports", "SystemClock"]
