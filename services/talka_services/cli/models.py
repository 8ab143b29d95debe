"""Where commands find the read model, and how far it is behind the log."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from talka_services.cli.command import Target
from talka_services.cli.outcome import UsageError
from talka_services.databases import failed, is_there

if TYPE_CHECKING:
    from talka_services.projection import JetStreamSource, Projector, View
    from talka_services.service import Node

Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="PLACE",
        envvar="TALKA_DATABASE",
        help="The read model: a SQLite file or postgresql://... (default: a file in the data directory).",
    ),
]


class Lag(Struct, frozen=True):
    """How far a model is behind: in commits, and in seconds since the first one that it has not got."""

    generation: int
    position: int
    end: int
    commits: int
    seconds: float


class Model(Struct, frozen=True):
    """A read model that is open, beside the log that it is made from."""

    view: Any
    projector: Any
    source: Any

    async def lag(self) -> Lag:
        """Return how far the model is behind."""
        from talka_services.projection.projector import check_behind

        view: View = self.view
        source: JetStreamSource = self.source
        end = await source.end()
        standing = await asyncio.to_thread(view.standing, await source.identity())
        check_behind(view.place, standing, end)
        written_at = await source.written_at(standing.position) if standing.position < end else 0
        seconds = max(0.0, time.time() - written_at / 1000) if written_at else 0.0
        commits = max(0, end - standing.position)
        return Lag(standing.generation, standing.position, end, commits, round(seconds, 3))


def place_of(target: Target, database: str | None) -> str:
    """Return where the read model lies; each namespace of a data directory has its own.

    Raises:
        UsageError: the place is a directory, of a kind of database that is not known, or not named
            for a platform whose data directory is elsewhere.
    """
    if database is None and target.server:
        raise UsageError(
            "Where the read model of that platform lies is not known.",
            hint="Name it with --database (or TALKA_DATABASE): a SQLite file, or postgresql://...",
        )
    if database is None:
        mark = "" if target.namespace == "default" else f"-{target.namespace}"
        return str(target.data_dir / f"readmodel{mark}.sqlite")
    if "://" in database and not database.startswith(("postgresql://", "postgres://")):
        raise UsageError(
            "--database names no kind of database that is known.",
            hint="Name a SQLite file, or write postgresql://user:password@host:port/database.",
        )
    if os.path.isdir(database):
        raise UsageError(f"--database {database} is a directory.", hint="Name a file in it.")
    return database


@asynccontextmanager
async def open_model(target: Target, place: str, *, create: bool = False) -> AsyncGenerator[Model]:
    """Open a model together with its log.

    Raises:
        UsageError: there is none, and it is not to be made.
        CallerError: it cannot be opened.
    """
    from talka_services.cli.reach import reach_node

    async with reach_node(target) as node:
        if not create and not is_there(place):
            raise UsageError(
                f"There is no read model at {place}.",
                hint="`talka projection rebuild` makes it; `talka service projector` keeps it up to date.",
            )
        async with model_of(node, place) as model:
            yield model


@asynccontextmanager
async def model_of(node: Node, place: str) -> AsyncGenerator[Model]:
    """Open a model beside the log of a process's platform.

    Raises:
        CallerError: it cannot be opened.
        PlatformError: its database fails.
    """
    from talka_services.projection import JetStreamSource, Projector, open_view
    from talka_services.projection.views import DATABASE_ERRORS

    view = open_view(place)
    source = JetStreamSource(node.connection)
    projector: Projector = Projector(view, source, node.ports.log, node.ports.blobs, node.ports.snapshots)
    try:
        yield Model(view, projector, source)
    except DATABASE_ERRORS as error:
        raise failed(place, error) from error
    finally:
        view.close()


@asynccontextmanager
async def fresh_model(target: Target, place: str) -> AsyncGenerator[Model]:
    """Open a model that has all that the log holds; a file that does not exist yet is made.

    A model on a database server is kept by its projector alone, and may be behind.

    Raises:
        CallerError: it cannot be opened.
    """
    async with open_model(target, place, create=True) as model:
        if "://" not in place:
            await model.projector.catch_up()
        yield model
