"""``talka schedule``: what starts by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.running import File, Inputs, MaxSeconds, MaxTasks, StrategyName
from talka_services.cli.screen import coloured, console, local_time, plain, print_json, print_table
from talka_services.cli.sections import Group
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.schedules import Schedule, ScheduleStatus
    from talka_protocols.workflow import Workflow
    from talka_services.client import Orchestrator

T = TypeVar("T")

ANSWER_S = 10.0

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]
Cron = Annotated[
    str | None, typer.Option("--cron", metavar="LINE", help="Five cron fields, or six with seconds first.")
]
Every = Annotated[
    str | None, typer.Option("--every", metavar="TIME", help="An interval: seconds, or 15m, 1h30m.")
]
At = Annotated[str | None, typer.Option("--at", metavar="WHEN", help="One instant, as ISO 8601.")]
Zone = Annotated[
    str,
    typer.Option("--time-zone", metavar="ZONE", help="The clock that cron lines and bare instants mean."),
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="WHEN", help="Nothing is due before; intervals count from it."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Nothing is due after.")]
MaxRuns = Annotated[int | None, typer.Option("--max-runs", help="End after so many executions.")]
CatchUpRule = Annotated[
    str, typer.Option("--catch-up", metavar="RULE", help="For times missed in an outage: none, last or all.")
]
CatchUpMax = Annotated[int, typer.Option("--catch-up-max", help="The most that `all` starts at once.")]
OverlapRule = Annotated[
    str,
    typer.Option(
        "--overlap", metavar="RULE", help="While the last one runs: skip, allow, queue (one) or cancel (it)."
    ),
]
All = Annotated[bool, typer.Option("--all", help="Also those that are finished or removed.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=Group, help="Start workflows by themselves, at set times.", no_args_is_help=True)
    command(group, "set")(set_schedule)
    command(group, "list")(list_schedules)
    command(group, "show")(show)
    command(group, "pause")(pause)
    command(group, "resume")(resume)
    command(group, "remove")(remove)
    command(group, "run")(run)
    app.add_typer(group, name="schedule")


def set_schedule(
    target: Target,
    name: Name,
    file: File,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    time_zone: Zone = "UTC",
    start: Start = None,
    until: Until = None,
    max_runs: MaxRuns = None,
    catch_up: CatchUpRule = "last",
    catch_up_max: CatchUpMax = 100,
    overlap: OverlapRule = "skip",
    inputs: Inputs = None,
    strategy: StrategyName = None,
    max_tasks: MaxTasks = None,
    max_seconds: MaxSeconds = None,
) -> None:
    """Let a workflow start by itself, in place of what was set under NAME before.

    Executions start while `talka up` or the services run; what was missed is
    dealt with by --catch-up as soon as they do.
    """
    from talka_core.starter.timing import check_schedule, zone_of
    from talka_protocols.schedules import CatchUp, Overlap, Schedule
    from talka_services.cli.loading import Request, load_workflow
    from talka_services.cli.moments import parse_instant, parse_seconds

    zone = zone_of(Schedule(time_zone=time_zone))
    schedule = Schedule(
        cron=cron or "",
        time_zone=time_zone,
        every_seconds=None if every is None else parse_seconds(every, "--every"),
        at=None if at is None else parse_instant(at, "--at", zone),
        starts_at=None if start is None else parse_instant(start, "--start", zone),
        ends_at=None if until is None else parse_instant(until, "--until", zone),
        max_runs=max_runs,
        catch_up=CatchUp(_choice(catch_up, list(CatchUp), "--catch-up")),
        catch_up_max=catch_up_max,
        overlap=Overlap(_choice(overlap, list(Overlap), "--overlap")),
    )
    check_schedule(schedule)
    request = Request(file, tuple(inputs or ()), max_tasks, max_seconds, strategy)
    status = run_loop(_set(target, name, load_workflow(request).workflow, schedule))
    _tell(target, status, f"{name} is set; next: {local_time(status.next_at)}")


def _choice(text: str, known: list[Any], option: str) -> str:
    from talka_services.cli.outcome import UsageError

    if text not in known:
        raise UsageError(f"{option} {text!r} is no rule.", hint=f"Choose one of {', '.join(known)}.")
    return text


async def _set(target: Target, name: str, workflow: Workflow, schedule: Schedule) -> ScheduleStatus:
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        return await _patiently(orchestrator.set_schedule(name, workflow, schedule))


def list_schedules(target: Target, is_all: All = False) -> None:
    """Show the schedules that will start something, and when."""
    found = run_loop(_ask(target, lambda o: o.schedules.list(is_all=is_all)))
    if target.is_json:
        print_json({"schedules": [document(status) for status in found]})
        return
    rows = [
        [
            plain(status.name),
            coloured(status.state.value),
            local_time(status.next_at),
            local_time(status.last_at),
            str(status.started),
            plain(when(status.schedule)),
            plain(status.workflow),
        ]
        for status in found
    ]
    print_table(["name", "state", "next", "last", "started", "when", "workflow"], rows, right=["started"])


def show(target: Target, name: Name) -> None:
    """Show one schedule; `talka events schedule:NAME` shows its log."""
    status = run_loop(_ask(target, lambda o: o.schedules.get(name)))
    _tell(target, status, "\n".join(_lines(status)))


def pause(target: Target, name: Name) -> None:
    """Let nothing be due until the schedule is resumed."""
    status = run_loop(_ask(target, lambda o: o.schedules.pause(name)))
    _tell(target, status, f"{name} is paused")


def resume(target: Target, name: Name) -> None:
    """Go on with the first due time from now on."""
    status = run_loop(_ask(target, lambda o: o.schedules.resume(name)))
    _tell(target, status, f"{name} goes on; next: {local_time(status.next_at)}")


def remove(target: Target, name: Name) -> None:
    """Start nothing any more; executions that run go on."""
    status = run_loop(_ask(target, lambda o: o.schedules.remove(name)))
    _tell(target, status, f"{name} is removed")


def run(target: Target, name: Name) -> None:
    """Start one execution now and print its id; the due times stay as they are."""
    execution_id = run_loop(_ask(target, lambda o: o.schedules.run(name)))
    if target.is_json:
        print_json({"execution_id": execution_id, "status": "accepted"})
    else:
        console().print(execution_id)


async def _ask(target: Target, question: Callable[[Orchestrator], Awaitable[T]]) -> T:
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        return await _patiently(question(orchestrator))


async def _patiently(answer: Awaitable[T]) -> T:
    """Wait for the starter as long as one may be expected to answer.

    Raises:
        UsageError: nobody answers; the request stays on file.
    """
    import asyncio

    from talka_services.cli.outcome import UsageError

    try:
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except TimeoutError:
        raise UsageError(
            "No planner service answers; the request is on file and is taken up when one runs.",
            hint="Start `talka up` on the directory, or `talka service planner`.",
        ) from None


def document(status: ScheduleStatus) -> dict[str, Any]:
    """Return a schedule as JSON: instants in Unix seconds, null if never."""
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(status)
    return fields | {"running": list(status.running)}


def when(schedule: Schedule | None) -> str:
    """Say in a few words when a schedule is due."""
    if schedule is None:
        return "-"
    if schedule.cron:
        return f"{schedule.cron} ({schedule.time_zone})"
    if schedule.every_seconds is not None:
        return f"every {schedule.every_seconds:g} s"
    if schedule.quiet_seconds is not None:
        return f"after {schedule.quiet_seconds:g} s of quiet"
    return "once"


def _lines(status: ScheduleStatus) -> list[str]:
    schedule = status.schedule
    lines = [f"{plain(status.name)}  {coloured(status.state.value)}", f"when      {plain(when(schedule))}"]
    if schedule is not None:
        lines.append(f"workflow  {plain(status.workflow)}")
        lines.append(f"rules     catch up {schedule.catch_up.value}, overlap {schedule.overlap.value}")
    lines.append(f"next      {local_time(status.next_at)}")
    lines.append(f"last      {local_time(status.last_at)}, {status.started} started")
    lines += [f"runs      {plain(execution_id)}" for execution_id in status.running]
    if status.queued_at is not None:
        lines.append(f"waits     {local_time(status.queued_at)}")
    return lines


def _tell(target: Target, status: ScheduleStatus, sentence: str) -> None:
    if target.is_json:
        print_json(document(status))
    else:
        console().print(sentence)
