"""What `talka service worker` was told to offer."""

from __future__ import annotations

from talka_services.cli.pairs import imported


class Offer:
    """What ``service worker`` was told to offer."""

    def __init__(
        self,
        pool: str,
        worker_id: str | None,
        slots: int,
        capacity: dict[str, float],
        agents: dict[str, str],
        drain_s: float,
    ) -> None:
        self.pool = pool
        self.worker_id = worker_id
        self.slots = slots
        self.capacity = capacity
        self.drain_s = drain_s
        self.labels: dict[str, str] = {}
        self.secrets_dir: str | None = None
        self.is_elastic = self.is_until_input_ends = False
        self.agents = {name: imported(place) for name, place in agents.items()}
