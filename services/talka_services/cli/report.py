"""What a finished execution looks like: the JSON of ``run``, and the summary for people."""

from __future__ import annotations

from collections import Counter
from shlex import quote
from typing import Any

from msgspec import to_builtins

from talka_protocols.results import TaskResult, WorkflowResult
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState, TaskStatus
from talka_protocols.workflow import ClaimCheck
from talka_services.cli.command import DATA_DIR, Target
from talka_services.cli.outcome import ExitCode
from talka_services.cli.screen import coloured, console, duration, local_time, plain, print_table

SHOWN = 10
FAULTS = frozenset({TaskStatus.FAILED, TaskStatus.TIMED_OUT, TaskStatus.CANCELLED})


def result_document(result: WorkflowResult) -> dict[str, Any]:
    """Return an execution's result as the object that ``--json`` prints; see docs/cli.md."""
    document: dict[str, Any] = {
        "execution_id": result.execution_id,
        "status": result.status.value,
        "makespan_s": result.makespan_s,
        "tasks": {task_id: task_document(task) for task_id, task in result.tasks.items()},
    }
    more: dict[str, Any] = {"reason": result.reason, "alerts": list(result.alerts)}
    return document | {name: value for name, value in more.items() if value}


def task_document(task: TaskResult) -> dict[str, Any]:
    """Return one task's result as JSON has it: times in Unix seconds, null if never.

    A task that waits has ``waiting`` in place of a result.
    """
    document: dict[str, Any] = {
        "status": task.status.value,
        "attempts": task.attempts,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "worker": task.worker,
    }
    if task.waiting is not None:
        return document | {"waiting": to_builtins(task.waiting)}
    if task.error is not None:
        error = task.error
        return document | {"error": {"code": error.code, "message": error.message, "detail": error.detail}}
    value = task.result
    if isinstance(value, ClaimCheck):
        value = {"ref": value.ref, "bytes": value.bytes, "sha256": value.sha256}
    return document | {"result": value}


def usage_document(task: TaskResult) -> dict[str, Any]:
    """Return what a task was measured to use, under ``usage``; nothing if it was not."""
    used = task.usage
    if used is None:
        return {}
    cpu_s = None if used.cpu_ms is None else used.cpu_ms / 1000
    document = {"wall_s": used.wall_ms / 1000, "cpu_s": cpu_s, "memory_mb": used.memory_mb}
    if used.gpus is not None:
        document |= {"gpus": used.gpus, "gpu_memory_mb": used.gpu_memory_mb}
    return {"usage": document}


def reason_of(task: TaskResult) -> str:
    """Return why a task is where it is: what went wrong, or what it waits for."""
    if task.waiting is None:
        return task.error.message if task.error else ""
    awaited = task.waiting
    until = f" until {local_time(awaited.until)}" if awaited.until else ""
    return f"{awaited.kind}{f' {awaited.name}' if awaited.name else ''}{until}"


def exit_code(status: ExecutionState) -> ExitCode:
    """Return the exit code for an execution's last state."""
    match status:
        case ExecutionState.SUCCEEDED:
            return ExitCode.SUCCEEDED
        case ExecutionState.REJECTED:
            return ExitCode.REFUSED
        case _:
            return ExitCode.NOT_SUCCEEDED


def print_summary(result: WorkflowResult, target: Target) -> None:
    """Print how an execution ended, which tasks did not succeed and why, and where to look next."""
    screen = console()
    counts = Counter(task.status for task in result.tasks.values())
    tally = ", ".join(f"{count} {coloured(status.value)}" for status, count in counts.items())
    state = coloured(result.status.value)
    if result.status in FINAL_EXECUTION_STATES:
        screen.print(f"{plain(result.name)}  {state} in {duration(result.makespan_s)}")
    else:
        screen.print(f"{plain(result.name)}  {state}; left unfinished, and continued by the next run or up")
    screen.print(f"  {len(result.tasks)} tasks: {tally}" if tally else "  no tasks")
    if result.reason:
        screen.print(f"  {plain(result.reason)}")
    for alert in result.alerts:
        screen.print(f"  [yellow]alert[/]  {plain(alert)}")
    _print_faults([task for task in result.tasks.values() if task.status in FAULTS])
    where = _where(target)
    screen.print(f"  execution {result.execution_id}")
    screen.print(f"  look: talka events {result.execution_id}{where}")
    screen.print(f"        talka replay {result.execution_id} --verify{where}")


def _where(target: Target) -> str:
    """Return the options with which a later command finds the execution."""
    parts: list[str] = []
    if target.server:
        parts.append(f" --server {quote(target.server)}")
    elif target.data_dir != DATA_DIR:
        parts.append(f" --data-dir {quote(str(target.data_dir))}")
    if target.namespace != "default":
        parts.append(f" --namespace {target.namespace}")
    return "".join(parts)


def _print_faults(faults: list[TaskResult]) -> None:
    if not faults:
        return
    rows = [
        (
            plain(task.task_id),
            coloured(task.status.value),
            str(task.attempts),
            plain(reason_of(task)),
        )
        for task in faults[:SHOWN]
    ]
    print_table(("task", "status", "attempts", "reason"), rows, right=("attempts",))
    if len(faults) > SHOWN:
        console().print(f"  and {len(faults) - SHOWN} more")
