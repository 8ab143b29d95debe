"""Archives in an object store (S3, Google Cloud Storage, Azure), through the library ``obstore``."""

from __future__ import annotations

import re
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url

from talka_protocols.errors import CallerError
from talka_services.archives.depots import DepotError, TakenError

CHECK_HINT = "Check the bucket, the credentials and the network."
BUCKET_HINT = "Make the bucket first, or name another one."
KEY_HINT = "Check the credentials in the environment, and what they may do in the bucket."
PLAIN_HINT = "An endpoint without TLS must be allowed: AWS_ALLOW_HTTP=true."
GONE_HINT = "It was moved or removed, or lies at another endpoint."
NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
REFUSAL = re.compile(r"<Code>([^<]+)</Code>(?:\s*<Message>([^<]*)</Message>)?")


class Objects:
    """One prefix of an object store; ``place`` is its URL."""

    def __init__(self, store: ObjectStore, place: str) -> None:
        self._store = store
        self._place = place.rstrip("/")

    @classmethod
    def at(cls, place: str) -> Objects:
        """Return the depot at a URL; credentials come from the environment, as other tools take them.

        Raises:
            CallerError: nothing can be stored under such a URL.
        """
        try:
            return cls(from_url(place), place)
        except (BaseError, ValueError) as error:
            raise CallerError(
                f"Nothing can be archived at {place}: {_first_line(error)}",
                hint="Name a directory, or a URL such as s3://bucket/prefix.",
            ) from error

    def url(self, name: str) -> str:
        """Return the object's URL."""
        return f"{self._place}/{name}"

    async def put(self, name: str, file: Path) -> None:
        """Publish a file; see ``Depot``. The store itself refuses it where one is."""
        try:
            await obstore.put_async(self._store, name, file, mode="create", use_multipart=False)
        except AlreadyExistsError as error:
            raise TakenError(f"There is an object {self.url(name)} already.") from error
        except (BaseError, FileNotFoundError) as error:
            reason, hint = _explained(error)
            raise DepotError(f"{self.url(name)} cannot be written: {reason}", hint=hint) from error

    async def get(self, name: str, into: Path) -> Path:
        """Return a copy of a file; see ``Depot``."""
        copy = into / name
        try:
            answer = await obstore.get_async(self._store, name)
            with copy.open("wb") as file:
                async for chunk in answer.stream():
                    file.write(chunk)
        except (BaseError, FileNotFoundError) as error:
            reason, hint = _explained(error)
            raise DepotError(f"{self.url(name)} cannot be read: {reason}", hint=hint) from error
        return copy

    async def mark(self, name: str) -> str:
        """Return a file's mark; see ``Depot``."""
        try:
            known = await obstore.head_async(self._store, name)
        except (BaseError, FileNotFoundError) as error:
            raise DepotError(
                f"{self.url(name)} cannot be read: {_first_line(error)}", hint=CHECK_HINT
            ) from error
        return f"{known['e_tag']} {known['size']} {known['last_modified'].isoformat()}"


def _explained(error: Exception) -> tuple[str, str]:
    """Return what the store says of a failure, and what to do about it."""
    refusal = REFUSAL.search(str(error))
    # Stores answer in XML, of which the first line says nothing.
    said = ": ".join(part for part in refusal.groups() if part) if refusal else _first_line(error)
    reason = f"{said.rstrip(' .')}."
    code = refusal[1] if refusal else ""
    if code in NO_BUCKET:
        return reason, BUCKET_HINT
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return reason, KEY_HINT
    if isinstance(error, FileNotFoundError):
        return reason, GONE_HINT
    if "http://" in reason and "builder error" in reason:
        return reason, PLAIN_HINT
    return reason, CHECK_HINT


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
