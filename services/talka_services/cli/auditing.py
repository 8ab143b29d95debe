"""``talka audit``: holds everything that was ever recorded about resources against a book of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer

from talka_services.cli.command import Target, command
from talka_services.cli.models import Database, model_of, place_of
from talka_services.cli.moments import is_duration, parse_instant, parse_seconds
from talka_services.cli.outcome import ExitCode, UsageError
from talka_services.cli.petitions import tell_who
from talka_services.cli.screen import console, local_time, plain, print_json
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_core.auditing import Violation
    from talka_services.client.audits import Audit

SHOWN = 50
"""How many violations people are shown of each source."""
UNKNOWN = 2**53
"""The time of what cannot be read."""

Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="Files made by `talka export`; default: the live logs."),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Report only from then on: an instant, or how long ago."),
]

Who = Annotated[
    str | None,
    typer.Option("--who", metavar="ID", help="Say who asked for what of this execution, KIND:NAME or FILE."),
]


Signed = Annotated[
    bool | None,
    typer.Option(
        "--signatures/--no-signatures",
        help="Compare commits with their signatures (default: if there are keys).",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "audit")(audit)


def audit(
    target: Target,
    files: Files = None,
    since: Since = None,
    signatures: Signed = None,
    database: Database = None,
    who: Who = None,
) -> None:
    """Check that every allocation ever made was held, used and given back as it must be.

    With keys, also that nobody but their holders has written, changed or removed any of it. With
    --who it says instead who asked for what of one execution, schedule, trigger or pool.
    """
    if who is not None:
        if files:
            raise UsageError(
                "--who takes no further files.", hint="An exported file is a name for --who, too."
            )
        tell_who(target, who, 0.0 if since is None else _instant(since))
        return
    since_ms = 0 if since is None else int(1000 * _instant(since))
    if missing := [file for file in files or () if not file.is_file()]:
        raise UsageError(f"There is no file {missing[0]}.", hint="Name files made by `talka export`.")
    audits = run_loop(_audit(target, files or [], since_ms, _place(target, files, signatures, database)))
    is_clean = not any(found.count for found in audits.values())
    if target.is_json:
        print_json(_document(audits, is_clean=is_clean))
    else:
        for source, found in audits.items():
            _print(source, found)
    if not is_clean:
        raise typer.Exit(ExitCode.NOT_SUCCEEDED)


def _instant(since: str) -> float:
    if is_duration(since):
        return time.time() - parse_seconds(since, "--since")
    return parse_instant(since, "--since", ZoneInfo("UTC"))


def _place(
    target: Target, files: list[Path] | None, signatures: bool | None, database: str | None
) -> str | None:
    """Return where the read model lies that vouches for live logs; None if no signature is looked at.

    Raises:
        UsageError: there are no keys to compare signatures with.
    """
    from talka_services.sealing.vault import VARIABLE, vault_of_environment

    has_keys = vault_of_environment().has_keys
    if signatures and not has_keys:
        raise UsageError(
            "There are no keys to compare signatures with.",
            hint=f"Name a file of keys with {VARIABLE}; `talka keys public` makes one without secrets.",
        )
    if signatures is False or not has_keys:
        return None
    if files or (target.server and database is None):
        return ""
    return place_of(target, database)


async def _audit(target: Target, files: list[Path], since_ms: int, place: str | None) -> dict[str, Audit]:
    from talka_services.cli.logs import configure_logs
    from talka_services.client.audits import audit as audited
    from talka_services.client.signatures import audit_archive, with_signatures
    from talka_services.exports import Archive

    audits: dict[str, Audit] = {}
    with _progress(is_shown=not target.is_json) as on_read:
        if not files:
            audits[target.namespace] = await _audit_live(target, since_ms, place, on_read)
            return audits
        configure_logs(is_verbose=target.is_verbose, form=target.log_format)
        for file in files:
            with Archive(file) as archive:
                only = archive.manifest.execution_id
                found = await audited(archive.log, only=only, since_ms=since_ms, on_read=on_read)
                if place is not None:
                    found = with_signatures(found, await audit_archive(archive, since_ms, on_read))
                audits[str(file)] = found
    return audits


async def _audit_live(
    target: Target, since_ms: int, place: str | None, on_read: Callable[[int, int], None]
) -> Audit:
    """Audit live logs; the read model of a data directory then notes what was found to be whole."""
    from talka_services.cli.reach import reach_node
    from talka_services.client.audits import audit as audited
    from talka_services.client.signatures import audit_signatures, with_signatures
    from talka_services.projection import JetStreamSource
    from talka_services.projection.noted import noted_in
    from talka_services.sealing.ports import SealedLog

    async with reach_node(target) as node:
        log = node.ports.log
        noted = await noted_in(place, JetStreamSource(node.connection)) if place else None
        found = await audited(log, snapshots=node.ports.snapshots, since_ms=since_ms, on_read=on_read)
        if place is None:
            return found
        assert isinstance(log, SealedLog), "a node's log is one with keys"
        bases = node.ports.snapshots
        compared = await audit_signatures(
            log, target.namespace, noted, snapshots=bases, since_ms=since_ms, on_read=on_read
        )
        found = with_signatures(found, compared)
        if place and "://" not in place and not found.count:
            async with model_of(node, place) as model:
                await model.projector.catch_up()
        return found


@contextmanager
def _progress(*, is_shown: bool) -> Generator[Callable[[int, int], None]]:
    """Show how many commits are taken of how many, where somebody watches."""
    screen = console(is_error=True)
    if not is_shown or not screen.is_terminal:
        yield lambda _taken, _following: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("auditing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        line = bar.add_task("", total=None)
        yield lambda taken, following: bar.update(line, total=taken + following, completed=taken)


def _document(audits: dict[str, Audit], *, is_clean: bool) -> dict[str, Any]:
    sources = [
        {
            "source": source,
            **msgspec.structs.asdict(found.summary),
            "violations": found.count,
            "signatures": msgspec.to_builtins(found.signatures),
        }
        for source, found in audits.items()
    ]
    violations = [_described(source, each) for source, found in audits.items() for each in found.violations]
    return {"clean": is_clean, "sources": sources, "violations": violations}


def _described(source: str, each: Violation) -> dict[str, Any]:
    return {
        "source": source,
        "kind": each.kind.value,
        "log": each.where.log,
        "version": each.where.version,
        "position": each.where.position,
        "at": _seconds(each),
        "message": each.message,
        "hint": each.hint,
    }


def _seconds(each: Violation) -> float | None:
    return None if each.where.at == UNKNOWN else each.where.at / 1000


def _print(source: str, found: Audit) -> None:
    for each in found.violations[:SHOWN]:
        where = f"{each.where.log}, event {each.where.version}, {local_time(_seconds(each))}"
        console().print(f"[red]{each.kind}[/red]  {plain(where)}")
        console().print(f"  {plain(each.message)}")
        console().print(f"  {plain(each.hint)}", style="dim")
    if found.count > SHOWN:
        console().print(f"and {found.count - SHOWN:,} more")
    summary = found.summary
    verdict = f"[red]{found.count:,} violations[/red]" if found.count else "[green]clean[/green]"
    console().print(
        f"{verdict}  {plain(source)}: {summary.events:,} events in {summary.commits:,} commits, "
        f"{summary.executions:,} executions, {summary.attempts:,} attempts"
    )
    parts = [f"{summary.allocations:,} allocations", f"{summary.hand_ons:,} hand-ons"]
    parts += [f"{summary.reservations:,} reservations"] if summary.reservations else []
    parts += [f"{summary.live:,} executions and allocations live"] if summary.live else []
    parts += [f"{summary.unreturned:,} on their way back"] if summary.unreturned else []
    parts += [f"{summary.imported:,} attempts imported, and not checked"] if summary.imported else []
    console().print(f"  {', '.join(parts)}")
    if (signatures := found.signatures) is not None:
        console().print(
            f"  {signatures.signed:,} commits signed, {signatures.unsigned:,} not, "
            f"{signatures.anchored:,} noted in the read model"
        )
