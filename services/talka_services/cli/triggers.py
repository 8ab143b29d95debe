"""``talka trigger`` and ``talka publish``: what events from outside lead to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.running import MaxSeconds, MaxTasks, StrategyName
from talka_services.cli.screen import coloured, console, local_time, plain, print_json, print_table
from talka_services.cli.sections import Group
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.triggers import Trigger, TriggerStatus
    from talka_protocols.workflow import Workflow
    from talka_services.client import Orchestrator

T = TypeVar("T")

ANSWER_S = 10.0

Name = Annotated[str, typer.Argument(metavar="NAME", help="The trigger's name.")]
On = Annotated[
    str,
    typer.Option(
        "--on", metavar="TYPE", help="The type of event; * stands for one part, > at the end for the rest."
    ),
]
When = Annotated[
    str, typer.Option("--when", metavar="CEL", help="What must be true, over `event` and `data`.")
]
Start = Annotated[str | None, typer.Option("--start", metavar="FILE", help="The workflow to start.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", metavar="NAME=CEL", help="An input of the workflow, from `event` and `data`; repeatable."
    ),
]
Signal = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--signal",
        metavar="EXECUTION SIGNAL",
        help="The execution to signal, by its id or an expression of it in CEL, and the signal's name.",
    ),
]
SignalData = Annotated[
    str, typer.Option("--data", metavar="CEL", help="What the signal says; the event's data if left out.")
]
All = Annotated[bool, typer.Option("--all", help="Also those that are deleted.")]

Type = Annotated[str, typer.Argument(metavar="TYPE", help="The type of event, such as order.created.")]
EventData = Annotated[
    str | None, typer.Option("--data", metavar="JSON|@FILE", help="What has happened, as JSON.")
]
Source = Annotated[str, typer.Option("--source", help="Where it happened.")]
EventId = Annotated[
    str, typer.Option("--id", help="With the source it names the event, which counts once; new if left out.")
]
Subject = Annotated[str, typer.Option("--subject", help="What it happened to.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=Group, help="Let events from outside start workflows or signal them.", no_args_is_help=True
    )
    command(group, "create")(create)
    command(group, "list")(list_triggers)
    command(group, "show")(show)
    command(group, "pause")(pause)
    command(group, "resume")(resume)
    command(group, "delete")(delete)
    app.add_typer(group, name="trigger")
    command(app, "publish")(publish)


def create(
    target: Target,
    name: Name,
    on: On,
    when: When = "",
    start: Start = None,
    inputs: Inputs = None,
    signal: Signal = None,
    data: SignalData = "",
    strategy: StrategyName = None,
    max_tasks: MaxTasks = None,
    max_seconds: MaxSeconds = None,
) -> None:
    """Let events start a workflow, or signal an execution: those published from now on.

    They are taken up while `talka up` or a planner service runs, also those
    that were published meanwhile.
    """
    from talka_core.trigger.expressions import check_name
    from talka_protocols.triggers import Trigger
    from talka_services.cli.outcome import UsageError
    from talka_services.formats import parse_inputs

    if (start is None) == (signal is None):
        raise UsageError(
            "A trigger starts a workflow or signals an execution.",
            hint="Give --start FILE or --signal EXECUTION SIGNAL, one of the two.",
        )
    check_name(name)
    execution, told = signal or ("", "")
    trigger = Trigger(on, when, dict(parse_inputs(inputs or ())), execution, told, data)
    workflow = None if start is None else _load(start, strategy, max_tasks, max_seconds)
    status = run_loop(_ask(target, lambda o: o.create_trigger(name, trigger, workflow)))
    _tell(target, status, f"{name} is active; {plain(_what(status))} on {plain(on)}")


def _load(file: str, strategy: str | None, max_tasks: int | None, max_seconds: float | None) -> Workflow:
    from talka_services.cli.loading import Request, load_workflow

    request = Request(file, max_tasks=max_tasks, max_seconds=max_seconds, strategy=strategy, is_open=True)
    return load_workflow(request).workflow


def list_triggers(target: Target, is_all: All = False) -> None:
    """Show the triggers that there are, and what they have led to."""
    found = run_loop(_ask(target, lambda o: o.triggers.list(is_all=is_all)))
    if target.is_json:
        print_json({"triggers": [document(status) for status in found]})
        return
    rows = [
        [
            plain(status.name),
            coloured(status.state.value),
            plain(status.trigger.on if status.trigger else "-"),
            plain(_what(status)),
            str(status.fired),
            str(status.failed),
            str(status.refused),
            local_time(status.last_at),
        ]
        for status in found
    ]
    counts = ["fired", "failed", "refused"]
    print_table(["name", "state", "on", "what", *counts, "last"], rows, right=counts)


def show(target: Target, name: Name) -> None:
    """Show one trigger; `talka events trigger:NAME` shows its log."""
    status = run_loop(_ask(target, lambda o: o.triggers.get(name)))
    _tell(target, status, "\n".join(_lines(status)))


def pause(target: Target, name: Name) -> None:
    """Let events lead to nothing until the trigger is resumed; what is published meanwhile is let go."""
    status = run_loop(_ask(target, lambda o: o.triggers.pause(name)))
    _tell(target, status, f"{name} is paused")


def resume(target: Target, name: Name) -> None:
    """Go on with the events that are published from now on."""
    status = run_loop(_ask(target, lambda o: o.triggers.resume(name)))
    _tell(target, status, f"{name} goes on")


def delete(target: Target, name: Name) -> None:
    """Let events lead to nothing any more; what was fired goes on."""
    status = run_loop(_ask(target, lambda o: o.triggers.delete(name)))
    _tell(target, status, f"{name} is deleted")


def publish(
    target: Target,
    kind: Type,
    data: EventData = None,
    source: Source = "talka",
    event_id: EventId = "",
    subject: Subject = "",
) -> None:
    """Publish an event for triggers to take up, as a CloudEvent; any client of NATS can do the same."""
    from msgspec.structs import asdict

    from talka_services.cli.answering import read_data

    value = None if data is None else read_data(data)
    sent = run_loop(
        _ask(target, lambda o: o.publish(kind, value, source=source, event_id=event_id, subject=subject))
    )
    if target.is_json:
        print_json(asdict(sent))
    else:
        said = "was published before" if sent.is_duplicate else "is published"
        console().print(f"{plain(sent.id)} {said}")


async def _ask(target: Target, question: Callable[[Orchestrator], Awaitable[T]]) -> T:
    """Wait as long as one may be expected to answer.

    Raises:
        UsageError: nobody answers; the request stays on file.
    """
    import asyncio

    from talka_services.cli.outcome import UsageError
    from talka_services.cli.reach import reach

    async with reach(target) as orchestrator:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await question(orchestrator)
        except TimeoutError:
            raise UsageError(
                "No planner service answers; the request is on file and is taken up when one runs.",
                hint="Start `talka up` on the directory, or `talka service planner`.",
            ) from None


def document(status: TriggerStatus) -> dict[str, Any]:
    """Return a trigger as JSON: instants in Unix seconds, null if never."""
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(status)
    return fields | {"pending": list(status.pending)}


def _what(status: TriggerStatus) -> str:
    trigger = status.trigger
    if trigger is None:
        return "-"
    return f"signals {trigger.signal}" if trigger.signal else f"starts {status.workflow}"


def _lines(status: TriggerStatus) -> list[str]:
    lines = [f"{plain(status.name)}  {coloured(status.state.value)}"]
    if status.trigger is not None:
        lines += _about(status.trigger, status)
    lines.append(f"fired     {status.fired}, last {local_time(status.last_at)}")
    lines.append(f"failed    {status.failed}")
    lines.append(f"refused   {status.refused}")
    lines += [f"pending   {plain(firing_id)}" for firing_id in status.pending]
    return lines


def _about(trigger: Trigger, status: TriggerStatus) -> list[str]:
    lines = [f"on        {plain(trigger.on)}"]
    if trigger.when:
        lines.append(f"when      {plain(trigger.when)}")
    if trigger.signal:
        lines.append(f"signals   {plain(trigger.signal)} to {plain(trigger.execution)}")
        lines.append(f"data      {plain(trigger.data or 'data')}")
    else:
        lines.append(f"starts    {plain(status.workflow)}")
    return lines + [f"input     {plain(key)} = {plain(text)}" for key, text in trigger.inputs.items()]


def _tell(target: Target, status: TriggerStatus, sentence: str) -> None:
    if target.is_json:
        print_json(document(status))
    else:
        console().print(sentence)
