"""``talka validate``: everything that ``run`` checks before it starts anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.pairs import parse_amounts
from talka_services.cli.running import (
    Capacity,
    Deadline,
    DeadlineMode,
    File,
    Inputs,
    MaxSeconds,
    MaxTasks,
    Workers,
)
from talka_services.cli.screen import console, duration, plain, print_json

if TYPE_CHECKING:
    from talka_core.simulation import Feasibility
    from talka_services.cli.loading import Loaded


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "validate")(validate)


def validate(
    target: Target,
    file: File,
    inputs: Inputs = None,
    capacity: Capacity = None,
    max_tasks: MaxTasks = None,
    max_seconds: MaxSeconds = None,
    workers: Workers = None,
    deadline: Deadline = None,
    deadlines: DeadlineMode = "warn",
) -> None:
    """Check a workflow as `run` would here, and show its shape; nothing is started.

    With --server, agent types, resources and deadlines are left to that platform.
    """
    from talka_services.cli.loading import Request, load_workflow

    amounts = parse_amounts(capacity or ())
    request = Request(
        file, tuple(inputs or ()), max_tasks, max_seconds, deadline=deadline, deadlines=deadlines
    )
    loaded = load_workflow(request)
    judged = None if target.server else _check_here(target, loaded, amounts, workers)
    document = _shape(loaded)
    if judged is not None:
        document["deadlines"] = _told(judged)
    if target.is_json:
        print_json(document)
        return
    console().print(
        f"{plain(document['name'])} is valid: {document['tasks']} tasks, "
        f"{document['dependencies']} dependencies, {document['stages']} stages"
    )
    console().print(f"  critical path: about {duration(document['estimated_s'])}")


def _told(judged: Feasibility) -> dict[str, Any]:
    from msgspec import to_builtins

    return {"is_feasible": judged.is_feasible, **to_builtins(judged)}


def _check_here(
    target: Target, loaded: Loaded, capacity: Mapping[str, float], workers: int | None
) -> Feasibility | None:
    """Check it against ``talka up`` on this directory, else against what ``run`` would embed."""
    from talka_core.simulation import Offer
    from talka_services.cli.admission import admit
    from talka_services.cli.embedding import Flags, shapes
    from talka_services.cli.presence import who_is_present
    from talka_services.client.local import largest_offer
    from talka_services.executors.registry import Executors
    from talka_services.machine import machine_capacity

    present = who_is_present(target.data_dir, target.namespace)
    if present is not None:
        loaded.check(frozenset(present.agent_types), present.ceiling)
        return None
    offers = shapes(Flags(workers, capacity), loaded.machines, machine_capacity())
    loaded.check(frozenset(Executors().agent_types), largest_offer(offers))
    return admit(loaded, [Offer(offer) for offer in offers], {}, loaded.deadlines)


def _shape(loaded: Loaded) -> dict[str, Any]:
    from talka_core.graph import plan

    workflow = loaded.workflow
    planned = plan(workflow)
    return {
        "valid": True,
        "name": workflow.name,
        "workflow_id": workflow.id,
        "tasks": len(workflow.tasks),
        "dependencies": len(workflow.dependencies),
        "stages": len(planned.stages),
        "critical_path": list(planned.critical_path),
        "estimated_s": planned.estimated_duration,
    }
