"""To one client."""

from __future__ import annotations

from talka_protocols.messages.kinds import ToClient


class AllocationAnswered(ToClient, frozen=True, gc=False):
    """A client's request was granted."""

    allocation_id: str
    worker_id: str
    fence: int
    amounts: dict[str, float]
    granted_at: int


class ReleaseAnswered(ToClient, frozen=True, gc=False):
    """A client's release was recorded."""

    allocation_id: str


class ReservationAnswered(ToClient, frozen=True, gc=False):
    """A client's reservation was made, or refused with a reason."""

    reservation_id: str
    expires_at: int = 0
    reason: str = ""


ClientMessage = AllocationAnswered | ReleaseAnswered | ReservationAnswered
