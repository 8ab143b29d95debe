"""Whether our user may do at the server what a service does; nothing is made, written or removed."""

from __future__ import annotations

from talka_protocols.permissions import INBOX, User, reply_prefix, rights_of
from talka_services.jetstream.access import public_key
from talka_services.jetstream.api import EXPECTED_LAST, PREFIX
from talka_services.jetstream.connection import Connection, Message

PROBE = "doctor"
NEVER = str(2**53)
"""No subject has had so many messages, so what expects it is refused, by whoever may be asked at all."""
NO_REQUEST = b"{"
"""What the API cannot read, it does not do."""
UNPROBED = (".STREAM.DELETE.", ".live.owners.")
"""What would be done at once, or disturb whoever listens."""


async def missing(connection: Connection, user: User) -> tuple[str, ...]:
    """Return the subjects and patterns that the service needs and that our user may not use, sorted."""
    nkey = connection.access.nkey
    rights = rights_of(user, connection.names, reply_prefix(public_key(nkey)) if nkey else INBOX)
    asked = {_one_of(pattern).lower(): pattern for pattern in rights.publish if not _is_unprobed(pattern)}
    for pattern in asked.values():
        await connection.publish(_one_of(pattern), NO_REQUEST, {EXPECTED_LAST: NEVER})
    for pattern in rights.subscribe:
        asked[pattern.lower()] = pattern
        subscription = await connection.wire.subscribe(pattern, cb=_heard)
        await subscription.unsubscribe()
    # The server has refused what it refuses before it answers what was asked last.
    await connection.request(f"{PREFIX}.INFO")
    return tuple(sorted(asked[subject] for subject in connection.forbidden if subject in asked))


def _one_of(pattern: str) -> str:
    """Return a subject that a pattern stands for."""
    return ".".join(PROBE if token in {"*", ">"} else token for token in pattern.split("."))


def _is_unprobed(pattern: str) -> bool:
    return any(part in pattern for part in UNPROBED)


async def _heard(message: Message) -> None:
    """Take what comes before the interest is withdrawn."""
