"""The public face of a running platform: submit, follow, cancel, and ask for resources."""

from talka_services.client.local import LocalOptions, local
from talka_services.client.orchestrator import Orchestrator, connect
from talka_services.client.resources import ResourceManager

__all__ = ["LocalOptions", "Orchestrator", "ResourceManager", "connect", "local"]
