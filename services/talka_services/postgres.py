"""PostgreSQL, for whoever keeps something there: an archive of logs, or the read model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventsourcing.persistence import PersistenceError

from talka_protocols.errors import CallerError

CREATION_LOCK = 0x74616C6B61
"""The advisory lock under which tables are made: the letters ``talka``."""


class PostgresDatabase:
    """One database, named by ``postgresql://user:password@host:port/database`` or ``key=value`` pairs.

    Raises:
        CallerError: the extra ``postgres`` is not installed, or the name makes no sense.
    """

    def __init__(self, dsn: str) -> None:
        try:
            from eventsourcing.postgres import PostgresDatastore  # noqa: PLC0415
            from psycopg import Error  # noqa: PLC0415
            from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
        except ImportError as error:
            raise CallerError(
                "PostgreSQL needs the extra `postgres`.", hint="pip install 'talka[postgres]'"
            ) from error
        try:
            named = conninfo_to_dict(dsn)
        except Error as error:
            raise CallerError(
                f"The name of the PostgreSQL database cannot be read: {error}.",
                hint="Write postgresql://user:password@host:port/database.",
            ) from error
        parts = {key: str(value) for key, value in named.items() if value is not None}
        self._place: dict[str, Any] = {
            "dbname": parts.get("dbname", "talka"),
            "host": parts.get("host", "localhost"),
            "port": parts.get("port", "5432"),
            "user": parts.get("user", "postgres"),
            "password": parts.get("password", ""),
        }
        self.datastore = PostgresDatastore(**self._place, originator_id_type="text")

    @property
    def name(self) -> str:
        """Return the database and its host, as people may see them."""
        return f"{self._place['dbname']} at {self._place['host']}"

    def create(self, make: Callable[[], None]) -> None:
        """Make tables that may be there already, one process at a time.

        ``CREATE TABLE IF NOT EXISTS`` looks first and creates then, so two that
        do it at once may both create, and one is refused.

        Raises:
            CallerError: the database cannot be reached, or refuses.
        """
        from psycopg import Error, connect  # noqa: PLC0415

        try:
            with connect(**self._place, connect_timeout=5) as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
                make()
        except (PersistenceError, Error) as error:
            self.datastore.close()
            place = self._place
            raise CallerError(
                f"The PostgreSQL database {place['dbname']!r} at {place['host']} cannot be used: {error}.",
                hint="Check the connection string, the user's rights and that the server runs.",
            ) from error
