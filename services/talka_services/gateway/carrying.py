"""Executions to take away and to check: the file of an export, and what a replay of the whole log finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Annotated

from msgspec import Struct
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from talka_protocols.errors import UnknownExecutionError
from talka_protocols.ports import Snapshots
from talka_services.client.histories import Histories
from talka_services.client.petitions import Petition, logs_of, petitions
from talka_services.client.verifying import verify_execution
from talka_services.exports import export_execution
from talka_services.gateway.calls import Call
from talka_services.gateway.executions import ONE
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import Paging, paged

SQLITE = "application/vnd.sqlite3"
ENDING = ".talka.sqlite"


async def export_execution_file(call: Call, execution_id: str) -> Annotated[Response, bytes]:
    """Download an execution as one SQLite file, as `talka export` writes it: `talka replay FILE` reads it."""
    await call.histories.latest(execution_id)
    node = call.orchestrator.node
    ports = node.ports
    folder = Path(mkdtemp(prefix="talka-export-"))
    tidying = BackgroundTask(rmtree, folder, ignore_errors=True)
    try:
        await export_execution(
            execution_id,
            folder / f"execution{ENDING}",
            log=ports.log,
            blobs=ports.blobs,
            snapshots=ports.snapshots,
            namespace=ports.names.namespace,
            shards=ports.shards,
        )
    except BaseException:
        await tidying()
        raise
    name = f"{execution_id}{ENDING}"
    return FileResponse(folder / f"execution{ENDING}", filename=name, media_type=SQLITE, background=tidying)


class Verification(Struct, frozen=True):
    """What a replay of the whole log found: a sentence for each violation, and what was checked."""

    execution_id: str
    is_verified: bool
    violations: tuple[str, ...]
    checks: str


@dataclass(frozen=True)
class _Records:
    histories: Histories
    snapshots: Snapshots


async def verify_history(call: Call, execution_id: str) -> Verification:
    """Fold an execution's whole log again and check it, as `talka replay --verify` does."""
    records = _Records(call.whole, call.orchestrator.node.ports.snapshots)
    found = await verify_execution(records, execution_id)
    return Verification(execution_id, not found.violations, found.violations, found.checks)


class PetitionList(Struct, frozen=True):
    """Requests as they were recorded; ``next`` is the cursor of the next page, null at the end."""

    requests: list[Petition]
    next: str | None


async def list_requests(call: Call, execution_id: str, query: Paging) -> PetitionList:
    """Say who asked for what of an execution, and what became of it, as `talka audit --who` does."""
    logs = logs_of(call.histories, execution_id)
    found = await petitions(call.whole, logs)
    if not found and not any([await call.whole.commits(name) for name in logs]):
        raise UnknownExecutionError(execution_id)
    return PetitionList(*paged(found, _place, query, tuple[float, str, int]))


def _place(petition: Petition) -> tuple[float, str, int]:
    return petition.at, petition.log, petition.version


OPERATIONS = (
    Operation("GET", f"{ONE}/export", export_execution_file, "history", answers=SQLITE),
    Operation("GET", f"{ONE}/verification", verify_history, "history"),
    Operation("GET", f"{ONE}/requests", list_requests, "history"),
)
