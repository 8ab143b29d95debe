"""The checkup of a NATS server: from what it says of itself to what is wrong, and what to do about it."""

from talka_core.checkup.checks import BOUNDS, KEPT, OLDEST_SERVER, checkup
from talka_core.checkup.facts import Finding, Level, ServerFacts, Skew, StorageFacts, StreamFacts

__all__ = [
    "BOUNDS",
    "KEPT",
    "OLDEST_SERVER",
    "Finding",
    "Level",
    "ServerFacts",
    "Skew",
    "StorageFacts",
    "StreamFacts",
    "checkup",
]
