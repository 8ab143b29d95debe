"""``talka stats`` and ``talka trend``: what many executions and attempts came to."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.models import Database, Lag, fresh_model, place_of
from talka_services.cli.moments import is_duration, parse_instant, parse_seconds
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import console, duration, local_time, plain, print_json, print_table
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from talka_core.readmodel import KindStatistics, Period

PERIODS_MAX = 1_000

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only since then: ISO 8601, or how long ago: 30m, 24h."),
]
Kind = Annotated[str, typer.Option("--agent-type", metavar="TYPE", help="Only this agent type.")]
Bucket = Annotated[str, typer.Option("--bucket", metavar="TIME", help="How long a line stands for: 1h, 15m.")]
Workflow = Annotated[str, typer.Option("--name", help="Only executions of the workflow of this name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "stats")(stats)
    command(app, "trend")(trend)


def since_ms(since: str | None, now_ms: int) -> int:
    """Return an instant that was given as such, or as how long ago it was; 0 for None.

    Raises:
        UsageError: it is neither.
    """
    flag = "--since"
    if since is None:
        return 0
    if is_duration(since):
        return max(0, now_ms - round(parse_seconds(since, flag) * 1000))
    return round(parse_instant(since, flag, ZoneInfo("UTC")) * 1000)


def stats(target: Target, agent_type: Kind = "", since: Since = None, database: Database = None) -> None:
    """Show what the attempts of each agent type came to: success, run time, waiting, retries."""
    from talka_services.projection import queries

    after = since_ms(since, round(time.time() * 1000))

    async def ask() -> tuple[list[KindStatistics], Lag]:
        async with fresh_model(target, place_of(target, database)) as model:
            found = await asyncio.to_thread(queries.kinds, model.view, agent_type=agent_type, since=after)
            return found, await model.lag()

    found, lag = run_loop(ask())
    if target.is_json:
        print_json({"kinds": [_document(kind) for kind in found], "lag_commits": lag.commits})
        return
    rows = (
        (
            plain(kind.agent_type),
            str(kind.attempts),
            "-" if kind.success_share is None else f"{kind.success_share:.1%}",
            _time(kind.run_p50_ms),
            _time(kind.run_p90_ms),
            _time(kind.wait_p50_ms),
            _time(kind.wait_p90_ms),
            str(kind.retried),
            str(kind.failed),
            str(kind.lost),
        )
        for kind in found
    )
    columns = (
        "agent type",
        "attempts",
        "succeeded",
        "run p50",
        "run p90",
        "wait p50",
        "wait p90",
        "retried",
        "failed",
        "lost",
    )
    print_table(columns, rows, right=columns[1:])
    tell_lag(lag)


def trend(
    target: Target,
    bucket: Bucket = "1h",
    since: Since = "24h",
    name: Workflow = "",
    database: Database = None,
) -> None:
    """Show how many executions started, succeeded and failed over time, and how long they took."""
    from talka_services.projection import queries

    now_ms = round(time.time() * 1000)
    bucket_ms, after = round(parse_seconds(bucket, "--bucket") * 1000), since_ms(since, now_ms)
    if bucket_ms < 1 or (now_ms - after) // bucket_ms >= PERIODS_MAX:
        raise UsageError(
            f"--bucket {bucket} does not divide that time into 1 to {PERIODS_MAX} lines.",
            hint="Give a length such as 15m, 1h or 1d, and a --since that fits it.",
        )

    async def ask() -> tuple[Sequence[Period], Lag]:
        async with fresh_model(target, place_of(target, database)) as model:
            found = await asyncio.to_thread(
                queries.periods, model.view, bucket_ms=bucket_ms, since=after, until=now_ms, name=name
            )
            return found, await model.lag()

    periods, lag = run_loop(ask())
    if target.is_json:
        print_json({"periods": [_period(period) for period in periods], "lag_commits": lag.commits})
        return
    rows = (
        (
            local_time(period.at / 1000),
            str(period.started),
            str(period.succeeded),
            str(period.failed),
            _time(period.makespan_p50_ms),
        )
        for period in periods
    )
    columns = ("from", "started", "succeeded", "failed", "makespan p50")
    print_table(columns, rows, right=columns[1:])
    tell_lag(lag)


def tell_lag(lag: Lag) -> None:
    """Say on standard error that what is shown is not the newest, if it is not."""
    if lag.commits:
        console(is_error=True).print(f"{lag.commits} commits, {duration(lag.seconds)} behind the log")


def _document(kind: KindStatistics) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(kind)
    return {_in_seconds(name): _seconds(name, value) for name, value in document.items()}


def _period(period: Period) -> dict[str, Any]:
    makespan = None if period.makespan_p50_ms is None else period.makespan_p50_ms / 1000
    counts = {"started": period.started, "succeeded": period.succeeded, "failed": period.failed}
    return {"at": period.at / 1000, **counts, "makespan_p50_s": makespan}


def _in_seconds(name: str) -> str:
    return f"{name.removesuffix('_ms')}_s" if name.endswith("_ms") else name


def _seconds(name: str, value: Any) -> Any:
    return value / 1000 if name.endswith("_ms") and value is not None else value


def _time(milliseconds: int | None) -> str:
    return duration(None if milliseconds is None else milliseconds / 1000)
