"""The file through which a program saves its progress: it may write or replace it at any time.

It holds what an earlier attempt wrote. It is looked at now and then while the
program runs, and when it has ended; a file that is being written is left alone
until two looks see the same.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import tempfile

import msgspec
from msgspec import Raw

from talka_protocols.errors import TaskError
from talka_protocols.messages import Mark
from talka_protocols.ports import Progress
from talka_services.telemetry import get_logger

log = get_logger(__name__)

LOOK_S = 0.5
READ_BYTES_MAX = 16 * 1024 * 1024 + 1
LAST_SAVE_S = 5.0
"""How long a program that was stopped may keep its attempt alive with what it saved last."""

Stamp = tuple[int, int, int]


class CheckpointFile:
    """One attempt's file, in a directory of its own; whoever opens it closes it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._directory = tempfile.mkdtemp(prefix="talka-")
        self.path = os.path.join(self._directory, "checkpoint")
        self._saved = _content(progress.checkpoint)
        if self._saved:
            with open(self.path, "wb") as file:
                file.write(self._saved)
        self._stamp = self._look()
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Save what the program left, once more, and remove the file.

        Raises:
            TaskFailedError: it is too large.
            StaleAttemptError: another attempt has taken this one's place.
        """
        self._watching.cancel()
        await asyncio.wait([self._watching])
        try:
            await self._save()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    async def rescue(self) -> None:
        """Do the same for an attempt that was stopped, as far as that is possible in a short time."""
        try:
            async with asyncio.timeout(LAST_SAVE_S):
                await self.close()
        except (TaskError, TimeoutError) as error:
            log.warning("checkpoint.not_saved", error=repr(error))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            stamp, before = self._look(), self._stamp
            self._stamp = stamp
            if stamp == before:
                await self._save()

    async def _save(self) -> None:
        content = self._read()
        if content != self._saved:
            await self._progress.save(Mark.CHECKPOINT, "", _value(content))
            self._saved = content

    def _read(self) -> bytes:
        """Return what the file holds, and no more than shows that it is too large."""
        if self._look() is None:
            return self._saved
        with open(self.path, "rb") as file:
            return file.read(READ_BYTES_MAX)

    def _look(self) -> Stamp | None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _value(content: bytes) -> Raw:
    """Return the bytes as JSON: as text if they are one."""
    try:
        return Raw(msgspec.json.encode(content.decode()))
    except UnicodeDecodeError:
        return Raw(msgspec.json.encode({"base64": base64.b64encode(content).decode()}))


def _content(value: Raw) -> bytes:
    decoded = msgspec.json.decode(value)
    if isinstance(decoded, str):
        return decoded.encode()
    return base64.b64decode(decoded["base64"]) if decoded else b""
