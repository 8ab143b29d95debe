"""What is to be told when a process has ended, and where; only pipes carry it, for it may hold secrets."""

from __future__ import annotations

from msgspec import Struct

from talka_services.jetstream.access import Access


class Incarnation(Struct, frozen=True):
    """What one worker of the process was to its pool."""

    pool: str
    worker_id: str
    incarnation: int


class Will(Struct, frozen=True):
    """The incarnations that end with the process, and the servers to tell it to, and as whom."""

    servers: tuple[str, ...]
    namespace: str
    incarnations: tuple[Incarnation, ...]
    access: Access = Access()
