"""The checkup of a NATS server: from what it says of itself to what is wrong, and what to do about it."""

from talka_core.checkup.checks import BOUNDS, KEPT, checkup
from talka_core.checkup.facts import Finding, Level, NodeFacts, ServerFacts, Skew, StorageFacts, StreamFacts
from talka_core.checkup.servers import OLDEST_SERVER

__all__ = [
    "BOUNDS",
    "KEPT",
    "OLDEST_SERVER",
    "Finding",
    "Level",
    "NodeFacts",
    "ServerFacts",
    "Skew",
    "StorageFacts",
    "StreamFacts",
    "checkup",
]
