"""The process that runs nats-server for as long as the data directory has users.

Run as ``python -I -S guard.py DIRECTORY SERVER``; it imports the standard
library only, because it must be cheap and outlive whoever started it.

Every user holds a shared lock on ``users.lock``. The guard waits for the
exclusive one, which the kernel grants exactly when all users are gone,
however they went. Whoever joins holds ``start.lock`` meanwhile, so that
joining and leaving cannot cross.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

STOP_S = 10.0
POLL_S = 0.02
RESTARTS = 5
RESTARTS_WITHIN_S = 10.0
RESTART_WAIT_S = 0.1
PR_SET_PDEATHSIG = 1


class Guard:
    """Holds one nats-server process; restarts it when it dies."""

    def __init__(self, directory: str, binary: str) -> None:
        self.directory = directory
        self.binary = binary
        self.pid = 0
        self.is_stopping = False
        self.started: list[float] = []

    def path(self, name: str) -> str:
        """Return the path of a file in the data directory."""
        return os.path.join(self.directory, name)

    def start(self) -> None:
        """Start the server and write down its process id for those who join."""
        self.started = [*self.started[-RESTARTS:], time.monotonic()]
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self.become_server(parent)
        with open(self.path("connection.json"), encoding="utf-8") as file:
            facts = json.load(file)
        facts["pid"] = self.pid
        facts["guard"] = parent
        draft = self.path("server.json.new")
        with open(draft, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        os.replace(draft, self.path("server.json"))

    def become_server(self, parent: int) -> None:
        """Turn this process into nats-server, which dies with the guard where the system can do that."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        output = os.open(self.path("nats.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execv(self.binary, [self.binary, "-c", self.path("nats.conf")])  # noqa: S606

    def on_child(self, _number: int, _frame: object) -> None:
        """Start the server again when it has died and was not told to."""
        with contextlib.suppress(ChildProcessError):
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid != self.pid or self.is_stopping:
                return
            if len(self.started) > RESTARTS and time.monotonic() - self.started[0] < RESTARTS_WITHIN_S:
                # Its log says why; users notice that the guard is gone.
                os._exit(1)
            time.sleep(RESTART_WAIT_S)
            self.start()

    def on_terminate(self, _number: int, _frame: object) -> None:
        """Stop the server when told to go; users who stay start both again."""
        self.stop()
        sys.exit(0)

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        self.is_stopping = True
        stop_process(self.pid, lambda: reap(self.pid))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("server.json"))

    def stop_orphan(self) -> None:
        """Stop the server that a killed guard left behind: two servers on one store would ruin it."""
        try:
            with open(self.path("server.json"), encoding="utf-8") as file:
                pid = json.load(file)["pid"]
        except (FileNotFoundError, ValueError, KeyError):
            return
        if self.is_ours(pid):
            stop_process(pid, lambda: not self.is_ours(pid))

    def is_ours(self, pid: int) -> bool:
        """Tell whether the process runs a server on this directory."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return self.path("nats.conf").encode() in file.read()
        except OSError:
            command = ["/bin/ps", "-o", "command=", "-p", str(pid)]
            found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
            return self.path("nats.conf") in found.stdout


def reap(pid: int) -> bool:
    """Collect a child that has exited; tell whether it is gone."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def stop_process(pid: int, is_gone: "Callable[[], bool]") -> None:
    """Ask a process to go, insist after ten seconds, and return when it is gone."""
    deadline = time.monotonic() + STOP_S
    number = signal.SIGTERM
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        while time.monotonic() < deadline:
            if is_gone():
                return
            time.sleep(POLL_S)
        number = signal.SIGKILL
        deadline = time.monotonic() + STOP_S


def main() -> None:
    """Detach, run the server, and leave with the last user."""
    directory, binary = sys.argv[1:]
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    guard = Guard(directory, binary)
    locks = {
        name: os.open(guard.path(f"{name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        for name in ("guard", "users", "start")
    }
    fcntl.flock(locks["guard"], fcntl.LOCK_EX)
    guard.stop_orphan()
    signal.signal(signal.SIGCHLD, guard.on_child)
    signal.signal(signal.SIGTERM, guard.on_terminate)
    guard.start()
    while True:
        fcntl.flock(locks["users"], fcntl.LOCK_EX)
        try:
            fcntl.flock(locks["start"], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Somebody joins: let them in, and wait until they are.
            fcntl.flock(locks["users"], fcntl.LOCK_UN)
            fcntl.flock(locks["start"], fcntl.LOCK_EX)
            fcntl.flock(locks["start"], fcntl.LOCK_UN)
        else:
            break
    guard.stop()


if __name__ == "__main__":
    main()
