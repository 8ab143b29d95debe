"""What a fork takes along from an execution here, or from one in an exported file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from talka_core.scheduler.forking import origin_of
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import Origin, TaskAdopted
from talka_protocols.ports import Blobs
from talka_protocols.workflow import ClaimCheck, Workflow
from talka_services.client.histories import Histories
from talka_services.sealing.ports import bare


async def beginning(histories: Histories, execution_id: str, at: int) -> tuple[Workflow, Origin]:
    """Return the workflow of a fork at an event, and what it takes over.

    Raises:
        UnknownExecutionError: there is no such execution.
        RequestRefusedError: there is no such event, or it cannot be forked there.
    """
    newest = await histories.execution(execution_id)
    if not 1 <= at <= newest.version:
        raise RequestRefusedError(
            f"There is no event {at}: the log of {execution_id!r} ends at {newest.version}.",
            hint="`talka events ID` lists them.",
            code="unknown_event",
        )
    state = await histories.execution(execution_id, at)
    origin = origin_of(state)
    assert state.workflow is not None, "what has no workflow is refused"
    return state.workflow, origin


async def stored(origin: Origin, blobs: Blobs, max_bytes: int) -> Origin:
    """Return the origin as it can travel: what is larger than ``max_bytes`` is kept and named."""
    tasks, added = msgspec.json.encode(origin.tasks), msgspec.json.encode(origin.added)
    if len(tasks) > max_bytes:
        origin = replace(origin, claim=await blobs.put(tasks))
    if len(added) > max_bytes:
        origin = replace(origin, added_claim=await blobs.put(added))
    return origin


async def copy_objects(tasks: Sequence[TaskAdopted], source: Blobs, target: Blobs) -> None:
    """Bring everything that adopted tasks name from one object store to another, as it lies there.

    Raises:
        BrokenHistoryError: the source does not hold all of it.
    """
    for claim in dict.fromkeys(_claims(tasks)):
        await bare(target).put(await bare(source).get(claim))


def _claims(tasks: Sequence[TaskAdopted]) -> Iterator[ClaimCheck]:
    for task in tasks:
        yield from (claim for claim in (task.claim, *task.artifacts.values()) if claim is not None)
