"""``talka service gateway``, and the gateway of ``talka up``: where it listens, and whom it answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.alerts import AlertLimits, Webhook
from talka_services.cli.command import Target
from talka_services.cli.followers import SendByOtlp, refuse_followers, with_followers
from talka_services.cli.models import Database, place_of
from talka_services.cli.outcome import UsageError
from talka_services.cli.stopping import UntilInputEnds
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.gateway import GatewayOptions

TOKEN = "TALKA_TOKEN"  # noqa: S105  (the variable's name, not its value)
TOKEN_LENGTH_MIN = 16

Host = Annotated[str, typer.Option("--host", help="The address to listen at.")]
Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, help="Default 8420; 0 takes any that is free.")
]
HttpHost = Annotated[str, typer.Option("--http-host", help="The address that the gateway listens at.")]
HttpPort = Annotated[
    int | None,
    typer.Option("--http-port", min=0, max=65535, help="Default 8420, or any that is free if it is in use."),
]
NoHttp = Annotated[bool, typer.Option("--no-http", help="Serve no HTTP.")]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help=f"A file with the token that is asked of everybody (or {TOKEN})."),
]
Access = Annotated[
    Path | None,
    typer.Option("--access", help="A file with who may ask, and what: tokens, roles, an issuer."),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="NAME", help="Another name it may be asked by; repeatable."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Let others reach it without a token, to do whatever they like.")
]
ListenFd = Annotated[
    int | None,
    typer.Option("--listen-fd", hidden=True, help="A socket that listens already, of whoever started us."),
]


@dataclass(frozen=True)
class GatewayFlags:
    """What a gateway was told, as it was told."""

    host: str = "127.0.0.1"
    port: int | None = None
    token_file: Path | None = None
    access: Path | None = None
    allow_hosts: Sequence[str] = ()
    is_insecure: bool = False
    webhook: str | None = None
    limits: Sequence[str] = ()
    otlp: str | None = None
    database: str = ""

    def options(self, *, descriptor: int | None = None) -> GatewayOptions:
        """Return the options that this comes to; a descriptor's socket takes the place of the port.

        Raises:
            UsageError: the token is none, there is no such limit, or the extra `otel` is not installed.
            CallerError: others could reach it, and there is no token; a file or an address cannot be used.
        """
        from msgspec.structs import replace

        options = gateway_options(
            self.host,
            self.port,
            self.token_file,
            self.allow_hosts,
            access=self.access,
            is_insecure=self.is_insecure,
        )
        options = with_followers(options, self.webhook, self.limits, self.otlp)
        return replace(options, descriptor=descriptor, database=self.database)

    def told(self, target: Target, descriptor: int) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the environment that tell a process of its own all this.

        Addresses may hold secrets, so they are not shown in the command line.
        """
        arguments = ["service", "gateway", "--json", "--until-input-ends", "--listen-fd", str(descriptor)]
        arguments += ["--data-dir", str(target.data_dir), "--namespace", target.namespace]
        arguments += ["--host", self.host, "--log-format", target.log_format.value]
        arguments += ["--verbose"] if target.is_verbose else []
        arguments += ["--token-file", str(self.token_file)] if self.token_file else []
        arguments += ["--access", str(self.access)] if self.access else []
        arguments += ["--insecure"] if self.is_insecure else []
        for option, values in (("--allow-host", self.allow_hosts), ("--alert", self.limits)):
            arguments += [part for value in values for part in (option, value)]
        more = {"TALKA_WEBHOOK": self.webhook, "TALKA_OTLP": self.otlp}
        return arguments, {**os.environ, **{name: value for name, value in more.items() if value}}


def gateway(
    target: Target,
    host: Host = "127.0.0.1",
    port: Port = None,
    token_file: TokenFile = None,
    access: Access = None,
    allow_host: AllowHost = None,
    insecure: Insecure = False,
    webhook: Webhook = None,
    alert: AlertLimits = None,
    otlp: SendByOtlp = None,
    database: Database = None,
    until_input_ends: UntilInputEnds = False,
    listen_fd: ListenFd = None,
) -> None:
    """Serve the HTTP API: every operation, live updates, and its OpenAPI document.

    Only this machine can reach it unless --host says otherwise, which takes a token.
    """
    where = (host, port, token_file, access, tuple(allow_host or ()), insecure)
    place = "" if database is None and target.server else place_of(target, database)
    flags = GatewayFlags(*where, webhook, tuple(alert or ()), otlp, place)
    run_loop(_serve(target, flags.options(descriptor=listen_fd), is_until_input_ends=until_input_ends))


def checked(flags: GatewayFlags, *, is_served: bool) -> GatewayFlags | None:
    """Return flags that make sense, or None where there is to be no gateway.

    Raises:
        UsageError: they do not, or ask for what only a gateway does.
        CallerError: others could reach it, and there is no token; a file or an address cannot be used.
    """
    if not is_served:
        refuse_followers(flags.webhook, flags.otlp)
        return None
    tried = flags.options()
    for collector in (tried.collector, tried.metric_collector):
        if collector is not None:
            collector.close()
    return flags


def gateway_options(
    host: str,
    port: int | None,
    token_file: Path | None,
    allowed: Sequence[str],
    *,
    access: Path | None = None,
    is_insecure: bool,
) -> GatewayOptions:
    """Return the options that flags and environment give.

    Raises:
        UsageError: there is no token in the file, or one that is too short.
        CallerError: others could reach it, and there is no token; or the access file cannot be used.
    """
    from talka_services.gateway import GatewayOptions
    from talka_services.gateway.access import read_access
    from talka_services.gateway.server import PORT, check_options

    chosen = PORT if port is None else port
    if access is not None:
        read_access(access)
    return check_options(
        GatewayOptions(
            host,
            chosen,
            _token(token_file),
            access,
            allowed_hosts=tuple(allowed),
            is_insecure=is_insecure,
        )
    )


def _token(token_file: Path | None) -> str:
    if token_file is None:
        token, where = os.environ.get(TOKEN, "").strip(), TOKEN
        if not token:
            return ""
    else:
        where = f"The file {str(token_file)!r}"
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{where} cannot be read: {error}.", hint="Check --token-file.") from None
    if len(token) < TOKEN_LENGTH_MIN or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"{where} holds no token: {TOKEN_LENGTH_MIN} or more printable characters without spaces.",
            hint="Make one: openssl rand -hex 32.",
        )
    return token


async def _serve(target: Target, options: GatewayOptions, *, is_until_input_ends: bool) -> None:
    from talka_services.cli.probing import tell_ready
    from talka_services.cli.reach import reach
    from talka_services.cli.stopping import until_told
    from talka_services.gateway import serving

    stopped = until_told(is_until_input_ends=is_until_input_ends)
    async with reach(target, create=True) as orchestrator, serving(orchestrator, options) as address:
        document = {
            "ready": "gateway",
            "http": address,
            "namespace": target.namespace,
            "pid": os.getpid(),
        }
        tell_ready(target, f"gateway is ready at {address}", document)
        await stopped
