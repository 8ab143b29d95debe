"""Goal: the witness has an end told when nothing of a worker is left, and neither sooner nor without need.

Method: its real program, between pipes that stand for a worker, with a shell command for the obituary.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from talka_services.executors import lifelines
from talka_services.witness import Witness

PROGRAM = Path(__file__).parents[3] / "services/talka_services/witness/witness_program.py"
PATIENCE_S = 20


class Worker:
    """The worker's side of a witness: its ends of both pipes."""

    def __init__(self, obituary: str) -> None:
        reader, self.lifeline = os.pipe()
        self.witness = subprocess.Popen(
            [sys.executable, "-I", "-S", str(PROGRAM), str(reader), "sh", "-c", obituary],
            stdin=subprocess.PIPE,
            pass_fds=(reader,),
            bufsize=0,
        )
        os.close(reader)

    @property
    def will(self) -> IO[bytes]:
        """The witness's standard input."""
        assert self.witness.stdin is not None
        return self.witness.stdin

    def die(self) -> None:
        """Close what the kernel closes when a process ends."""
        self.will.close()
        os.close(self.lifeline)


def test_end_is_told_when_all_are_gone(tmp_path: Path) -> None:
    """The end of the worker itself is not enough: a process of a task that is left is waited for."""
    ended, told = tmp_path / "ended", tmp_path / "told"
    worker = Worker(f"cat {ended} - > {told}")
    task = subprocess.Popen(
        ["sh", "-c", f"read line; echo the task has ended > {ended}"],
        stdin=subprocess.PIPE,
        pass_fds=(worker.lifeline,),
    )
    worker.will.write(b"the first will\n")
    worker.will.write(b"the last will\n")
    worker.die()
    task.communicate(b"go\n", PATIENCE_S)
    assert worker.witness.wait(PATIENCE_S) == 0
    assert told.read_text() == "the task has ended\nthe last will\n"


@pytest.mark.parametrize("said", [b"", b"a will\n\n", b"half a wi"])
def test_nothing_is_told_without_a_will(tmp_path: Path, said: bytes) -> None:
    """Who never registered, has taken leave, or died in the middle of a first word has no will."""
    told = tmp_path / "told"
    worker = Worker(f"cat > {told}")
    worker.will.write(said)
    worker.die()
    assert worker.witness.wait(PATIENCE_S) == 0
    assert not told.exists()


def test_a_lifeline_is_handed_on_until_its_witness_is_closed() -> None:
    """What is started while there is a witness holds its lifeline, and what is started later does not."""
    before = lifelines.held()
    witness = Witness(("nats://nobody.invalid:4222",), "unused")
    witness.expect("p", "w", 1)
    assert len(lifelines.held()) == len(before) + 1
    witness.close()
    assert lifelines.held() == before


def test_a_worker_goes_on_without_its_witness() -> None:
    """Should somebody end the witness, the worker only has nobody to tell of its end."""
    witness = Witness(("nats://nobody.invalid:4222",), "unused")
    os.kill(witness.pid, 9)
    os.waitid(os.P_PID, witness.pid, os.WEXITED | os.WNOWAIT)
    witness.expect("p", "w", 1)
    witness.close()
