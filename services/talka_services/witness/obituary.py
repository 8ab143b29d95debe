"""Tells the pools that incarnations of a worker have ended: ``python -m talka_services.witness.obituary``.

The will comes on standard input. A worker's death is told to the pool's inbox, as the worker would
tell it: the pool's owner, whoever that is by then, takes it from there.
"""

from __future__ import annotations

import asyncio
import sys

from talka_protocols.errors import PlatformError, ServerUnavailableError
from talka_protocols.messages import Recipient, WorkerLeft, sealed
from talka_protocols.messages.speakers import Role
from talka_protocols.subjects import Names
from talka_services.jetstream.connection import connect
from talka_services.jetstream.post import JetStreamPost
from talka_services.witness.will import Incarnation, Will, decoded

PATIENCE_S = 30.0
"""Long before that the pool has learned of the end by silence, so nobody needs to be told any more."""
REASON = "Its process has ended, and all that it started."


async def tell(will: Will) -> None:
    """Tell each pool of the incarnations it had.

    Raises:
        PlatformError: no server takes it; the pool learns by their silence.
    """
    names = Names(will.namespace)
    connection = await connect(will.servers, "talka witness", names, will.access)
    try:
        # Sending outlasts every outage, and a server that is gone for good would keep this process for ever.
        async with asyncio.timeout(PATIENCE_S):
            for one in will.incarnations:
                post = JetStreamPost(connection, f"{Role.WORKER.value}.{one.worker_id}")
                await post.send([(names.inbox(Recipient.RESOURCE.value, one.pool), _letter(one))])
    except TimeoutError:
        raise ServerUnavailableError(f"The server has not answered for {PATIENCE_S:g} s.") from None
    finally:
        await connection.close()


def _letter(one: Incarnation) -> bytes:
    message = WorkerLeft(one.pool, one.worker_id, one.incarnation, REASON, is_ended=True)
    sender = f"witness.{one.worker_id}"
    return sealed(sender, message, letter_id=f"{sender}:{one.incarnation}:ended", epoch=one.incarnation)


def main() -> None:
    """Read the will and carry it out."""
    will = decoded(sys.stdin.buffer.read())
    try:
        asyncio.run(tell(will))
    except PlatformError as error:
        sys.exit(f"The end of this worker was not told: {error}")


if __name__ == "__main__":
    main()
