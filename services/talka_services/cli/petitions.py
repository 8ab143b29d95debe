"""``talka audit --who``: who asked for what, as the logs have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talka_services.cli.command import Target
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import console, local_time, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.client.petitions import Petition


def tell_who(target: Target, log_id: str, since: float) -> None:
    """Print every request on record for a log, from an instant (Unix seconds) on.

    Raises:
        UnknownExecutionError: there is no such execution.
        UsageError: there is no such log.
    """
    import msgspec

    found = [each for each in run_loop(_petitions(target, log_id)) if each.at >= since]
    if target.is_json:
        print_json({"requests": msgspec.to_builtins(found)})
        return
    for each in found:
        what = plain(" ".join(filter(None, (*each.events, each.task_id))))
        console().print(f"{local_time(each.at)}  [bold]{plain(each.asked_by)}[/bold]  {what}")
        if each.refused:
            console().print(f"  [red]refused[/red]  {plain(each.refused)}")
    if not found:
        console().print("nobody asked for anything here")


async def _petitions(target: Target, log_id: str) -> list[Petition]:
    from talka_protocols.errors import UnknownExecutionError
    from talka_protocols.subjects import EXECUTION, PLAN
    from talka_services.cli.history import kind_of, log_name
    from talka_services.cli.records import open_execution
    from talka_services.client.petitions import logs_of, petitions

    kind, wanted = kind_of(log_id)
    async with open_execution(target, wanted) as (records, key):
        histories = records.histories
        logs = logs_of(histories, key) if kind == EXECUTION else (log_name(records, kind, key),)
        if not any([await records.log.read(name) for name in logs]):
            if kind in (EXECUTION, PLAN):
                raise UnknownExecutionError(key)
            raise UsageError(f"There is no {kind} {key!r} here.")
        return await petitions(histories, logs)
