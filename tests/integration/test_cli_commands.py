"""Every documented command on real data directories and a real server; what takes signals, as a process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from unittest import mock

import pytest

from talka_protocols.workflow import ClaimCheck
from talka_services.cli import main
from talka_services.exports import Archive

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
  - {id: first, agent_type: sleep, payload: {seconds: 1}}
  - {id: second, agent_type: sleep, payload: {seconds: 1}, depends_on: [first]}
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
      tasks: [{id: plant, agent_type: sleep, payload: {seconds: 0, result: "${input.crop}"}}]
"""


class Shell:
    """Runs commands in one directory, with an environment that names no platform."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKA_")}
        self.environment = {**kept, "PYTHONPATH": str(directory), "NO_COLOR": "1"}

    def start(self, *words: str, out: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start a command as a process."""
        command = [sys.executable, "-m", "talka", *words]
        return subprocess.Popen(
            command, cwd=self.directory, env=self.environment, stdout=out, stderr=subprocess.PIPE
        )

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


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A directory with workflows in it."""
    directory = tmp_path_factory.mktemp("cli")
    files = {
        "hard_tasks.py": MODULE,
        "hard.yaml": HARD,
        "good.yaml": GOOD,
        "long.yaml": LONG,
        "asking.yaml": ASKING,
        "nested.yaml": NESTED,
        "undoable.yaml": UNDOABLE,
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    return Shell(directory)


@pytest.fixture(scope="module")
def good(shell: Shell) -> dict[str, Any]:
    """The result of a workflow that succeeded, in the default data directory."""
    result: dict[str, Any] = shell.json("run", "good.yaml", "--workers", "2", "--input", "pause=0.01")
    return result


def test_the_program_itself_runs(shell: Shell, good: dict[str, Any]) -> None:
    """As a process of its own, the program prints one JSON object and nothing else."""
    process = shell.start("status", good["execution_id"], "--json")
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    assert json.loads(out)["status"] == "succeeded"


def test_run_answers_in_the_documented_shape(good: dict[str, Any]) -> None:
    """The JSON of run has exactly the documented keys, times in Unix seconds, large results by digest."""
    assert set(good) == {"execution_id", "status", "makespan_s", "tasks"}
    assert good["status"] == "succeeded"
    second = good["tasks"]["second"]
    assert set(second) == {"status", "attempts", "started_at", "finished_at", "worker", "result"}
    assert second["result"]["stdout"] == "5\n"
    assert abs(second["finished_at"] - time.time()) < 600
    assert good["tasks"]["first"]["finished_at"] <= second["started_at"]
    assert set(good["tasks"]["large"]["result"]) == {"ref", "bytes", "sha256"}


def test_hard_tasks_are_recorded_failures_and_the_others_go_on(shell: Shell) -> None:
    """Whatever a task does to its process is a recorded failure with a reason; the rest runs."""
    result = shell.json("run", "hard.yaml", "--data-dir", "hard", code=1)
    tasks = result["tasks"]
    assert result["status"] == "failed"
    assert tasks["prints"]["status"] == "succeeded"
    assert tasks["prints"]["result"]["bytes"] < 1024 * 1024, "what is kept of the output is bounded"
    assert (tasks["fine"]["status"], tasks["fine"]["result"]) == ("succeeded", {"x": 1})
    assert tasks["after_fine"]["status"] == "succeeded"
    assert tasks["after_raises"]["status"] == "skipped"
    assert tasks["hangs"]["status"] == "timed_out"
    for name in ("raises", "unencodable", "leaves", "dies"):
        assert tasks[name]["status"] == "failed", name
        assert tasks[name]["error"]["message"], name
    assert "as it should" in tasks["raises"]["error"]["message"]
    verdict = shell.json("replay", result["execution_id"], "--verify", "--data-dir", "hard")
    assert (verdict["verified"], verdict["violations"]) == (True, [])
    assert "as it should" in shell.run("status", result["execution_id"], "--data-dir", "hard")


def test_events_are_one_object_a_line_without_gaps(shell: Shell, good: dict[str, Any]) -> None:
    """Events are numbered from 1 without gaps, and can be chosen by number, type and task."""
    name = good["execution_id"]
    lines = shell.lines("events", name)
    assert [line["version"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(line["execution_id"] == name and line["at"] > 1e9 for line in lines)
    chosen = shell.run("events", name, "--json", "--from", "3", "--type", "TaskSucceeded", "--task", "second")
    (only,) = [json.loads(line) for line in chosen.splitlines()]
    assert (only["type"], only["task_id"]) == ("TaskSucceeded", "second")
    assert only["version"] >= 3
    assert "TaskStarted" in shell.run("events", name, "--follow")
    assert "PlanAccepted" in shell.run("events", f"plan:{name}")
    assert "AllocationGranted" in shell.run("events", "pool:default")


def test_replay_shows_the_state_at_any_event(shell: Shell, good: dict[str, Any]) -> None:
    """The state after an early event is that of then, with its allocations."""
    name = good["execution_id"]
    lines = shell.lines("events", name)
    scheduled = next(line for line in lines if line["type"] == "TaskScheduled")
    state = shell.json("replay", name, "--at", str(scheduled["version"]))
    assert (state["version"], state["status"]) == (scheduled["version"], "running")
    assert scheduled["allocation_id"] in {item["allocation_id"] for item in state["allocations"]}
    assert shell.json("replay", name, "--at", "99999", code=2)["error"]["code"] == "usage"
    assert "verified" in shell.run("replay", name, "--verify")


def test_lists_and_status_look_without_continuing_anything(shell: Shell, good: dict[str, Any]) -> None:
    """List, status, workers and pools answer from a directory that nobody serves."""
    name = good["execution_id"]
    (listed,) = shell.json("list", "--status", "succeeded", "--limit", "5")["executions"]
    assert (listed["execution_id"], listed["done"], listed["total"]) == (name, 3, 3)
    assert name in shell.run("list")
    assert shell.json("status", name)["tasks"]["first"]["result"] == {"n": 5}
    assert shell.json("workers") == {"workers": []}
    assert [pool["pool"] for pool in shell.json("pools")["pools"]] == ["default"]
    assert shell.json("watch", name)["status"] == "succeeded"
    assert shell.json("cancel", name)["cancelled"] is False
    for command in ("status", "replay", "events", "watch", "cancel", "export"):
        assert shell.json(command, "nobody", code=2)["error"]["code"] == "unknown_execution"


def test_an_export_is_read_without_its_directory_and_imported_once(shell: Shell) -> None:
    """One file holds the whole execution, a 5 MB result included, when its data directory is gone."""
    name = shell.json("run", "good.yaml", "--data-dir", "gone")["execution_id"]
    before = shell.run("events", name, "--json", "--data-dir", "gone")
    exported = shell.json("export", name, "-o", "one.sqlite", "--data-dir", "gone")
    assert exported["bytes"] > 5 * 1024 * 1024
    deadline = time.monotonic() + 30
    while (shell.directory / "gone" / "server.json").exists():
        assert time.monotonic() < deadline, "the last user has left, so the server stops"
        time.sleep(0.02)
    shutil.rmtree(shell.directory / "gone")

    assert shell.json("status", "one.sqlite", "--data-dir", "gone")["status"] == "succeeded"
    assert shell.run("events", f"one.sqlite#{name}", "--json", "--data-dir", "gone") == before
    assert shell.json("replay", "one.sqlite", "--verify", "--data-dir", "gone")["verified"] is True
    assert "AllocationGranted" in shell.run("events", "pool:one.sqlite", "--data-dir", "gone")
    assert shell.json("status", "one.sqlite#other", code=2)["error"]["code"] == "unknown_execution"
    assert not (shell.directory / "gone").exists()

    assert shell.json("import", "one.sqlite", "--namespace", "other")["execution_id"] == name
    assert shell.json("import", "one.sqlite", "--namespace", "other", code=2)["error"]["code"] == (
        "execution_exists"
    )
    assert shell.json("replay", name, "--verify", "--namespace", "other")["verified"] is True


def test_an_export_holds_large_values_whole(shell: Shell, good: dict[str, Any]) -> None:
    """The 5 MB result is in the file, byte for byte by its digest."""
    shell.run("export", good["execution_id"], "-o", "values.sqlite")
    with Archive(shell.directory / "values.sqlite") as archive:
        value = asyncio.run(archive.blobs.get(ClaimCheck(**good["tasks"]["large"]["result"])))
    assert len(json.loads(value)["text"]) == 5 * 1024 * 1024


def test_other_exports_run_again(shell: Shell, good: dict[str, Any]) -> None:
    """The YAML and the trace of an execution are valid workflows."""
    name = good["execution_id"]
    shell.run("export", name, "--format", "yaml", "-o", "again.yaml")
    shell.run("export", name, "--format", "wfformat", "-o", "trace.json")
    assert shell.json("validate", "again.yaml")["tasks"] == 3
    assert shell.json("validate", "trace.json", "--capacity", "cpu_cores=4")["tasks"] == 3
    assert "talka: 1" in shell.run("export", name, "--format", "yaml", "-o", "-")


def test_ctrl_c_cancels_and_sigterm_leaves_it_to_the_next_run(shell: Shell) -> None:
    """SIGINT cancels in good order; SIGTERM leaves the execution unfinished; both exit with 1."""
    for number, status in ((signal.SIGINT, "cancelled"), (signal.SIGTERM, "running")):
        data_dir = f"stop{number}"
        process = shell.start("run", "long.yaml", "--json", "--data-dir", data_dir, "--key", "k")
        deadline = time.monotonic() + 30
        while not _is_running(shell, data_dir):
            assert time.monotonic() < deadline
        process.send_signal(number)
        if number == signal.SIGTERM:
            # The second signal does not wait for what still runs.
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 1
        (left,) = shell.json("list", "--data-dir", data_dir)["executions"]
        assert left["status"] == status
    waiting = shell.json("cancel", left["execution_id"], "--reason", "enough", "--data-dir", data_dir)
    assert waiting["cancelled"] is False, "nobody runs there, so the request waits"
    result = shell.json("run", "long.yaml", "--key", "k", "--data-dir", data_dir, code=1)
    assert (result["execution_id"], result["status"]) == (left["execution_id"], "cancelled")


def _is_running(shell: Shell, data_dir: str) -> bool:
    if not (shell.directory / data_dir / "server.json").exists():
        return False
    listed = shell.json("list", "--data-dir", data_dir)["executions"]
    return any(execution["counts"].get("running") for execution in listed)


@pytest.fixture
def platform(shell: Shell) -> Iterator[dict[str, Any]]:
    """`talka up` on a directory of its own, until the test is over."""
    process = shell.start("up", "--workers", "2", "--capacity", "cpu_cores=2", "--json", "--data-dir", "up")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()
    yield json.loads(line)
    assert wait_for(process, signal.SIGTERM) == 0


def test_other_commands_use_the_platform_that_is_up(shell: Shell, platform: dict[str, Any]) -> None:
    """While `talka up` runs, run, submit, watch and cancel use it, by directory or by address."""
    here = ("--data-dir", "up")
    assert len(shell.json("workers", *here)["workers"]) == 2
    assert shell.json("up", *here, code=2)["error"]["code"] == "data_directory"
    assert shell.json("run", "good.yaml", *here, "--workers", "3", code=2)["error"]["code"] == "usage"
    assert shell.json("run", "good.yaml", *here)["status"] == "succeeded"
    first = shell.json("submit", "long.yaml", *here)["execution_id"]
    second = shell.run("run", "long.yaml", "--detach", "--server", platform["server"]).strip()
    again = shell.json("submit", "good.yaml", "--server", platform["server"], "--key", "x")["execution_id"]
    assert shell.json("watch", again, *here)["status"] == "succeeded"
    assert shell.json("submit", "good.yaml", *here, "--key", "x")["execution_id"] == again
    for name in (first, second):
        assert shell.json("cancel", name, *here)["cancelled"] is True
        assert shell.json("watch", name, *here, code=1)["status"] == "cancelled"


def test_work_is_paused_and_resumed(shell: Shell, platform: dict[str, Any]) -> None:
    """An execution and a task are paused and resumed by commands; what makes no sense is refused."""
    assert platform["ready"]
    here = ("--data-dir", "up")
    (shell.directory / "chain.yaml").write_text(CHAIN)
    name = shell.json("submit", "chain.yaml", *here)["execution_id"]
    assert shell.json("pause", name, "second", *here)["paused"] is True
    assert shell.json("status", name, *here)["paused"] == ["second"]
    answer = shell.json("pause", name, "--reason", "lunch", *here)
    assert answer == {"execution_id": name, "paused": True, "status": "paused"}
    assert shell.json("status", name, *here)["reason"] == "lunch"
    assert shell.json("resume", name, "--seconds", "60", *here)["status"] == "running"
    assert shell.json("resume", name, *here, code=2)["error"]["code"] == "not_paused"
    assert shell.json("pause", name, "third", *here, code=2)["error"]["code"] == "unknown_task"
    assert shell.json("release", name, "second", *here, code=2)["error"]["code"] == "not_parked"
    assert "second" in shell.run("resume", name, "second", *here)
    assert shell.json("watch", name, *here)["status"] == "succeeded"


def test_an_execution_that_ran_out_of_time_goes_on(shell: Shell, platform: dict[str, Any]) -> None:
    """`talka resume` takes a timed-out execution up where it stopped, and `watch` waits for its new end."""
    assert platform["ready"]
    here = ("--data-dir", "up")
    (shell.directory / "short.yaml").write_text(CHAIN + "timeout_seconds: 1.2\n")
    name = shell.json("run", "short.yaml", *here, code=1)["execution_id"]
    before = shell.json("status", name, *here)
    assert (before["status"], before["tasks"]["first"]["status"]) == ("timed_out", "succeeded")
    assert shell.json("resume", name, "--seconds", "60", *here)["resumed"] is True
    after = shell.json("watch", name, *here)
    assert after["status"] == "succeeded"
    assert after["tasks"]["first"] == before["tasks"]["first"]
    assert shell.json("replay", name, "--verify", *here)["verified"] is True


def test_a_partial_execution_names_what_failed(shell: Shell, platform: dict[str, Any]) -> None:
    """It exits like one that failed, and says which tasks did."""
    assert platform["ready"]
    here = ("--data-dir", "up")
    (shell.directory / "partial.yaml").write_text(PARTIAL)
    assert shell.json("run", "partial.yaml", *here, code=1)["status"] == "partial"
    said = shell.run("run", "partial.yaml", *here, code=1)
    assert "partial in" in said
    assert re.search(r"bad +failed +1 ", said)


def test_sub_workflows_are_executions_with_a_parent(shell: Shell) -> None:
    """The child is listed, shown, verified and exported like any other execution, and names its parent."""
    here = ("--data-dir", "nested")
    result = shell.json("run", "nested.yaml", *here)
    assert result["tasks"]["bed"]["result"] == {"plant": "corn"}
    listed = shell.json("list", *here)["executions"]
    (child,) = [item for item in listed if item["parent"]]
    assert child["parent"] == {"execution_id": result["execution_id"], "task_id": "bed", "attempt": 1}
    assert f"part of {result['execution_id']}" in shell.run("list", *here)
    assert "sub-workflow of task bed" in shell.run("status", child["execution_id"], *here)
    for name in (result["execution_id"], child["execution_id"]):
        assert shell.json("replay", name, "--verify", *here)["verified"] is True
    again = shell.run("export", result["execution_id"], "--format", "yaml", "-o", "-", *here)
    (shell.directory / "nested-again.yaml").write_text(again)
    assert shell.json("validate", "nested-again.yaml")["tasks"] == 1


def test_signals_and_answers_from_the_command_line(shell: Shell, platform: dict[str, Any]) -> None:
    """A signal's data reaches the question that is then asked and answered; each refusal exits with 2."""
    del platform
    here = ("--data-dir", "up")
    name = shell.json("submit", "asking.yaml", *here)["execution_id"]
    (shell.directory / "order.json").write_text('{"what": "corn"}')
    sent = shell.json("signal", name, "order", "--data", "@order.json", "--id", "s1", *here)
    assert (sent["recorded"], sent["new"]) == (True, True)
    assert shell.json("signal", name, "order", "--data", "1", "--id", "s1", *here)["new"] is False
    assert shell.json("signal", name, "order", "--data", "{", *here, code=2)["error"]["code"] == "usage"
    (asked,) = shell.json("approve", name, *here)["questions"]
    assert (asked["task_id"], asked["question"]) == ("ask", "Ship corn?")
    assert "Ship corn?" in shell.run("approve", name, *here)
    assert shell.json("status", name, *here)["waiting"] == ["ask"]
    assert "approval" in shell.run("status", name, *here)
    refused = shell.json("approve", name, "ask", "--choice", "perhaps", *here, code=2)
    assert refused["error"]["code"] == "unknown_choice"
    answered = shell.json("approve", name, "ask", "--reject", "--by", "Ada", "--comment", "rain", *here)
    assert (answered["choice"], answered["recorded"]) == ("reject", True)
    ended = shell.json("watch", name, *here, code=1)["tasks"]["ask"]
    assert ended["error"]["message"] == "It was rejected by Ada: rain"
    assert shell.json("approve", name, "ask", *here, code=2)["error"]["code"] == "execution_over"


def test_schedules_from_the_command_line(shell: Shell, platform: dict[str, Any]) -> None:
    """A schedule is set, shown, paused, resumed, run by hand and removed; what is wrong with one is said."""
    here = ("--data-dir", "up")
    status = shell.json("schedule", "set", "tick", "good.yaml", "--every", "1h30m", *here)
    assert (status["name"], status["state"], status["schedule"]) == (
        "tick",
        "active",
        {"every_seconds": 5400.0},
    )
    assert abs(status["next_at"] - time.time() - 5400) < 60
    assert "every 5400 s" in shell.run("schedule", "list", *here)
    assert shell.json("schedule", "pause", "tick", *here)["state"] == "paused"
    assert shell.json("schedule", "resume", "tick", *here)["state"] == "active"
    execution_id = shell.json("schedule", "run", "tick", *here)["execution_id"]
    assert shell.json("watch", execution_id, *here)["status"] == "succeeded"
    assert "workflow  good" in shell.run("schedule", "show", "tick", *here)
    assert "ScheduleFired" in shell.run("events", "schedule:tick", *here)
    assert shell.json("schedule", "remove", "tick", *here)["state"] == "removed"
    assert shell.json("schedule", "list", *here) == {"schedules": []}
    assert [s["name"] for s in shell.json("schedule", "list", "--all", *here)["schedules"]] == ["tick"]
    later = shell.json("submit", "good.yaml", "--at", "2050-01-01T09:00", *here)["execution_id"]
    (waiting,) = shell.json("schedule", "list", *here)["schedules"]
    assert (waiting["name"], waiting["next_at"]) == (f"at-{later}", 2524640400.0)
    burst = [
        shell.json("submit", "good.yaml", "--debounce", "k", "--quiet-for", "60s", *here) for _ in range(2)
    ]
    assert burst[0] == burst[1]
    for words, code in (
        (("schedule", "set", "x", "good.yaml", "--cron", "0 0 30 2 *"), "bad_cron"),
        (("schedule", "set", "x", "good.yaml", "--at", "2001-01-01T00:00"), "schedule_never_fires"),
        (("schedule", "set", "x", "good.yaml"), "bad_schedule"),
        (("schedule", "set", "x y", "good.yaml", "--every", "1m"), "caller"),
        (("schedule", "set", "x", "good.yaml", "--every", "often"), "usage"),
        (("schedule", "set", "x", "good.yaml", "--every", "1m", "--overlap", "both"), "usage"),
        (
            ("schedule", "set", "x", "good.yaml", "--every", "1m", "--time-zone", "Mars/Base"),
            "unknown_time_zone",
        ),
        (("schedule", "pause", "nothing"), "unknown_schedule"),
        (("submit", "good.yaml", "--at", "tomorrow"), "usage"),
        (("submit", "good.yaml", "--debounce", "k", "--key", "k"), "usage"),
    ):
        assert shell.json(*words, *here, code=2)["error"]["code"] == code, words


def test_services_as_processes_of_their_own(shell: Shell, nats_server: Any) -> None:
    """Planner, scheduler, resource and worker run as four processes, and stop in good order."""
    there = ("--server", nats_server.url, "--namespace", f"cli_{os.getpid()}")
    roles = (
        ("planner",),
        ("scheduler",),
        ("resource", "--pool", "default"),
        ("worker", "--worker-id", "w1", "--slots", "8", "--allow-command", "echo", "--processes", "1"),
    )
    processes = [shell.start("service", *role, "--json", *there) for role in roles]
    for process, role in zip(processes, roles, strict=True):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] == role[0]
    result = shell.json("run", "good.yaml", *there, code=1)
    assert result["tasks"]["second"]["status"] == "succeeded"
    assert result["tasks"]["large"]["error"]["code"] == "not_allowed"
    assert [wait_for(process, signal.SIGTERM) for process in reversed(processes)] == [0, 0, 0, 0]


def test_completion_can_be_shown(shell: Shell) -> None:
    """The shell's completion script is printed."""
    shell.environment["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    assert "talka" in shell.run("--show-completion", "bash")


def test_fork_runs_to_its_end_here_and_from_a_file(shell: Shell) -> None:
    """A fork keeps what had ended; that of an exported file runs in a directory that is yet to be made."""
    where = ("--data-dir", "undoable")
    name = shell.json("run", "undoable.yaml", *where)["execution_id"]
    events = shell.lines("events", name, *where)
    at = next(e["version"] for e in events if e["type"] == "TaskSucceeded")
    forked = shell.json("fork", name, "--at", str(at), *where)
    assert (forked["status"], forked["execution_id"] != name) == ("succeeded", True)
    adopted = [
        e["task_id"]
        for e in shell.lines("events", forked["execution_id"], *where)
        if e["type"] == "TaskAdopted"
    ]
    assert (adopted, forked["tasks"]["book"]["result"]) == (["book"], {"seat": 7})
    travelled = shell.lines("replay", name, "--from", "1", "--to", str(at), *where)
    assert [step["version"] for step in travelled] == list(range(1, at + 1))
    assert travelled[0]["execution"] == ["", "accepted"]
    assert travelled[-1]["tasks"] == {"book": ["running", "succeeded"]}
    assert "book: running -> succeeded" in shell.run("replay", name, "--from", str(at), *where)
    for flags in (("--step",), ("--from", "999"), ("--at", "1", "--to", "2"), ("--from", "3", "--to", "2")):
        shell.run("replay", name, *flags, *where, code=2)
    shell.json("export", name, "-o", "undoable.talka.sqlite", *where)
    there = ("--data-dir", "elsewhere")
    from_file = shell.json("fork", "undoable.talka.sqlite", "--at", str(at), "--key", "k", *there)
    assert (from_file["status"], from_file["tasks"]["book"]["result"]) == ("succeeded", {"seat": 7})
    again = shell.json("fork", f"undoable.talka.sqlite#{name}", "--at", str(at), "--key", "k", *there)
    assert again["execution_id"] == from_file["execution_id"]
    for wanted, event, code in ((name, "999", "unknown_event"), ("nobody", "1", "unknown_execution")):
        assert shell.json("fork", wanted, "--at", event, *where, code=2)["error"]["code"] == code
    assert shell.json("fork", name, "--at", "1", "--detach", *where, code=2)["error"]["code"] == "usage"


def test_rollback_and_restart_run_to_their_end_without_a_platform(shell: Shell) -> None:
    """A finished execution of a directory goes back and runs again; a dry run only says what would happen."""
    where = ("--data-dir", "undoable")
    name = shell.json("run", "undoable.yaml", *where)["execution_id"]
    plan = shell.json("rollback", name, "--to", "1", "--dry-run", *where)
    assert (plan["compensated"], plan["irreversible"]) == (["book"], ["tell"])
    assert "irreversible" in shell.run("rollback", name, "--to", "1", "--dry-run", *where)
    assert shell.json("rollback", name, "--to", "1", *where, code=2)["error"]["code"] == "irreversible"
    back = shell.json("rollback", name, "--to", "1", "--then", "stop", "--accept-irreversible", *where)
    assert (back["status"], back["tasks"]["book"]["status"]) == ("rolled_back", "compensated")
    assert back["tasks"]["undo:book:1"]["result"] == "cancel 7"
    again = shell.json("restart", name, *where)
    assert (again["status"], again["tasks"]["book"]["attempts"]) == ("succeeded", 2)
    assert shell.json("restart", name, *where, code=2)["error"]["code"] == "nothing_to_restart"
    assert shell.json("restart", name, "--from", "tell", *where)["tasks"]["book"]["attempts"] == 2
    assert shell.json("replay", name, "--verify", *where)["violations"] == []
    other = shell.json("run", "undoable.yaml", *where)["execution_id"]
    found = shell.json("diff", other, name, *where)
    assert found["parting"]["second_event"]["type"] == "RequestRefused"
    assert (found["added"], found["changed"]) == (["undo:book:1"], {})
    assert "waited" in shell.run("diff", other, name, *where)
