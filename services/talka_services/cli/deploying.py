"""``talka deploy``: keys and permissions for the services at a NATS server of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talka_protocols.permissions import Service, User
from talka_protocols.subjects import is_token
from talka_services.cli.command import Target, command
from talka_services.cli.outcome import UsageError
from talka_services.cli.screen import print_json
from talka_services.cli.sections import Group

if TYPE_CHECKING:
    from talka_core.deployment import Account

SUFFIX = ".nk"
FORMATS = ("conf", "json")

Directory = Annotated[Path, typer.Argument(help="Where the keys are; one directory for each namespace.")]
KeyDirectory = Annotated[
    Path | None,
    typer.Option("--keys", metavar="DIR", help="Where `talka deploy nats-keys` has put the keys."),
]
Tenants = Annotated[
    list[str] | None,
    typer.Option("--tenant", metavar="NAMESPACE", help="A namespace, instead of --namespace; repeatable."),
]
Services = Annotated[
    list[Service] | None, typer.Option("--service", help="Only users of this service; repeatable.")
]
WorkerIds = Annotated[
    list[str] | None,
    typer.Option(
        "--worker", metavar="ID[@POOL]", help="A user for this worker alone, not one for all; repeatable."
    ),
]
Divided = Annotated[bool, typer.Option("--accounts", help="Give each namespace an account of its own.")]
Format = Annotated[str, typer.Option("--format", metavar="conf|json", help="How they are written.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    deploy = typer.Typer(cls=Group, help="Set up what is around the services.", no_args_is_help=True)
    command(deploy, "nats-keys")(nats_keys)
    command(deploy, "nats-permissions")(nats_permissions)
    app.add_typer(deploy, name="deploy")


def nats_keys(
    target: Target,
    directory: Directory,
    tenant: Tenants = None,
    service: Services = None,
    worker: WorkerIds = None,
) -> None:
    """Make a key for each service: a file that only its owner reads. Keys that are there stay."""
    users = _users(service, worker)
    made: list[dict[str, str]] = []
    for namespace in _namespaces(target, tenant):
        for user in users:
            path = directory / namespace / f"{user.name}{SUFFIX}"
            made.append({"namespace": namespace, "name": user.name, "file": str(path), "nkey": _key(path)})
    if target.is_json:
        print_json(made)
        return
    for key in made:
        typer.echo(f"{key['nkey']}  {key['file']}")


def nats_permissions(
    target: Target,
    keys: KeyDirectory = None,
    tenant: Tenants = None,
    service: Services = None,
    worker: WorkerIds = None,
    accounts: Divided = False,
    format: Format = "conf",  # noqa: A002  (typer names the option so)
) -> None:
    """Print the users of a NATS server, each with the least that its service needs.

    Include it in the server's configuration. Without --keys each key is taken from the server's environment.
    """
    from talka_core.deployment import Account, Member, configuration, described
    from talka_services.jetstream.access import public_key

    if format not in FORMATS:
        raise UsageError(f"--format {format!r} is none.", hint=f"Write one of: {', '.join(FORMATS)}.")
    users = _users(service, worker)
    found: list[Account] = []
    for namespace in _namespaces(target, tenant):
        places = [keys / namespace / f"{user.name}{SUFFIX}" if keys else None for user in users]
        nkeys = [public_key(place) if place else "" for place in places]
        found.append(Account(namespace, tuple(map(Member, users, nkeys))))
    if target.is_json or format == "json":
        print_json(described(found))
    else:
        typer.echo(configuration(found, is_divided=accounts), nl=False)


def _users(services: list[Service] | None, workers: list[str] | None) -> list[User]:
    found: list[User] = []
    for service in services or list(Service):
        if service is Service.WORKER and workers:
            found += [_worker(text) for text in workers]
        else:
            found.append(User(service))
    return found


def _worker(text: str) -> User:
    worker_id, _, pool = text.partition("@")
    if not is_token(worker_id) or (pool and not is_token(pool)):
        raise UsageError(f"--worker {text!r} names no worker.", hint="Write ID or ID@POOL.")
    return User(Service.WORKER, worker_id, pool or "*")


def _namespaces(target: Target, tenants: list[str] | None) -> list[str]:
    for namespace in tenants or ():
        if not is_token(namespace):
            raise UsageError(f"--tenant {namespace!r} names no namespace.", hint="Use letters and digits.")
    return list(dict.fromkeys(tenants or [target.namespace]))


def _key(path: Path) -> str:
    """Return the public key of a file, which is made unless it is there.

    Raises:
        AccessError: what is there is no key.
        UsageError: it cannot be made.
    """
    from talka_services.jetstream.access import new_seed, public_key

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return public_key(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", hint="Name another place.") from None
    with os.fdopen(file, "wb") as out:
        out.write(new_seed() + b"\n")
        out.flush()
        os.fsync(out.fileno())
    return public_key(path)
