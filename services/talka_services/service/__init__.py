"""The four services: each owns addresses by lease, or is one worker, in any process."""

from talka_services.service.node import Node
from talka_services.service.owner import Owner
from talka_services.service.worker import WorkerOptions, WorkerService

__all__ = ["Node", "Owner", "WorkerOptions", "WorkerService"]
