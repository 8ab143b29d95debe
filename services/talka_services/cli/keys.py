"""``talka keys``: makes, lists and rotates the keys that what is stored is sealed and signed with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import console, local_time, plain, print_json
from talka_services.cli.sections import Group

if TYPE_CHECKING:
    from talka_services.sealing import Keyring

VARIABLE = "TALKA_KEYS"

File = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", envvar=VARIABLE, help=f"The file of keys (or {VARIABLE}).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, and nothing else.")]
Encrypt = Annotated[bool, typer.Option("--encrypt/--no-encrypt", help="Seal what is stored.")]
Sign = Annotated[bool, typer.Option("--sign/--no-sign", help="Chain and sign commits.")]
Standby = Annotated[
    bool, typer.Option("--standby", help="Only add a key; `talka keys use` makes it the current one.")
]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The id of the key.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=Group, help="The keys that what is stored is sealed and signed with.", no_args_is_help=True
    )
    group.command("new")(new)
    group.command("list")(list_)
    group.command("rotate")(rotate)
    group.command("use")(use)
    group.command("public")(public)
    app.add_typer(group, name="keys")


def new(file: File = None, encrypt: Encrypt = True, sign: Sign = True, as_json: AsJson = False) -> None:
    """Make a file with one new key, which only its owner can read."""
    from talka_services.sealing.keyring import Keyring, new_key, save_keyring

    if not (encrypt or sign):
        raise UsageError(
            "Nothing would be done with these keys.", hint="Leave out --no-encrypt or --no-sign."
        )
    key, path = new_key(), _named(file)
    ring = Keyring(key.id, (key,), encrypt, sign)
    save_keyring(path, ring, is_new=True)
    _show(ring, as_json=as_json)
    sys.stderr.write(f"Set {VARIABLE}={path}, and keep a copy: without it, what it seals cannot be read.\n")


def list_(file: File = None, as_json: AsJson = False) -> None:
    """Show which keys a file has; secrets are not shown."""
    from talka_services.sealing.keyring import load_keyring

    _show(load_keyring(_named(file)), as_json=as_json)


def rotate(file: File = None, standby: Standby = False, as_json: AsJson = False) -> None:
    """Add a new key and use it from the next start on; what older keys sealed stays readable."""
    from talka_services.sealing.keyring import load_keyring, new_key, save_keyring

    path = _named(file)
    ring = load_keyring(path).with_key(new_key(), is_current=not standby)
    save_keyring(path, ring)
    _show(ring, as_json=as_json)


def use(key_id: KeyId, file: File = None, as_json: AsJson = False) -> None:
    """Make a key of the file the current one, from the next start on."""
    from talka_services.sealing.keyring import load_keyring, save_keyring

    path = _named(file)
    ring = load_keyring(path).with_current(key_id)
    save_keyring(path, ring)
    _show(ring, as_json=as_json)


def public(output: Output, file: File = None, as_json: AsJson = False) -> None:
    """Write the keys without their secrets: enough to verify signatures, and for nothing else."""
    from talka_services.sealing.keyring import load_keyring, save_keyring

    ring = load_keyring(_named(file)).public()
    save_keyring(output, ring, is_new=True)
    _show(ring, as_json=as_json)


def _named(file: Path | None) -> Path:
    if file is None:
        raise UsageError("No file of keys is named.", hint=f"Give its name, or set {VARIABLE}.")
    return file


def _show(ring: Keyring, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(ring))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("key", "made", "current", "secret"):
        table.add_column(title)
    for key in ring.keys:
        is_current = key.id == ring.current
        table.add_row(
            plain(key.id), local_time(key.made_at), "yes" if is_current else "", "" if key.secret else "no"
        )
    console().print(table)
    does = [word for word, is_done in (("encrypts", ring.encrypts), ("signs", ring.signs)) if is_done]
    console().print(" and ".join(does) or "verifies only", style="dim")


def _document(ring: Keyring) -> dict[str, Any]:
    return {
        "current": ring.current,
        "encrypts": ring.encrypts,
        "signs": ring.signs,
        "keys": [
            {"id": key.id, "made_at": key.made_at, "public": key.public, "has_secret": bool(key.secret)}
            for key in ring.keys
        ],
    }
