"""The read model in PostgreSQL; its tables begin with ``talka_``."""

from __future__ import annotations

from eventsourcing.postgres import PostgresTrackingRecorder

from talka_services.postgres import PostgresDatabase
from talka_services.projection.schema import Schema
from talka_services.projection.views import View, Writing

PREFIX = "talka_"


class PostgresView(Writing, PostgresTrackingRecorder):
    """The read model in a PostgreSQL database."""

    def __init__(self, database: PostgresDatabase, prefix: str = PREFIX) -> None:
        datastore = database.datastore
        self.place = database.name
        self.schema = Schema(prefix, "%s", "CREATE OR REPLACE VIEW")
        super().__init__(datastore, tracking_table_name=f"{prefix}tracking")
        self._datastore = datastore
        self._track = self._insert_tracking


def postgres_view(dsn: str, prefix: str = PREFIX) -> View:
    """Open the read model in a database, and make its tables if they do not exist.

    Raises:
        CallerError: the extra ``postgres`` is not installed, or the database cannot be used.
    """
    database = PostgresDatabase(dsn)
    view = PostgresView(database, prefix)
    database.create(view.make)
    return view
