"""Who somebody is to this gateway."""

from __future__ import annotations

from talka_services.gateway.calls import Call
from talka_services.gateway.operations import Operation
from talka_services.gateway.roles import Caller


async def get_caller(call: Call) -> Caller:
    """Say under which name your requests are recorded, and which role you have."""
    return call.caller


OPERATIONS = (Operation("GET", "/me", get_caller, "access"),)
