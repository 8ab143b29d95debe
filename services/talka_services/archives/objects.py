"""Archives in an object store (S3, Google Cloud Storage, Azure), through the library ``obstore``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talka_protocols.errors import CallerError
from talka_services.archives.depots import DepotError, TakenError

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class Objects:
    """One prefix of an object store; ``place`` is its URL."""

    def __init__(self, store: ObjectStore, place: str) -> None:
        self._store = store
        self._place = place.rstrip("/")

    def url(self, name: str) -> str:
        """Return the object's URL."""
        return f"{self._place}/{name}"

    async def put(self, name: str, file: Path) -> None:
        """Publish a file; see ``Depot``. The store refuses it where one is."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            await obstore.put_async(self._store, name, file, mode="create", use_multipart=False)
        except AlreadyExistsError as error:
            raise TakenError(f"There is an object {self.url(name)} already.") from error
        except BaseError as error:
            raise DepotError(
                f"{self.url(name)} cannot be written: {_first_line(error)}",
                hint="Check the bucket, the credentials and the network.",
            ) from error

    async def get(self, name: str, into: Path) -> Path:
        """Return a copy of a file; see ``Depot``."""
        import obstore
        from obstore.exceptions import BaseError

        copy = into / name
        try:
            answer = await obstore.get_async(self._store, name)
            with copy.open("wb") as file:
                async for chunk in answer.stream():
                    file.write(chunk)
        except (BaseError, FileNotFoundError) as error:
            raise DepotError(
                f"{self.url(name)} cannot be read: {_first_line(error)}",
                hint="Check the bucket, the credentials and the network.",
            ) from error
        return copy


def objects_at(place: str, options: Mapping[str, Any] | None = None) -> Objects:
    """Return the depot at a URL; credentials come from the environment, as the cloud's own tools take them.

    Raises:
        CallerError: the library is not installed, or knows no such URL.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise CallerError(
            f"Archives at {place} need the library obstore.", hint="pip install 'talka[archive]'"
        ) from error
    try:
        return Objects(from_url(place, **(options or {})), place)
    except (BaseError, ValueError) as error:
        raise CallerError(
            f"Nothing can be archived at {place}: {_first_line(error)}",
            hint="Name a directory, or a URL such as s3://bucket/prefix.",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
