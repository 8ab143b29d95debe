"""The ports in memory: simple and well-behaved, for tests, examples and the simulation to wrap.

They use nothing but the event loop, so they run under a virtual clock.
"""

from talka_services.memory.blobs import MemoryBlobs
from talka_services.memory.leases import MemoryLease, MemoryLeases
from talka_services.memory.log import MemoryLog
from talka_services.memory.post import MemoryInbox, MemoryPost
from talka_services.memory.snapshots import MemorySnapshots

__all__ = [
    "MemoryBlobs",
    "MemoryInbox",
    "MemoryLease",
    "MemoryLeases",
    "MemoryLog",
    "MemoryPost",
    "MemorySnapshots",
]
