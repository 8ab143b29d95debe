"""Workflows for the commands, and a shell that runs them in one directory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any
from unittest import mock

import pytest

from talka_services.cli import main

MODULE = """
import os, signal, time

def fine():
    return {"x": 1}

def raises():
    raise ValueError("as it should")

def unencodable():
    return object()

def leaves():
    os._exit(7)

def dies():
    os.kill(os.getpid(), signal.SIGKILL)

def hog():
    held = b"x" * (300 * 1024 * 1024)
    time.sleep(600)

def hangs():
    time.sleep(600)

def large():
    return {"text": "x" * (5 * 1024 * 1024)}
"""

HARD = """
talka: 1
name: hard
tasks:
  - {id: prints, agent_type: command, payload: {argv: [head, -c, "1073741824", /dev/zero]}}
  - {id: raises, agent_type: python, payload: {call: "hard_tasks:raises"}}
  - {id: unencodable, agent_type: python, payload: {call: "hard_tasks:unencodable"}}
  - {id: leaves, agent_type: python, payload: {call: "hard_tasks:leaves"}}
  - {id: dies, agent_type: python, payload: {call: "hard_tasks:dies"}}
  - {id: hangs, agent_type: python, payload: {call: "hard_tasks:hangs"}, timeout_seconds: 1}
  - {id: hog, agent_type: python, payload: {call: "hard_tasks:hog"}, resources: {memory_mb: 150}}
  - {id: fine, agent_type: python, payload: {call: "hard_tasks:fine"}}
  - {id: after_fine, agent_type: sleep, payload: {seconds: 0}, depends_on: [fine]}
  - {id: after_raises, agent_type: sleep, payload: {seconds: 0}, depends_on: [raises]}
"""

GOOD = """
talka: 1
name: good
inputs: {pause: 0}
tasks:
  - {id: first, agent_type: sleep, payload: {seconds: "${input.pause}", result: {n: 5}}}
  - {id: second, agent_type: command, payload: {argv: [echo, "${first.n}"]}, resources: {cpu_cores: 1}}
  - {id: large, agent_type: python, payload: {call: "hard_tasks:large"}}
"""

UNDOABLE = """
talka: 1
name: undoable
tasks:
  - id: book
    agent_type: sleep
    payload: {seconds: 0, result: {seat: 7}}
    compensation: {agent_type: sleep, payload: {seconds: 0, result: "cancel ${book.seat}"}}
  - {id: tell, agent_type: sleep, payload: {seconds: 0}, depends_on: [book], irreversible: true}
"""

LONG = """
talka: 1
name: long
tasks:
  - {id: a, agent_type: sleep, payload: {seconds: 300}}
  - {id: b, agent_type: sleep, payload: {seconds: 1}, depends_on: [a]}
"""

PARTIAL = """\
talka: 1
name: partial
tolerated_failures: 1
tasks:
  - {id: good, agent_type: sleep, payload: {seconds: 0}}
  - {id: bad, agent_type: command, payload: {argv: ['false']}}
"""

CHAIN = """\
talka: 1
name: chain
tasks:
  - {id: first, agent_type: signal, payload: {name: go}}
  - {id: second, agent_type: sleep, payload: {seconds: 0}, depends_on: [first]}
"""
SHORT = """\
talka: 1
name: short
timeout_seconds: 2
tasks:
  - {id: first, agent_type: sleep, payload: {seconds: 0}}
  - {id: second, agent_type: sleep, payload: {seconds: 3}, depends_on: [first]}
"""

ASKING = """
talka: 1
name: asking
tasks:
  - {id: order, agent_type: signal, payload: {name: order}}
  - {id: ask, agent_type: approval, payload: {question: "Ship ${order.what}?", assignees: [Ada]}}
"""

NESTED = """
talka: 1
name: nested
tasks:
  - id: bed
    agent_type: workflow
    payload: {inputs: {crop: corn}}
    workflow:
      inputs: {crop: null}
      tasks:
        - id: plant
          agent_type: sleep
          payload: {seconds: 0, result: "${input.crop}"}
          compensation: {agent_type: sleep, payload: {seconds: 0}}
"""


class Shell:
    """Runs commands in one directory, with an environment that names no platform."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[subprocess.Popen[bytes]] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKA_")}
        self.environment = {**kept, "PYTHONPATH": str(directory), "NO_COLOR": "1"}

    def start(self, *words: str, out: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start a command as a process, which ends with the shell at the latest."""
        command = [sys.executable, "-m", "talka", *words]
        process = subprocess.Popen(
            command, cwd=self.directory, env=self.environment, stdout=out, stderr=subprocess.PIPE
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill what still runs, and close the pipes of all that was started."""
        for process in self._started:
            with process:
                process.kill()

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command to its end, here to spare its start, and return its standard output."""
        out, errors = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(sys, "argv", ["talka", *words]),
            contextlib.chdir(self.directory),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
            pytest.raises(SystemExit) as ended,
        ):
            main.run()
        assert ended.value.code == code, (words, out.getvalue()[-2000:], errors.getvalue()[-2000:])
        assert "Traceback" not in errors.getvalue()
        return out.getvalue()

    def lines(self, *words: str) -> list[Any]:
        """Run a command with --json and return the objects that it printed, one a line."""
        return [json.loads(line) for line in self.run(*words, "--json").splitlines()]

    def json(self, *words: str, code: int = 0) -> Any:
        """Run a command with --json and return the one object that it printed."""
        return json.loads(self.run(*words, "--json", code=code))


def wait_for(process: subprocess.Popen[bytes], number: int) -> int:
    """Send a signal and return the exit code."""
    process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode
