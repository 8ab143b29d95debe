"""``talka alerts``: what somebody should look at, and that somebody has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.pairs import parse_amounts
from talka_services.cli.screen import console, local_time, plain, print_json
from talka_services.cli.sections import Group
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.alerts import AlertDocument
    from talka_services.alerting import AlertOptions

SECRET = "TALKA_WEBHOOK_SECRET"  # noqa: S105  (the variable's name, not its value)

Everything = Annotated[bool, typer.Option("--all", help="Also those that are over.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what changes from now on.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The alert's number.")]
By = Annotated[str, typer.Option("--by", help="Who has seen it.")]
Webhook = Annotated[
    str | None,
    typer.Option(
        "--webhook",
        metavar="URL",
        envvar="TALKA_WEBHOOK",
        help=f"Who is told of alerts, by HTTP POST; signed if {SECRET} is set.",
    ),
]
AlertLimits = Annotated[
    list[str] | None,
    typer.Option(
        "--alert",
        metavar="K=V",
        help="From when on it is an alert: stuck_s, lag_messages, error_share, error_tasks, error_window_s.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=Group, help="What somebody should look at.", no_args_is_help=True)
    command(group, "list")(show)
    command(group, "ack")(ack)
    app.add_typer(group, name="alerts")


def alert_options(webhook: str | None, limits: Iterable[str]) -> AlertOptions:
    """Return the options that flags and environment give.

    Raises:
        UsageError: there is no such limit.
        CallerError: the address of the webhook is none.
    """
    from talka_core.alerting import Limits
    from talka_services.alerting import AlertOptions
    from talka_services.alerting.receiver import Receiver

    given = parse_amounts(limits, "--alert")
    if unknown := sorted(given.keys() - set(Limits.__struct_fields__)):
        raise UsageError(
            f"--alert {unknown[0]} is no limit.", hint=f"Limits: {', '.join(Limits.__struct_fields__)}."
        )
    receiver = Receiver(webhook, os.environ.get(SECRET, "")) if webhook else None
    return AlertOptions(Limits(**given), receiver)


def show(target: Target, everything: Everything = False, follow: Follow = False) -> None:
    """Show the alerts that are open: what is stuck, late, leaking, failing or behind.

    They are raised by the gateway, which `talka up` runs, too. With --json and --follow
    one object a line. A violation is open until it is acknowledged.
    """
    run_loop(_show(target, is_all=everything, is_followed=follow))


def ack(target: Target, number: Number, by: By = "") -> None:
    """Say that somebody has seen an alert."""
    found = run_loop(_acknowledge(target, number, by))
    if target.is_json:
        print_json(_plain(found))
    else:
        _print(found)


async def _show(target: Target, *, is_all: bool, is_followed: bool) -> None:
    from talka_core.alerting import document_of
    from talka_services.alerting import AlertLog
    from talka_services.cli.reach import reach_node

    async with reach_node(target) as node:
        alerts = AlertLog(node.ports.log, node.ports.snapshots)
        book = await alerts.refresh()
        found = [document_of(each) for each in book.alerts.values() if is_all or each.is_open]
        if is_followed:
            for each in found:
                _print_line(target, "AlertRaised", each)
            async with aclosing(alerts.changes(book.version)) as changes:
                async for _version, kind, alert in changes:
                    _print_line(target, kind, document_of(alert))
        elif target.is_json:
            print_json(
                {
                    "alerts": [_plain(each) for each in reversed(found)],
                    "version": book.version,
                    "webhooks_owed": len(book.owed),
                    "webhooks_given_up": book.given_up,
                }
            )
        else:
            for each in reversed(found):
                _print(each)
            if not found:
                console().print("no alerts")
            if book.owed or book.given_up:
                console().print(f"webhooks: {len(book.owed)} owed, {book.given_up} given up", style="yellow")


async def _acknowledge(target: Target, number: int, by: str) -> AlertDocument:
    from talka_core.alerting import acknowledge, document_of
    from talka_services.alerting import AlertLog
    from talka_services.cli.reach import reach_node
    from talka_services.client.asking import asker

    async with reach_node(target) as node:
        alerts = AlertLog(node.ports.log, node.ports.snapshots)
        await alerts.refresh()
        await alerts.append(lambda book: acknowledge(book, number, by), "client", asked_by=asker())
        return document_of(alerts.book.alerts[number])


def _print_line(target: Target, kind: str, alert: AlertDocument) -> None:
    if target.is_json:
        print_json({"type": kind, **_plain(alert)})
    else:
        _print(alert)


def _plain(alert: AlertDocument) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(alert)
    return document


def _print(alert: AlertDocument) -> None:
    colour = {"open": "red", "acknowledged": "yellow"}.get(alert.status, "green")
    when = local_time(alert.cleared_at or alert.raised_at)
    console().print(f"[{colour}]{alert.status}[/{colour}]  {alert.number}  {alert.kind}  {when}")
    console().print(f"  {plain(alert.message)}")
    if alert.status != "cleared" and alert.hint:
        console().print(f"  {plain(alert.hint)}", style="dim")
