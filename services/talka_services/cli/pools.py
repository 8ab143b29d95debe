"""``talka pool``: how many workers a pool shall have, and what an autoscaler needs to know."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import plain, print_json, print_table
from talka_services.cli.sections import Group
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_protocols.policies import ScalingPolicy
    from talka_services.client.scaling import PoolDemand

PoolName = Annotated[str, typer.Argument(metavar="[POOL]", help="The pool's name.")]
Least = Annotated[int, typer.Option("--min", min=0, help="The fewest workers.")]
Most = Annotated[int | None, typer.Option("--max", min=1, help="The most workers.")]
TargetDelay = Annotated[
    float, typer.Option("--target-delay-s", help="How long work may wait before there are more workers.")
]
CoolDown = Annotated[
    float, typer.Option("--cool-down-s", help="How long after a decision there are no fewer workers.")
]
ToZero = Annotated[
    float,
    typer.Option(
        "--scale-to-zero-after-s", help="How long nothing was to do before the last one goes; 0: never."
    ),
]
Off = Annotated[bool, typer.Option("--off", help="Leave the number of workers to people again.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=Group, help="Say how many workers a pool shall have.", no_args_is_help=True)
    command(group, "scale")(scale)
    command(group, "demand")(demand)
    app.add_typer(group, name="pool")


def scale(
    target: Target,
    pool: PoolName = "default",
    least: Least = 0,
    most: Most = None,
    target_delay_s: TargetDelay = 10.0,
    cool_down_s: CoolDown = 60.0,
    scale_to_zero_after_s: ToZero = 0.0,
    off: Off = False,
) -> None:
    """Let a pool decide how many workers it shall have, by what waits in it.

    `talka up --scale` starts and stops worker processes accordingly; any other
    autoscaler reads the number with `talka pool demand --json`.
    """
    from talka_protocols.policies import ScalingPolicy

    if off == (most is not None):
        raise UsageError("Give either --max or --off.", hint="For example: talka pool scale --max 8.")
    policy = None
    if most is not None:
        times = (round(1000 * seconds) for seconds in (target_delay_s, cool_down_s, scale_to_zero_after_s))
        policy = ScalingPolicy(least, most, *times)
    run_loop(_scale(target, pool, policy))
    document = None if policy is None else msgspec.to_builtins(msgspec.structs.asdict(policy))
    if target.is_json:
        print_json({"pool": pool, "policy": document})
    else:
        said = "decides nothing any more" if policy is None else f"shall have {least} to {most} workers"
        typer.echo(f"Pool {pool} {said}.")


async def _scale(target: Target, pool: str, policy: ScalingPolicy | None) -> None:
    from talka_services.cli.reach import reach
    from talka_services.client.scaling import scale_pool

    async with reach(target) as orchestrator:
        await scale_pool(orchestrator.node.ports, orchestrator.histories, pool, policy)


def demand(target: Target, pool: PoolName = "default") -> None:
    """Show how many workers a pool shall have, and the figures that say so."""
    found = run_loop(_demand(target, pool))
    if target.is_json:
        document = msgspec.to_builtins(msgspec.structs.asdict(found))
        document["policy"] = None if found.policy is None else msgspec.structs.asdict(found.policy)
        print_json(document)
        return
    expected = "unknown" if found.expected_wait_s is None else f"{found.expected_wait_s:.1f} s"
    desired = "no policy" if found.desired_workers is None else str(found.desired_workers)
    row = (
        plain(found.pool),
        desired,
        f"{found.workers} + {found.draining} draining",
        str(found.queue_length),
        str(found.held_up),
        f"{found.oldest_wait_s:.1f} s",
        expected,
        f"{found.load:.2f}",
    )
    columns = ("pool", "desired", "workers", "queue", "held up", "oldest wait", "expected wait", "load")
    print_table(columns, (row,))


async def _demand(target: Target, pool: str) -> PoolDemand:
    from talka_services.cli.records import open_records
    from talka_services.client.scaling import pool_demand

    async with open_records(target) as records:
        return await pool_demand(records.histories, pool, time.time_ns() // 1_000_000)
