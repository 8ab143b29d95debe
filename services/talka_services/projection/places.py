"""Where a read model lies: a SQLite file, or a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from talka_protocols.errors import CallerError
from talka_services.projection.views import DATABASE_ERRORS, SQLiteView, View


def open_view(place: str | Path) -> View:
    """Open the read model at ``postgresql://...`` or in a file, which is made if it does not exist.

    Raises:
        CallerError: it cannot be opened, or the extra ``postgres`` is not installed.
    """
    if str(place).startswith(("postgresql://", "postgres://")):
        from talka_services.projection.postgres import postgres_view  # noqa: PLC0415

        return postgres_view(str(place))
    try:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        view = SQLiteView(str(place))
        view.make()
    except (*DATABASE_ERRORS, OSError) as error:
        raise CallerError(
            f"The read model {place} cannot be opened: {error}.",
            hint="Name a file that is a read model or does not exist, or postgresql://...",
        ) from error
    return view
