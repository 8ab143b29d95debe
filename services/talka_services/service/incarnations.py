"""A worker's own log: which process began which incarnation of it, and how the last one ended."""

from __future__ import annotations

import os
import socket
from uuid import uuid4

from talka_protocols.commit import Commit, Decision, commit_id, decode_commit, encode_commit
from talka_protocols.errors import ConflictError
from talka_protocols.events import WorkerEvent, WorkerRegistered, WorkerStopped
from talka_protocols.subjects import WORKER, LogName
from talka_services.runner.ports import Ports


class Incarnations:
    """Counts the incarnations of one worker; two processes cannot both begin the same one.

    ``current`` is the last one that this process has begun, 0 before the first.
    """

    def __init__(self, worker_id: str, pool: str, ports: Ports) -> None:
        self.name = LogName(WORKER, "-", worker_id)
        self.current = 0
        self._pool = pool
        self._ports = ports
        self._process = f"worker {socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._position = 0
        self._version = 0

    async def begin(self) -> int:
        """Record the next incarnation and return its number.

        A log that is empty was removed because no pool knew the worker any more: it begins again.

        Raises:
            ConflictError: another process has taken the worker's id since our last incarnation.
        """
        while True:
            last, holder = await self._newest()
            if self.current and holder not in ("", self._process):
                raise ConflictError(
                    f"Worker {self.name.key!r} has ended: another process uses its --worker-id ({holder}).",
                    hint="Give each worker an id of its own.",
                )
            incarnation = max(last, self.current) + 1
            try:
                await self._record(WorkerRegistered(incarnation, self._pool))
            except ConflictError:
                if not self._position or await self._ports.log.read(self.name):
                    raise
                # The log was removed between our look and our writing.
                continue
            self.current = incarnation
            return incarnation

    async def end(self) -> None:
        """Record that the current incarnation was stopped."""
        await self._record(WorkerStopped(self.current))

    async def _newest(self) -> tuple[int, str]:
        """Return the newest incarnation in the log, and which process began it.

        Both of its facts say so, so that the newest commit alone does where the rest was pruned.
        """
        stored = await self._ports.log.read(self.name)
        last, holder, self._version = 0, "", 0
        for item in stored:
            commit = decode_commit(item.log, item.body)
            for version, cause, event in commit.events():
                self._version = version
                if isinstance(event, WorkerRegistered | WorkerStopped):
                    last, holder = event.incarnation, cause
        self._position = stored[-1].position if stored else 0
        return last, holder

    async def _record(self, event: WorkerEvent) -> None:
        commit: Commit[WorkerEvent] = Commit(
            self._version + 1, self._ports.clock.now_ms(), 0, (Decision(self._process, (event,)),)
        )
        body = encode_commit(commit)
        identity = commit_id(self.name, commit.version, 0, body)
        self._position = await self._ports.log.append(self.name, self._position, body, identity)
        self._version += 1
