"""Goal: whoever starts processes of the platform and dies leaves none of them behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

STARTER = """
import asyncio, sys
from pathlib import Path
from talka_chaos.processes import NATS, Cluster

async def main():
    cluster = Cluster(Path(sys.argv[1]))
    await cluster.start(NATS)
    print(cluster[NATS].pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
GONE_S = 10.0


@pytest.mark.skipif(
    sys.platform != "linux", reason="only the Linux kernel tells a process that its parent ended"
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_programs_end_with_who_started_them(tmp_path: Path, number: signal.Signals) -> None:
    """A server ends with the program that started it, whatever ends that."""
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        try:
            assert starter.stdout is not None
            server = psutil.Process(int(starter.stdout.readline()))
            starter.send_signal(number)
            starter.wait(GONE_S)
        finally:
            starter.kill()
    deadline = time.monotonic() + GONE_S
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server still runs"
        time.sleep(0.05)
