"""``talka export`` and ``talka import``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.queries import ExecutionId
from talka_services.cli.screen import console, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord
    from talka_services.cli.records import Records

FORMATS = ("log", "wfformat", "yaml")
ENDINGS = {"log": ".talka.sqlite", "wfformat": ".wfformat.json", "yaml": ".yaml"}

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where to; '-' (not for log) is standard output.")
]
Format = Annotated[
    str,
    typer.Option("--format", help="log: everything, one SQLite file; wfformat: a WfCommons trace; yaml."),
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A file made by `talka export`.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "export")(export)
    command(app, "import")(import_)


def export(target: Target, execution_id: ExecutionId, output: Output = None, form: Format = "log") -> None:
    """Write an execution to a file that needs no server: its log, its trace, or its workflow."""
    if form not in FORMATS:
        raise UsageError(f"There is no format {form!r}.", hint=f"Formats: {', '.join(FORMATS)}.")
    if form == "log" and output == Path("-"):
        raise UsageError("A log is a SQLite file and cannot go to standard output.", hint="Name a file.")
    place, size = run_loop(_export(target, execution_id, output, form))
    if place is None:
        return
    if target.is_json:
        print_json({"file": str(place), "format": form, "bytes": size})
    else:
        console().print(f"{plain(place)} ({size:,} bytes)")
        if form == "log":
            console().print(f"  read it anywhere: talka replay {plain(place)} --verify")


async def _export(target: Target, wanted: str, output: Path | None, form: str) -> tuple[Path | None, int]:
    from talka_services.cli.records import open_execution
    from talka_services.exports import export_execution

    async with open_execution(target, wanted) as (records, execution_id):
        place = output or Path(f"{execution_id}{ENDINGS[form]}")
        if form == "log":
            await export_execution(
                execution_id,
                place,
                log=records.log,
                blobs=records.blobs,
                snapshots=records.snapshots,
                namespace=records.namespace,
                shards=records.shards,
            )
            return place, place.stat().st_size
        text = await _text(records, execution_id, form)
    if place == Path("-"):
        sys.stdout.write(text)
        return None, 0
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written: {error.strerror}.", hint="Name another file."
        ) from error
    return place, len(text.encode())


async def _text(records: Records, execution_id: str, form: str) -> str:
    from talka_services.formats import dump_yaml

    state = await records.histories.execution(execution_id)
    if state.workflow is None:
        raise UsageError(f"{execution_id!r} was rejected, so it has no workflow to export.")
    if form == "yaml":
        return dump_yaml(state.workflow)
    return await _wfformat(records, state)


async def _wfformat(records: Records, state: ExecutionRecord) -> str:
    import json
    from importlib.metadata import version

    from talka_core.status import result_of
    from talka_services.formats import TaskTimes, export_wfformat

    assert state.workflow is not None, "a rejected execution was refused before"
    outcome = {
        task_id: TaskTimes(task.started_at, task.finished_at, task.worker, task.status.value)
        for task_id, task in result_of(state).tasks.items()
        if task.finished_at is not None
    }
    machines = await _machines(records, state)
    document = export_wfformat(state.workflow, outcome, machines, version=version("talka"))
    return json.dumps(document, indent=2) + "\n"


async def _machines(records: Records, state: ExecutionRecord) -> dict[str, dict[str, float]]:
    """Return what the workers that ran it offered, as they joined the pool."""
    from talka_protocols.events import WorkerJoined
    from talka_protocols.subjects import POOL, LogName

    ran: dict[str, Any] = {task.worker_id: None for task in state.tasks.values() if task.worker_id}
    offered: dict[str, dict[str, float]] = {}
    for _position, commit in await records.histories.commits(LogName(POOL, "-", state.pool)):
        for _version, _cause, event in commit.events():
            if isinstance(event, WorkerJoined) and event.worker_id in ran:
                offered[event.worker_id] = event.capacity
    return offered


def import_(target: Target, file: File) -> None:
    """Bring an exported execution back, as history; an id that exists here is refused."""
    if not file.is_file():
        raise UsageError(f"There is no file {file}.", hint="Name a file made by `talka export`.")
    state = run_loop(_import(target, file))
    status = state.status.value if state.status else ""
    if target.is_json:
        print_json({"execution_id": state.execution_id, "name": state.name, "status": status})
    else:
        console().print(f"{state.execution_id}  {plain(state.name)}  {status}")


async def _import(target: Target, file: Path) -> ExecutionRecord:
    from talka_services.cli.reach import reach_node
    from talka_services.exports import Archive, import_execution

    with Archive(file) as archive:
        async with reach_node(target, create=True) as node:
            ports = node.ports
            return await import_execution(archive, log=ports.log, blobs=ports.blobs, shards=ports.shards)
