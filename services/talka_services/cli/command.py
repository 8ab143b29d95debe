"""What all commands share: the options that say where, and what becomes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

import typer

from talka_protocols.subjects import is_token
from talka_services.cli.logs import LogFormat
from talka_services.cli.outcome import UsageError

P = ParamSpec("P")

DATA_DIR = Path(".talka")
SCHEMES = ("nats", "tls", "ws", "wss")


@dataclass(frozen=True)
class Target:
    """Where a command looks, and how it answers."""

    server: str | None = None
    data_dir: Path = DATA_DIR
    namespace: str = "default"
    is_json: bool = False
    is_verbose: bool = False
    log_format: LogFormat = LogFormat.TEXT

    def __post_init__(self) -> None:
        """Refuse a namespace that cannot stand in a subject, and what is no address.

        Raises:
            UsageError: one of them is wrong.
        """
        for address in self.server.split(",") if self.server else ():
            _check_address(address)
        if not is_token(self.namespace):
            raise UsageError(
                f"The namespace {self.namespace!r} cannot be used.",
                hint="Use letters, digits, '-' and '_', at most 128 of them.",
            )


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address if "//" in address else f"nats://{address}")
        is_usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise UsageError(
            "--server (or TALKA_SERVER) holds what is no address of a NATS server.",
            hint="Write nats://host:port or tls://host:port; several are separated by commas.",
        )


Server = Annotated[
    str | None,
    typer.Option(
        "--server", envvar="TALKA_SERVER", help="NATS server of a running platform, nats://host:port."
    ),
]
DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="TALKA_DATA_DIR", help="Directory of the embedded server."),
]
Namespace = Annotated[
    str,
    typer.Option("--namespace", envvar="TALKA_NAMESPACE", help="Keeps installations on one server apart."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, and nothing else.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to standard error.")]
LogForm = Annotated[
    LogFormat,
    typer.Option("--log-format", envvar="TALKA_LOG_FORMAT", help="How log entries are written."),
]

_SHARED: dict[str, tuple[Any, Any]] = {
    "server": (Server, None),
    "data_dir": (DataDir, DATA_DIR),
    "namespace": (Namespace, "default"),
    "as_json": (AsJson, False),
    "verbose": (Verbose, False),
    "log_format": (LogForm, LogFormat.TEXT),
}

Body = Callable[Concatenate[Target, P], None]


def command(app: typer.Typer, name: str | None = None) -> Callable[[Body[P]], Body[P]]:
    """Register a function as a command that also takes the shared options, handed over as a `Target`."""

    def register(function: Body[P]) -> Body[P]:
        def invoke(
            *,
            server: str | None,
            data_dir: Path,
            namespace: str,
            as_json: bool,
            verbose: bool,
            log_format: LogFormat,
            **own: Any,
        ) -> None:
            call: Callable[..., None] = function
            call(Target(server, data_dir, namespace, as_json, verbose, log_format), **own)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        keyword = inspect.Parameter.KEYWORD_ONLY
        shared = [
            inspect.Parameter(key, keyword, default=default, annotation=annotation)
            for key, (annotation, default) in _SHARED.items()
        ]
        parameters = [parameter.replace(kind=keyword) for parameter in own] + shared
        invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        invoke.__doc__ = function.__doc__
        app.command(name or getattr(function, "__name__", None))(invoke)
        return function

    return register
