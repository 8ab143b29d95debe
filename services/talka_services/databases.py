"""Where a read model lies: what can be told of the place without opening it."""

from __future__ import annotations

import re
from pathlib import Path

from talka_protocols.errors import PlatformError


def is_there(place: str) -> bool:
    """Tell whether there is a model to be asked; a server's is taken to be."""
    return "://" in place or Path(place).is_file()


def shown(place: str) -> str:
    """Return a place as it may be shown: without the password in it."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", place)


def failed(place: str, error: Exception) -> PlatformError:
    """Return what is to be raised when a model's database fails."""
    return PlatformError(
        f"The read model {shown(place)} failed: {type(error).__name__} {error}.",
        hint="Check the database's state and space; trying again is safe.",
    )
