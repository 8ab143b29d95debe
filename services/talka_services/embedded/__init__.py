"""The embedded NATS server: one per data directory, shared by every process that uses it."""

from talka_services.embedded.directory import Durability
from talka_services.embedded.server import EmbeddedServer

__all__ = ["Durability", "EmbeddedServer"]
