"""What all commands share: the options that say where, and what becomes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

import typer

from talka_protocols.subjects import is_token
from talka_services.cli.logs import LogFormat
from talka_services.cli.outcome import UsageError

if TYPE_CHECKING:
    from talka_services.jetstream.access import Access

P = ParamSpec("P")

DATA_DIR = Path(".talka")
SCHEMES = ("nats", "tls", "ws", "wss")


@dataclass(frozen=True)
class Keys:
    """The files that say to a server who we are, and by which we know it."""

    nkey: Path | None = None
    credentials: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Target:
    """Where a command looks, and how it answers."""

    server: str | None = None
    data_dir: Path = DATA_DIR
    namespace: str = "default"
    is_json: bool = False
    is_verbose: bool = False
    log_format: LogFormat = LogFormat.TEXT
    keys: Keys = field(default_factory=Keys)

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

    @property
    def access(self) -> Access:
        """Return how we show a server who we are.

        Raises:
            AccessError: what was given contradicts itself.
        """
        from talka_services.jetstream.access import Access

        return Access(**asdict(self.keys))


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

Nkey = Annotated[
    Path | None,
    typer.Option("--nats-nkey", envvar="TALKA_NATS_NKEY", help="File with our key at the server (its seed)."),
]
Credentials = Annotated[
    Path | None,
    typer.Option(
        "--nats-credentials",
        envvar="TALKA_NATS_CREDENTIALS",
        help="File with our credentials at the server (JWT and seed).",
    ),
]
Authority = Annotated[
    Path | None,
    typer.Option(
        "--nats-ca", envvar="TALKA_NATS_CA", help="File with the certificates by which we know the server."
    ),
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        "--nats-certificate",
        envvar="TALKA_NATS_CERTIFICATE",
        help="File with our certificate, for a server that asks for one.",
    ),
]
PrivateKey = Annotated[
    Path | None,
    typer.Option("--nats-key", envvar="TALKA_NATS_KEY", help="File with the private key of our certificate."),
]

_SHARED: dict[str, tuple[Any, Any]] = {
    "server": (Server, None),
    "data_dir": (DataDir, DATA_DIR),
    "namespace": (Namespace, "default"),
    "as_json": (AsJson, False),
    "verbose": (Verbose, False),
    "log_format": (LogForm, LogFormat.TEXT),
    "nats_nkey": (Nkey, None),
    "nats_credentials": (Credentials, None),
    "nats_ca": (Authority, None),
    "nats_certificate": (Certificate, None),
    "nats_key": (PrivateKey, None),
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
            nats_nkey: Path | None,
            nats_credentials: Path | None,
            nats_ca: Path | None,
            nats_certificate: Path | None,
            nats_key: Path | None,
            **own: Any,
        ) -> None:
            call: Callable[..., None] = function
            keys = Keys(nats_nkey, nats_credentials, nats_ca, nats_certificate, nats_key)
            call(Target(server, data_dir, namespace, as_json, verbose, log_format, keys), **own)

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
