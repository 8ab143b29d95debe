"""Starts the witness of this process, and keeps its will up to date."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from talka_services.executors import lifelines
from talka_services.jetstream.access import Access
from talka_services.telemetry import get_logger
from talka_services.witness.will import Incarnation, Will, encoded

_PROGRAM = str(Path(__file__).with_name("witness_program.py"))
_OBITUARY = ("-P", "-m", "talka_services.witness.obituary")
_NO_WILL = b"\n"

log = get_logger(__name__)


class Witness:
    """A small process that outlives this one and has the pool told that nothing of it runs any more.

    Start it before the first task: only processes that are started later hold its lifeline. Should
    somebody end it, there is no other: the pool learns of our end by our silence, as without one.
    """

    def __init__(self, servers: Sequence[str], namespace: str, access: Access | None = None) -> None:
        self._servers = tuple(servers)
        self._namespace = namespace
        self._access = (access or Access()).absolute()
        self._incarnations: dict[tuple[str, str], Incarnation] = {}
        reader, self._lifeline = os.pipe()
        lifelines.hold(self._lifeline)
        try:
            self._process = subprocess.Popen(  # noqa: S603  (our own programs)
                [sys.executable, "-I", "-S", _PROGRAM, str(reader), sys.executable, *_OBITUARY],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=(reader,),
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(reader)

    @property
    def pid(self) -> int:
        """The witness's own process id."""
        return self._process.pid

    def expect(self, pool: str, worker_id: str, incarnation: int) -> None:
        """Have the pool told of the end of this incarnation, and no more of the worker's last one."""
        self._incarnations[pool, worker_id] = Incarnation(pool, worker_id, incarnation)
        incarnations = tuple(self._incarnations.values())
        will = Will(self._servers, self._namespace, incarnations, self._access)
        self._tell(encoded(will))

    def close(self) -> None:
        """End the witness; there is nothing to be told any more."""
        self._tell(_NO_WILL)
        lifelines.let_go(self._lifeline)
        os.close(self._lifeline)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
        except BrokenPipeError:
            log.warning("witness.ended", pid=self.pid)
