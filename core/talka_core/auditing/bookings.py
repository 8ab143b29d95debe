"""Reservations made in advance: no two of them want the same, and each is used once."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.auditing.amounts import counted
from talka_core.auditing.book import Book, Booking, Pool
from talka_core.auditing.violations import Finding, Kind
from talka_protocols import events as e


def booked(pool: Pool, event: e.ReservationBooked) -> Iterator[Finding]:
    """Enter a booking, and yield if its worker has not as much as is booked for some instant."""
    name = event.reservation_id
    if name in pool.bookings or name in pool.reservations:
        yield Kind.RESERVATION_REUSED, f"Reservation {name} is made twice."
    mine = Booking(event.worker_id, counted(event.amounts), event.starts_at, event.expires_at)
    pool.bookings[name] = mine
    offer = pool.offers.get((event.worker_id, pool.incarnation(event.worker_id)))
    for resource in mine.amounts if offer else ():
        wanted = sum(
            other.amounts.get(resource, 0)
            for other in pool.bookings.values()
            if other.worker_id == mine.worker_id and other.starts_at <= mine.starts_at < other.expires_at
        )
        if offer and wanted > offer.capacity.get(resource, 0):
            sentence = f"{wanted / 1000:g} {resource} of worker {mine.worker_id} are booked"
            yield Kind.OVER_CAPACITY, f"With reservation {name}, {sentence}."


def followed(pool: Pool, event: e.ReservationMade | e.ReservationEnded) -> Iterator[Finding]:
    """Let a booking begin or end, and yield if it begins before its time was booked."""
    found = pool.bookings.pop(event.reservation_id, None)
    pool.ending = event.reservation_id if found is not None else ""
    if isinstance(event, e.ReservationEnded):
        pool.used_up = event.reservation_id if event.reason == "used" else pool.used_up
    elif event.is_booked and found is None:
        yield Kind.RESERVATION_REUSED, f"Reservation {event.reservation_id} begins, and was not booked."


def used(book: Book, pool: Pool, event: e.AllocationGranted) -> Iterator[Finding]:
    """Yield if a grant uses a reservation that has not just been used up for it."""
    name = event.terms.reservation
    if not name or book.only:
        return
    if pool.used_up != name:
        yield Kind.RESERVATION_REUSED, f"{event.allocation_id} uses reservation {name}, which was not there."
    pool.used_up = ""
