"""A data directory: what lies in it, whether it can be used, and its locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Literal
from uuid import uuid4

import msgspec
from msgspec import Struct

from talka_protocols.errors import DataDirectoryError

FORMAT = 1
LOCK_WAIT_S = 15.0
POLL_S = 0.01

Durability = Literal["power", "process"]
SYNC_INTERVAL: dict[Durability, str] = {"power": "always", "process": "2m"}

CONFIGURATION = """\
# Written by Talka at every start; changes are lost.
server_name: {name}
listen: "127.0.0.1:{port}"
max_payload: 8MB
max_pending: 256MB
max_control_line: 16KB
log_file: {log}
logfile_size_limit: 10MB
logfile_max_num: 3
jetstream {{
  store_dir: {store}
  max_memory_store: 2GB
  sync_interval: {sync}
}}
"""


class ServerFacts(Struct, frozen=True):
    """What those who join need to know of the running server."""

    url: str
    port: int
    name: str
    durability: Durability
    pid: int = 0
    guard: int = 0


class DataDirectory:
    """A directory that holds one embedded server's store, configuration, log and locks."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    def prepare(self) -> None:
        """Make the directory if needed and check that it can be used.

        Raises:
            DataDirectoryError: it is no directory, cannot be written, or has a newer format.
        """
        if self.path.exists() and not self.path.is_dir():
            raise DataDirectoryError(
                f"{self.path} is not a directory.", hint="Name a directory with --data-dir."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise DataDirectoryError(
                f"The data directory {self.path} cannot be written: {error.strerror}.",
                hint="Make it writable or name another with --data-dir.",
            ) from error
        self._check_format()

    def _check_format(self) -> None:
        place = self.path / "format"
        try:
            text = place.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            write_whole(place, f"{FORMAT}\n".encode())
            return
        if not text.isdigit() or int(text) > FORMAT:
            raise DataDirectoryError(
                f"The data directory {self.path} has format {text!r}; this version of Talka knows formats "
                f"up to {FORMAT}.",
                hint="Upgrade Talka, or name another directory with --data-dir.",
            )

    def write_configuration(self, facts: ServerFacts) -> None:
        """Write the server's configuration, and what the guard publishes once it runs."""
        text = CONFIGURATION.format(
            name=facts.name,
            port=facts.port,
            log=_quoted(self.path / "nats.log"),
            store=_quoted(self.path),
            sync=SYNC_INTERVAL[facts.durability],
        )
        write_whole(self.path / "nats.conf", text.encode())
        write_whole(self.path / "connection.json", msgspec.json.encode(facts))

    def server(self) -> ServerFacts | None:
        """Return what the guard published last, or None if no server was left running."""
        try:
            return msgspec.json.decode((self.path / "server.json").read_bytes(), type=ServerFacts)
        except (FileNotFoundError, ValueError):
            return None

    @contextlib.contextmanager
    def starting(self) -> Generator[None]:
        """Keep everybody else from joining, starting or stopping the server."""
        descriptor = self._open("start.lock")
        try:
            self._lock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def become_user(self) -> int:
        """Hold a share of the directory until the returned descriptor is closed; call it while `starting`."""
        descriptor = self._open("users.lock")
        try:
            self._lock(descriptor, fcntl.LOCK_SH)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def is_guarded(self) -> bool:
        """Tell whether a guard process lives; the kernel frees its lock with it."""
        descriptor = self._open("guard.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _open(self, name: str) -> int:
        return os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o644)

    def _lock(self, descriptor: int, kind: int) -> None:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DataDirectoryError(
                        f"The data directory {self.path} is held by a process that does not answer.",
                        hint=f"See who has {self.path / 'start.lock'} open (lsof), and end it.",
                    ) from None
                time.sleep(POLL_S)
            else:
                return


def write_whole(place: Path, content: bytes) -> None:
    """Replace a file's content at once, so that nobody reads half of it; several may do so at a time."""
    draft = place.with_name(f"{place.name}.{uuid4().hex}")
    draft.write_bytes(content)
    draft.replace(place)


def _quoted(path: Path) -> str:
    return msgspec.json.encode(str(path)).decode()
