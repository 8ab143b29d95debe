"""``talka service gateway``, and the gateway of ``talka up``: where it listens, and whom it answers."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talka_services.cli.alerts import AlertLimits, Webhook
from talka_services.cli.command import Target
from talka_services.cli.followers import SendTraces, with_followers
from talka_services.cli.outcome import UsageError
from talka_services.loop import run as run_loop

if TYPE_CHECKING:
    from talka_services.client import Orchestrator
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
    otlp: SendTraces = None,
) -> None:
    """Serve the HTTP API: every operation, live updates, and its OpenAPI document.

    Only this machine can reach it unless --host says otherwise, which takes a token.
    """
    options = gateway_options(host, port, token_file, allow_host or (), access=access, is_insecure=insecure)
    run_loop(_serve(target, with_followers(options, webhook, alert or (), otlp)))


def gateway_options(
    host: str,
    port: int | None,
    token_file: Path | None,
    allowed: Sequence[str],
    *,
    access: Path | None = None,
    is_insecure: bool,
    any_port: bool = False,
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
    is_free = any_port and port is None
    return check_options(
        GatewayOptions(
            host,
            chosen,
            _token(token_file),
            access,
            allowed_hosts=tuple(allowed),
            is_insecure=is_insecure,
            any_port=is_free,
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


async def _serve(target: Target, options: GatewayOptions) -> None:
    from talka_services.cli.platform import tell_ready
    from talka_services.cli.reach import reach
    from talka_services.cli.stopping import until_told
    from talka_services.gateway import serving

    stopped = until_told()
    async with reach(target, create=True) as orchestrator, serving(orchestrator, options) as address:
        document = {
            "ready": "gateway",
            "http": address,
            "namespace": target.namespace,
            "pid": os.getpid(),
        }
        tell_ready(target, f"gateway is ready at {address}", document)
        await stopped


@asynccontextmanager
async def maybe_serving(
    orchestrator: Orchestrator, options: GatewayOptions | None
) -> AsyncGenerator[str | None]:
    """Serve as the options say, or not at all, and yield the address.

    Raises:
        CallerError: it cannot be served so.
    """
    from talka_services.gateway import serving

    if options is None:
        yield None
        return
    async with serving(orchestrator, options) as address:
        yield address
