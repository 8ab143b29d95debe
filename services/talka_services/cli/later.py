"""``talka submit`` with ``--at`` or ``--debounce``: an execution that starts later."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from talka_services.cli.command import Target
from talka_services.cli.loading import Request, load_workflow
from talka_services.cli.moments import parse_instant, parse_seconds
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.workflow import Workflow


def submit_later(
    target: Target,
    request: Request,
    time_scale: float,
    *,
    key: str | None,
    at: str | None,
    debounce: str | None,
    quiet_for: str,
) -> None:
    """Submit, and print the id under which the execution will start.

    Raises:
        UsageError: nobody would run it.
    """
    from talka_services.cli.presence import who_is_present

    starts_at = None if at is None else parse_instant(at, "--at", ZoneInfo("UTC"))
    quiet_seconds = parse_seconds(quiet_for, "--quiet-for")
    loaded = load_workflow(request).scaled(time_scale)
    present = None if target.server else who_is_present(target.data_dir, target.namespace)
    if present is not None:
        loaded.check(frozenset(present.agent_types), present.ceiling)
    elif not target.server:
        raise UsageError(
            f"Nobody would run it: no `talka up` runs on {target.data_dir}.",
            hint="Start `talka up`, or name a platform with --server.",
        )
    execution_id = run_loop(_submit(target, loaded.workflow, key, starts_at, debounce, quiet_seconds))
    if target.is_json:
        print_json({"execution_id": execution_id, "status": "accepted"})
    else:
        sys.stdout.write(f"{execution_id}\n")


async def _submit(
    target: Target,
    workflow: Workflow,
    key: str | None,
    at: float | None,
    debounce: str | None,
    quiet_seconds: float,
) -> str:
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        if debounce is not None:
            return await orchestrator.debounce_workflow(workflow, debounce, quiet_seconds)
        return await orchestrator.submit_workflow(workflow, key=key, at=at)
