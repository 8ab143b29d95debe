"""``talka token``: makes a token for the gateway, and the entry of the access file that lets it in."""

from __future__ import annotations

import secrets
import sys
from enum import StrEnum
from typing import Annotated

import typer

from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import print_json

BYTES = 32


class RoleName(StrEnum):
    """The roles, as the gateway knows them."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; requests are recorded under it.")]
RoleOption = Annotated[RoleName, typer.Option("--role", help="What it may do.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "token")(token)


def token(target: Target, name: Name, role: RoleOption = RoleName.VIEWER) -> None:
    """Make a token for the gateway, with its entry in the access file; the token is kept nowhere.

    Put the entry under `tokens:` of the file that --access of the gateway names.
    """
    import msgspec

    from talka_services.gateway.access import TokenEntry, digest_of

    made = secrets.token_urlsafe(BYTES)
    entry = {"name": name, "role": role.value, "sha256": digest_of(made)}
    try:
        msgspec.convert(entry, TokenEntry)
    except msgspec.ValidationError:
        raise UsageError(
            f"The name {name!r} cannot be used.",
            hint="Use letters, digits, '.', '_', '@' and '-', at most 100 of them.",
        ) from None
    if target.is_json:
        print_json({"token": made, "entry": entry})
        return
    sys.stdout.write(f"token: {made}\nentry: - {msgspec.json.encode(entry).decode()}\n")
