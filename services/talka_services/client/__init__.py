"""The public face of a running platform: submit, follow, cancel, and ask for resources."""

from talka_services.client.local import LocalOptions, local
from talka_services.client.orchestrator import Orchestrator, connect
from talka_services.client.resources import ResourceManager
from talka_services.jetstream.access import Access

__all__ = ["Access", "LocalOptions", "Orchestrator", "ResourceManager", "connect", "local"]
