"""How far actors are behind: the messages that are in their inboxes and not yet settled."""

from __future__ import annotations

from talka_core.alerting import Lag
from talka_services.jetstream.api import RefusedError, call, refused
from talka_services.jetstream.connection import Connection


async def inbox_lags(connection: Connection) -> list[Lag]:
    """Return the lag of each inbox that holds messages, of clients' requests and of actors' letters together.

    What is settled leaves its stream within about a second, and is counted until then.

    Raises:
        ServerUnavailableError: there is no answer.
        PlatformError: the server refused to tell.
    """
    names, counts = connection.names, dict[str, int]()
    for stream, pattern in (("inbox", names.inbox("*", ">")), ("request", names.requests("*", ">"))):
        prefix = pattern.removesuffix("*.>")
        for subject, count in (await _counts(connection, names.stream(stream), pattern)).items():
            # Letters say behind the address who speaks.
            address = ".".join(subject.removeprefix(prefix).split(".")[:2])
            counts[address] = counts.get(address, 0) + count
    split = ((*address.partition("."), count) for address, count in counts.items())
    # Alarms lie in the stream of requests until they ring.
    return [Lag(kind, address, count) for kind, _, address, count in split if kind != "alarm"]


async def _counts(connection: Connection, stream: str, pattern: str) -> dict[str, int]:
    found: dict[str, int] = {}
    while True:
        request = {"subjects_filter": pattern, "offset": len(found)}
        try:
            answer = await call(connection, f"STREAM.INFO.{stream}", request)
        except RefusedError as error:
            raise refused("counting messages", error) from error
        page = answer.state.subjects or {}
        found |= page
        if not page or len(found) >= answer.total:
            return found
