"""Every documented command on real data directories and a real server; what takes signals, as a process."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from typing import Any

from tests.integration.cli.shell import Shell, wait_for

from talka_protocols.workflow import ClaimCheck
from talka_services.exports import Archive


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
    assert tasks["hog"]["error"]["code"] == "memory_exceeded"
    used = shell.json("usage", result["execution_id"], "--data-dir", "hard")["tasks"]["hog"]
    assert used["memory_mb"]["asked"] == 150 < used["memory_mb"]["used"] < used["memory_mb"]["proposed"]
    assert used["overuse"] == ["memory_mb"]
    assert "memory MiB" in shell.run("usage", result["execution_id"], "--data-dir", "hard")
    kinds = shell.json("usage", "--propose", "--data-dir", "hard")["kinds"]
    (hog,) = [kind for kind in kinds if kind["task"] == "hog"]
    assert (hog["tasks"], hog["overused"], hog["memory_mb"]["proposed"]) == (
        1,
        1,
        used["memory_mb"]["proposed"],
    )
    assert "propose" in shell.run("usage", "--propose", "--data-dir", "hard")
    assert shell.json("usage", "--data-dir", "hard", code=2)["error"]["code"] == "usage"
    assert "hog" in shell.json("status", result["execution_id"], "--data-dir", "hard")["alerts"][0]
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
    assert shell.json("simulate", "trace.json", "--capacity", "cpu_cores=4")["status"] == "succeeded"
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
    said = shell.run("rollback", name, "--to", "1", "--dry-run", *where)
    assert "irreversible" in said
    assert "run again" in said
    assert "run again" not in shell.run("rollback", name, "--to", "1", "--then", "stop", "--dry-run", *where)
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
    assert {each["task_id"]: each["second_attempts"] for each in found["spent"]} == {"book": 2, "tell": 3}
    assert "waited" in shell.run("diff", other, name, *where)
