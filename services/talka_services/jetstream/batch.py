"""How much an actor is given at once, and how those who have something for it share that."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from talka_protocols.ports import Delivery

BATCH = 512
BATCH_BYTES = 4 * 1024 * 1024


def take(buffers: Sequence[deque[Delivery]]) -> list[Delivery]:
    """Take at most 512 deliveries of about 4 MiB off the buffers, oldest first of each.

    Each buffer has an equal share of the batch, and what one leaves of its
    share goes to the others, so none has to wait until another is empty.
    """
    batch: list[Delivery] = []
    size = 0
    for number in range(1, len(buffers) + 1):
        size += _take(buffers[number - 1], batch, BATCH * number // len(buffers), BATCH_BYTES // len(buffers))
    for buffer in buffers:
        size += _take(buffer, batch, BATCH, BATCH_BYTES - size)
    return batch


def _take(buffer: deque[Delivery], batch: list[Delivery], count: int, size: int) -> int:
    """Move deliveries until the batch has so many or they fill so many bytes; return how many bytes."""
    taken = 0
    while buffer and len(batch) < count and taken < size:
        delivery = buffer.popleft()
        taken += len(delivery.body)
        batch.append(delivery)
    return taken
