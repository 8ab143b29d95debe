"""The ``talka`` command: all subcommands, and what every failure looks like."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from talka_protocols.errors import TalkaError
from talka_services.cli import (
    alerts,
    answering,
    archiving,
    auditing,
    backups,
    benching,
    bottlenecks,
    comparing,
    control,
    deploying,
    doctoring,
    etas,
    figures,
    forking,
    history,
    keys,
    listing,
    platform,
    pools,
    predicting,
    projecting,
    queries,
    reasons,
    replaying,
    reserving,
    rewinding,
    running,
    schedules,
    services,
    simulating,
    tasklogs,
    tokens,
    top,
    tracing,
    transfer,
    triggers,
    usage,
    validating,
)
from talka_services.cli.outcome import ExitCode, complain, describe, error_document, exit_code_of
from talka_services.cli.screen import print_json
from talka_services.cli.sections import MainGroup

app = typer.Typer(
    cls=MainGroup,
    name="talka",
    help="Durable, resource-aware workflow orchestration on NATS JetStream.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for group in (
    running,
    platform,
    top,
    pools,
    queries,
    control,
    bottlenecks,
    reasons,
    history,
    replaying,
    rewinding,
    forking,
    comparing,
    validating,
    simulating,
    predicting,
    etas,
    tracing,
    tasklogs,
    tokens,
    transfer,
    backups,
    archiving,
    auditing,
    answering,
    schedules,
    services,
    triggers,
    reserving,
    benching,
    usage,
    listing,
    doctoring,
    deploying,
    figures,
    projecting,
    alerts,
    keys,
):
    group.register(app)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"talka {version('talka')}\n")
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run workflows, and ask what became of them."""


def run() -> None:
    """Run the command line and exit with its code; no error of ours ends in a traceback."""
    is_json = "--json" in sys.argv[1:]
    code = _invoke(is_json=is_json)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _invoke(*, is_json: bool) -> int:
    try:
        code: object = app(standalone_mode=False, prog_name="talka")
    except TalkaError as error:
        _report(error, is_json=is_json)
        return exit_code_of(error)
    except typer.TyperException as error:
        message = error.format_message()
        is_help = type(error).__name__ == "NoArgsIsHelpError"
        if is_json:
            print_json(error_document("usage", message))
        else:
            complain("help" if is_help else "usage", message)
        return ExitCode.REFUSED
    except typer.Abort:
        return ExitCode.NOT_SUCCEEDED
    except Exception as error:  # noqa: BLE001  (a bug of ours must not look like an answer)
        traceback.print_exc()
        if is_json:
            print_json(error_document("internal", f"{type(error).__name__}: {error}"))
        return ExitCode.NOT_SUCCEEDED
    return code if isinstance(code, int) else ExitCode.SUCCEEDED


def _report(error: TalkaError, *, is_json: bool) -> None:
    if is_json:
        print_json(describe(error))
    else:
        complain(error.code, str(error))
