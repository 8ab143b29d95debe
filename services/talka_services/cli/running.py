"""``talka run`` and ``talka submit``."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from talka_core.limits import SECONDS_MAX
from talka_services.cli.command import Target, command
from talka_services.cli.embedding import Flags
from talka_services.cli.outcome import ExitCode, RejectedError, UsageError
from talka_services.cli.pairs import (
    parse_amounts,
    parse_breakers,
    parse_labels,
    parse_quotas,
    parse_weights,
)
from talka_services.cli.screen import console, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.results import WorkflowResult
    from talka_services.cli.loading import Loaded, Request
    from talka_services.cli.presence import Presence
    from talka_services.client import LocalOptions, Orchestrator

SUBMIT_S = 5.0

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A Talka file, a WfFormat instance, or module:function.")
]
Inputs = Annotated[list[str] | None, typer.Option("--input", metavar="K=V", help="A value for an input.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Embedded workers (a trace: its machines).")]
Capacity = Annotated[
    list[str] | None,
    typer.Option("--capacity", metavar="K=V", help="What each worker offers, e.g. cpu_cores=16."),
]
Shared = Annotated[
    list[str] | None,
    typer.Option("--shared", metavar="K=V", help="What the whole pool has, e.g. licence=2; repeatable."),
]
Breakers = Annotated[
    list[str] | None,
    typer.Option(
        "--breaker",
        metavar="TYPE=N/WITHIN_S/OPEN_S[/PROBES]",
        help="Start nothing of this agent type for OPEN_S after N failures within WITHIN_S; repeatable.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help="A label that tasks may require; repeatable."),
]
Quotas = Annotated[
    list[str] | None,
    typer.Option(
        "--quota",
        metavar="TENANT:K=V",
        help="The most that a tenant has of a resource at once, e.g. team-a:cpu_cores=8; repeatable.",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weight", metavar="TENANT=W", help="A tenant's fair share, against 1 of the others; repeatable."
    ),
]
PoolStrategy = Annotated[
    str | None, typer.Option("--strategy", help="That of workflows which name none (default: priority).")
]
Tenant = Annotated[
    str | None, typer.Option("--tenant", help="On whose account it counts: quotas and fair shares.")
]
TimeScale = Annotated[float, typer.Option("--time-scale", help="Multiplies the run times of sleep tasks.")]
StrategyName = Annotated[
    str | None, typer.Option("--strategy", help="The order in which ready tasks are offered.")
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="WHEN",
        help="When all should be over: 15m, 1h30m, or an instant (2030-01-01T09:00:00+01:00).",
    ),
]
DeadlineMode = Annotated[
    str,
    typer.Option(
        "--deadlines", metavar="warn|require|ignore", help="What if deadlines cannot be met on these workers."
    ),
]
MaxTasks = Annotated[int | None, typer.Option("--max-tasks", help="Raises the limit of 1,000 tasks.")]
MaxSeconds = Annotated[float | None, typer.Option("--max-seconds", help="Raises the limit of an hour.")]
Durability = Annotated[
    str | None, typer.Option("--durability", help="power (default) survives power loss; process is faster.")
]
AllowModules = Annotated[
    list[str] | None, typer.Option("--allow-module", help="A module that python tasks may use; '*' is all.")
]
AllowCommands = Annotated[
    list[str] | None, typer.Option("--allow-command", help="A program that tasks may run; '*' is all.")
]
SecretsDir = Annotated[
    str | None,
    typer.Option(
        "--secrets-dir",
        metavar="DIRECTORY",
        help="Where the files are that ${secret.NAME} stands for (or TALKA_SECRETS_DIR).",
    ),
]
Key = Annotated[str | None, typer.Option("--key", help="The same key never starts a second execution.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="WHEN", help="Start at an instant: 2030-01-01T09:00:00+01:00 (no offset: UTC)."
    ),
]
Debounce = Annotated[
    str | None,
    typer.Option("--debounce", metavar="KEY", help="One execution for a burst of calls with the same key."),
]
Quiet = Annotated[
    str, typer.Option("--quiet-for", metavar="TIME", help="How long no such call may come before it starts.")
]
Improve = Annotated[
    float,
    typer.Option(
        "--improve",
        metavar="SECONDS",
        min=0.0,
        max=SECONDS_MAX,
        help="CPU time to search a better schedule for resource_optimized while it runs.",
    ),
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the id and leave it running.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "run")(run)
    command(app, "submit")(submit)


def run(
    target: Target,
    file: File,
    inputs: Inputs = None,
    workers: Workers = None,
    capacity: Capacity = None,
    shared: Shared = None,
    breaker: Breakers = None,
    label: Labels = None,
    time_scale: TimeScale = 1.0,
    strategy: StrategyName = None,
    max_tasks: MaxTasks = None,
    max_seconds: MaxSeconds = None,
    durability: Durability = None,
    allow_module: AllowModules = None,
    allow_command: AllowCommands = None,
    key: Key = None,
    detach: Detach = False,
    deadline: Deadline = None,
    deadlines: DeadlineMode = "warn",
    improve: Improve = 0.0,
    tenant: Tenant = None,
    quota: Quotas = None,
    weight: Weights = None,
    secrets_dir: SecretsDir = None,
) -> None:
    """Run a workflow to its end and show how it goes.

    Without --server everything is embedded: the server, the services and the
    workers, with the log in --data-dir. If `talka up` runs there, it is used.
    """
    from talka_services.cli.loading import Request

    flags = Flags(
        workers,
        parse_amounts(capacity or ()),
        time_scale,
        durability,
        tuple(allow_module or ()),
        tuple(allow_command or ()),
        shared=parse_amounts(shared or (), "--shared"),
        breakers=parse_breakers(breaker or ()),
        labels=parse_labels(label or ()),
        quotas=parse_quotas(quota or ()),
        weights=parse_weights(weight or ()),
        secrets_dir=secrets_dir,
    )
    request = Request(
        file, tuple(inputs or ()), max_tasks, max_seconds, strategy, deadline, deadlines, improve, tenant
    )
    _run(target, request, flags, key, is_detached=detach)


def submit(
    target: Target,
    file: File,
    inputs: Inputs = None,
    time_scale: TimeScale = 1.0,
    strategy: StrategyName = None,
    max_tasks: MaxTasks = None,
    max_seconds: MaxSeconds = None,
    key: Key = None,
    at: At = None,
    debounce: Debounce = None,
    quiet_for: Quiet = "5s",
    deadline: Deadline = None,
    deadlines: DeadlineMode = "warn",
    improve: Improve = 0.0,
    tenant: Tenant = None,
) -> None:
    """Hand a workflow to a running platform, print its execution id and leave.

    With --at or --debounce it starts later, under the id that is printed; until
    then `talka schedule list` shows it.
    """
    from talka_services.cli.later import submit_later
    from talka_services.cli.loading import Request

    if debounce is not None and (key is not None or at is not None):
        raise UsageError("--debounce cannot be used with --key or --at.", hint="Leave one of them out.")
    request = Request(
        file, tuple(inputs or ()), max_tasks, max_seconds, strategy, deadline, deadlines, improve, tenant
    )
    if deadline is not None and (at is not None or debounce is not None):
        raise UsageError(
            "--deadline cannot be used with --at or --debounce.",
            hint="Write deadline_seconds into the file: it counts from the beginning.",
        )
    if improve and (at is not None or debounce is not None):
        raise UsageError("--improve cannot be used with --at or --debounce.", hint="Leave one of them out.")
    if at is None and debounce is None:
        _run(target, request, Flags(time_scale=time_scale), key, is_detached=True)
    else:
        submit_later(target, request, time_scale, key=key, at=at, debounce=debounce, quiet_for=quiet_for)


def _run(target: Target, request: Request, flags: Flags, key: str | None, *, is_detached: bool) -> None:
    from talka_services.cli.loading import load_workflow
    from talka_services.cli.presence import who_is_present

    loaded = load_workflow(request)
    present = None if target.server else who_is_present(target.data_dir, target.namespace)
    if target.server or present:
        _refuse_embedded_flags(target, flags)
        _use_platform(target, loaded.scaled(flags.time_scale), present, key, is_detached=is_detached)
    elif is_detached:
        raise UsageError(
            f"Nobody would run it: no `talka up` runs on {target.data_dir}.",
            hint="Start `talka up`, name a platform with --server, or leave --detach out.",
        )
    else:
        _embed(target, loaded, flags, key)


def _refuse_embedded_flags(target: Target, flags: Flags) -> None:
    if given := flags.given():
        where = f"the platform at {target.server}" if target.server else f"`talka up` on {target.data_dir}"
        raise UsageError(
            f"{', '.join(given)} cannot be used here: {where} runs it, with its own workers.",
            hint="Leave the flag out, or name another directory with --data-dir.",
        )


def _embed(target: Target, loaded: Loaded, flags: Flags, key: str | None) -> None:
    """Run it in this process; what no embedded worker can do is refused before anything is touched."""
    from talka_core.simulation import Offer
    from talka_services.cli.admission import admit
    from talka_services.cli.embedding import local_options
    from talka_services.client.local import largest_offer
    from talka_services.executors.registry import Executors

    options = local_options(target, flags, loaded.machines)
    ceiling = {**largest_offer(options.offers), **options.shared}
    loaded.check(frozenset(Executors(options.executors).agent_types), ceiling)
    offers = [Offer(offer) for offer in options.offers]
    admit(loaded.scaled(flags.time_scale), offers, options.shared, loaded.deadlines)
    result = run_loop(_run_embedded(target, options, loaded, key))
    _finish(target, result)


async def _run_embedded(
    target: Target, options: LocalOptions, loaded: Loaded, key: str | None
) -> WorkflowResult:
    from talka_services.cli.following import follow_to_end, interrupts
    from talka_services.cli.logs import configure_logs
    from talka_services.client import local

    configure_logs(is_verbose=target.is_verbose, form=target.log_format)
    with interrupts() as taken:
        async with local(options) as orchestrator:
            execution_id = await orchestrator.submit_workflow(
                loaded.workflow, key=key, improve_s=loaded.improve_s
            )
            return await follow_to_end(orchestrator, execution_id, taken, is_quiet=target.is_json)


def _use_platform(
    target: Target, loaded: Loaded, present: Presence | None, key: str | None, *, is_detached: bool
) -> None:
    """Run it where a platform runs; what ``talka up`` can never do is refused here."""
    if present is not None:
        loaded.check(frozenset(present.agent_types), present.ceiling)
    execution_id, result = run_loop(_run_there(target, loaded, key, is_detached=is_detached))
    if result is not None:
        _finish(target, result)
    elif target.is_json:
        print_json({"execution_id": execution_id, "status": "accepted"})
    else:
        sys.stdout.write(f"{execution_id}\n")


async def _run_there(
    target: Target, loaded: Loaded, key: str | None, *, is_detached: bool
) -> tuple[str, WorkflowResult | None]:
    from talka_services.cli.following import follow_to_end, interrupts
    from talka_services.cli.reach import reach

    with interrupts() as taken:
        async with reach(target) as orchestrator:
            await _admit_there(orchestrator, loaded)
            execution_id = await orchestrator.submit_workflow(
                loaded.workflow, key=key, improve_s=loaded.improve_s
            )
            if is_detached:
                return execution_id, await _refusal(orchestrator, execution_id)
            return execution_id, await follow_to_end(
                orchestrator, execution_id, taken, is_quiet=target.is_json
            )


async def _admit_there(orchestrator: Orchestrator, loaded: Loaded) -> None:
    """Judge the deadlines by what the platform's pool has now."""
    from talka_core.deadlines import has_deadlines
    from talka_core.default_strategy import with_default_strategy
    from talka_core.simulation import within
    from talka_core.status import inventory_of
    from talka_services.cli.admission import admit
    from talka_services.client.staffing import offers_of

    if has_deadlines(loaded.workflow):
        inventory = inventory_of(await orchestrator.histories.pool(loaded.workflow.config.pool))
        workflow = with_default_strategy(loaded.workflow, inventory.pool, inventory.strategy)
        shared = {name: each.capacity for name, each in inventory.shared.items()}
        if share := inventory.tenants.get(loaded.workflow.config.tenant):
            workflow = within(workflow, share.quota)
        admit(replace(loaded, workflow=workflow), offers_of(inventory), shared, loaded.deadlines)


async def _refusal(orchestrator: Orchestrator, execution_id: str) -> WorkflowResult | None:
    """Return the result if the planner refuses at once; who is slow to answer is not waited for."""
    from contextlib import aclosing

    from talka_core.status import result_of
    from talka_protocols.states import ExecutionState

    try:
        async with asyncio.timeout(SUBMIT_S), aclosing(orchestrator.histories.follow(execution_id)) as states:
            async for state in states:
                return result_of(state) if state.status is ExecutionState.REJECTED else None
    except TimeoutError:
        console(is_error=True).print("it is on file; no planner has answered yet")
    return None


def _finish(target: Target, result: WorkflowResult) -> None:
    """Print the result and leave with its exit code."""
    from talka_services.cli.report import exit_code, print_summary, result_document

    code = exit_code(result.status)
    if code is ExitCode.REFUSED:
        raise RejectedError(result.reason or "The planner refused the workflow.")
    if target.is_json:
        print_json(result_document(result))
    else:
        print_summary(result, target)
    raise typer.Exit(code)
