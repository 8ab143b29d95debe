"""Where archives lie: files are published whole, and never over another one."""

from __future__ import annotations

import asyncio
import os
import shutil
from hashlib import file_digest
from importlib import import_module
from pathlib import Path
from stat import S_ISREG
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from talka_protocols.errors import CallerError


class DepotError(CallerError):
    """An archive cannot be written to, or read from, where it was to be."""

    code = "archive_place"


class TakenError(CallerError):
    """A file of this name is there already; archives are never written over."""

    code = "archive_taken"


class Depot(Protocol):
    """One directory, or one prefix of an object store."""

    def url(self, name: str) -> str:
        """Return where a file of this name lies."""
        ...

    async def put(self, name: str, file: Path) -> None:
        """Publish a file; when this returns it is there whole, and stays so without power.

        Raises:
            TakenError: there is a file of this name.
            DepotError: it cannot be written.
        """
        ...

    async def get(self, name: str, into: Path) -> Path:
        """Return a file that can be read here, copied into a directory if need be.

        Raises:
            DepotError: it is not there, or cannot be read.
        """
        ...

    async def mark(self, name: str) -> str:
        """Return what is another whenever somebody has written to a file, without reading it.

        Raises:
            DepotError: it is not there, or nobody can tell.
        """
        ...


class Directory:
    """A directory of this machine, or of a file system that it has mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    def url(self, name: str) -> str:
        """Return the file's URL."""
        return (self.path / name).as_uri()

    async def put(self, name: str, file: Path) -> None:
        """Publish a file; see ``Depot``."""
        await asyncio.to_thread(self._put, name, file)

    def _put(self, name: str, file: Path) -> None:
        draft = self.path / f".{name}.{uuid4().hex}.part"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(file, draft)
                _sync(draft)
                # A link, unlike a rename, fails where a file is.
                draft.with_name(name).hardlink_to(draft)
            finally:
                draft.unlink(missing_ok=True)
            _sync(self.path)
        except FileExistsError as error:
            raise TakenError(f"There is a file {self.path / name} already.") from error
        except OSError as error:
            raise DepotError(
                f"{self.path / name} cannot be written: {error.strerror or error}.",
                hint="Name another directory with --to, or make room.",
            ) from error

    async def get(self, name: str, into: Path) -> Path:  # noqa: ARG002  (it is read where it lies)
        """Return a file; see ``Depot``."""
        await self.mark(name)
        return self.path / name

    async def mark(self, name: str) -> str:
        """Return a file's mark; see ``Depot``."""
        found = self.path / name
        try:
            status = await asyncio.to_thread(found.stat)
        except OSError as error:
            raise _missing(found) from error
        if not S_ISREG(status.st_mode):
            raise _missing(found)
        return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def depot_of(place: str) -> Depot:
    """Return the depot that a directory's path or URL names, ``s3://bucket/prefix`` for example.

    Raises:
        CallerError: nothing can be stored under such a URL, or the library for it is not installed.
    """
    scheme, separator, _ = place.partition("://")
    if not separator:
        return Directory(Path(place))
    if scheme == "file":
        return Directory(Path(unquote(urlsplit(place).path)))
    try:
        objects: Any = import_module("talka_services.archives.objects")
    except ImportError as error:
        raise CallerError(
            f"Archives at {place} need the library obstore.", hint="pip install 'talka[archive]'"
        ) from error
    depot: Depot = objects.Objects.at(place)
    return depot


def _missing(file: Path) -> DepotError:
    return DepotError(
        f"There is no archive {file}.", hint="It was moved or removed, or is on another machine."
    )


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Make what was written to a file, or to a directory's list of names, outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
