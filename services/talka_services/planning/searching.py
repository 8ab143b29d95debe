"""The search as a process of its own, so that nobody's loop waits for it: a request in, an order out.

``python -m talka_services.planning.searching`` reads a request as JSON and writes the wanted start
of each task. If it dies, nothing is lost but what it might have found.
"""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec
from msgspec import Struct

from talka_core.search import Search, project_of
from talka_core.search.rebasing import remaining
from talka_protocols.errors import PlatformError
from talka_protocols.workflow import Workflow
from talka_services.planning.improving import search_for

NICENESS = 10


class SearchRequest(Struct, frozen=True):
    """What is left of a workflow, and for how long (seconds of CPU time) to look for a short schedule.

    ``ended`` and ``elapsed`` (milliseconds) are by a task's place in the workflow.
    """

    workflow: Workflow
    capacity: dict[str, float]
    limit_s: float
    ended: list[int] = []
    elapsed: dict[int, int] = {}
    seed: int = 0


def answer(request: SearchRequest) -> list[int]:
    """Return the wanted start of each task by its place (milliseconds); empty if nothing is scarce."""
    project = project_of(request.workflow, request.capacity)
    if project is None:
        return []
    number = {place: at for at, place in enumerate(project.tasks)}
    elapsed = {number[place]: since for place, since in request.elapsed.items()}
    left = remaining(project, [number[place] for place in request.ended], elapsed)
    found: Search = search_for(left, request.limit_s, request.seed)
    starts = [0] * len(found.best)
    for at, place in enumerate(project.tasks):
        starts[place] = found.best[at]
    return starts


async def searched(request: SearchRequest) -> list[int]:
    """Let a process of low priority search, and return what ``answer`` does; it ends with whoever waits.

    Raises:
        PlatformError: The process failed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, errors = await process.communicate(msgspec.json.encode(request))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    if process.returncode:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise PlatformError(f"The search for a shorter schedule failed: {last}")
    return msgspec.json.decode(said, type=list[int])


def main() -> None:
    """Answer the one request on the standard input."""
    os.nice(NICENESS)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=SearchRequest)
    sys.stdout.buffer.write(msgspec.json.encode(answer(request)))


if __name__ == "__main__":
    main()
