"""What a read model has noted of signed commits, for whoever compares a log with it."""

from __future__ import annotations

import asyncio

from talka_core.auditing import Anchors
from talka_services.databases import failed, is_there
from talka_services.projection.places import open_view
from talka_services.projection.queries import anchors
from talka_services.projection.source import Source
from talka_services.projection.views import DATABASE_ERRORS


async def noted_in(place: str, source: Source) -> Anchors:
    """Return what the model at a place has noted of a log; nothing where there is no model.

    Raises:
        CallerError: it cannot be opened, or is that of another log.
        PlatformError: its database fails.
    """
    if not is_there(place):
        return {}
    return await asyncio.to_thread(_noted, place, await source.identity())


def _noted(place: str, identity: str) -> Anchors:
    view = open_view(place)
    try:
        view.standing(identity)
        return anchors(view)
    except DATABASE_ERRORS as error:
        raise failed(place, error) from error
    finally:
        view.close()
