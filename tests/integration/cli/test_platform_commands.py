"""The commands that steer work on a platform that is up."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from tests.integration.cli.shell import CHAIN, PARTIAL, SHORT, Shell


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
    shell.json("signal", name, "go", *here)
    assert shell.json("watch", name, *here)["status"] == "succeeded"


def test_one_task_is_cancelled(shell: Shell, platform: dict[str, Any]) -> None:
    """What needs the task is skipped; a task that is over, or is not there, is refused."""
    assert platform["ready"]
    here = ("--data-dir", "up")
    (shell.directory / "chain.yaml").write_text(CHAIN)
    name = shell.json("submit", "chain.yaml", *here)["execution_id"]
    shell.json("pause", name, *here)
    answer = shell.json("cancel", name, "--task", "second", "--reason", "enough", *here)
    assert answer == {"execution_id": name, "task_id": "second", "cancelled": True, "status": "paused"}
    assert shell.json("cancel", name, "--task", "second", *here, code=2)["error"]["code"] == "task_over"
    assert shell.json("cancel", name, "--task", "third", *here, code=2)["error"]["code"] == "unknown_task"
    shell.json("resume", name, *here)
    shell.json("signal", name, "go", *here)
    result = shell.json("watch", name, *here, code=1)
    assert (result["status"], result["tasks"]["second"]["status"]) == ("failed", "cancelled")
    assert result["tasks"]["second"]["error"]["code"] == "cancelled"


def test_work_is_reprioritized(shell: Shell, platform: dict[str, Any]) -> None:
    """An execution gets another order by a command, which its events show; what makes no sense is refused."""
    assert platform["ready"]
    here = ("--data-dir", "up")
    (shell.directory / "chain.yaml").write_text(CHAIN)
    name = shell.json("submit", "chain.yaml", *here)["execution_id"]
    assert shell.json("reprioritize", name, "--strategy", "deadline", "--priority", "90", *here) == {
        "execution_id": name,
        "reprioritized": True,
        "status": "running",
    }
    wrong = shell.json("reprioritize", name, "--strategy", "deadlin", *here, code=2)["error"]
    assert "'deadline'" in str(wrong)
    assert "--priority" in str(shell.json("reprioritize", name, *here, code=2)["error"])
    shell.json("signal", name, "go", *here)
    assert shell.json("watch", name, *here)["status"] == "succeeded"
    assert '"ExecutionReprioritized"' in shell.run("events", name, "--json", *here)
    assert (
        shell.json("reprioritize", name, "--priority", "1", *here, code=2)["error"]["code"] == "not_running"
    )


def test_an_execution_that_ran_out_of_time_goes_on(shell: Shell, platform: dict[str, Any]) -> None:
    """`talka resume` takes a timed-out execution up where it stopped, and `watch` waits for its new end."""
    assert platform["ready"]
    here = ("--data-dir", "up")
    (shell.directory / "short.yaml").write_text(SHORT)
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
    _reads_a_child_from_a_file(shell, result["execution_id"], child["execution_id"])


def _reads_a_child_from_a_file(shell: Shell, parent: str, child: str) -> None:
    """Hold that ``FILE#CHILD`` is the sub-workflow, and that a dry run names what it would undo."""
    here, away = ("--data-dir", "nested"), ("--data-dir", "nowhere")
    shell.json("export", parent, "-o", "nested.talka", *here)
    named = f"nested.talka#{child}"
    assert list(shell.json("status", named, *away)["tasks"]) == ["plant"]
    assert {event["execution_id"] for event in shell.lines("events", named, *away)} == {child}
    assert shell.json("replay", named, *away)["execution_id"] == child
    assert shell.json("status", "nested.talka#nobody", *away, code=2)["error"]["code"] == "unknown_execution"
    for wanted, where in ((parent, here), ("nested.talka", away)):
        plan = shell.json("rollback", wanted, "--to", "1", "--dry-run", *where)
        (undone,) = plan["children"]
        assert (undone["task_id"], undone["execution_id"]) == ("bed", child)
        assert undone["plan"]["compensated"] == ["plant"]
        shown = shell.run("rollback", wanted, "--to", "1", "--dry-run", *where)
        assert f"with bed, sub-workflow {child}" in " ".join(shown.split())


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


def test_triggers_from_the_command_line(shell: Shell, platform: dict[str, Any]) -> None:
    """A trigger is created, fires once for an event however often it is published, and is deleted."""
    here = ("--data-dir", "up")
    start = ("--on", "order.*", "--when", "data.total > 10", "--start", "good.yaml", "--input", "pause=0.0")
    status = shell.json("trigger", "create", "orders", *start, *here)
    assert (status["name"], status["state"], status["workflow"]) == ("orders", "active", "good")
    order = ("publish", "order.created", "--data", '{"total": 30}', "--source", "shop", "--id", "o-1")
    published = [shell.json(*order, *here) for _ in range(2)]
    assert [sent["is_duplicate"] for sent in published] == [False, True]
    assert "is published" in shell.run("publish", "order.created", "--data", "{}", "--subject", "x", *here)
    for _ in range(200):
        status = shell.json("trigger", "show", "orders", *here)
        if status["failed"] and not status["pending"]:
            break
    assert (status["fired"], status["failed"], status["refused"]) == (1, 1, 0)
    lines = shell.run("events", "trigger:orders", "--json", *here).splitlines()
    fired = next(event for event in map(json.loads, lines) if event["type"] == "TriggerFired")
    assert (fired["name"], fired["occurrence"]["id"]) == ("orders", "o-1")
    assert shell.json("watch", fired["execution_id"], *here)["status"] == "succeeded"
    assert "starts good" in shell.run("trigger", "list", *here)
    assert "when      data.total > 10" in shell.run("trigger", "show", "orders", *here)
    assert shell.json("trigger", "pause", "orders", *here)["state"] == "paused"
    assert shell.json("trigger", "resume", "orders", *here)["state"] == "active"
    again = shell.json("trigger", "create", "orders", *start, *here, code=2)
    assert again["error"]["code"] == "trigger_exists"
    assert shell.json("trigger", "delete", "orders", *here)["state"] == "deleted"
    assert shell.json("trigger", "list", *here) == {"triggers": []}
    assert [t["name"] for t in shell.json("trigger", "list", "--all", *here)["triggers"]] == ["orders"]
    new = ("trigger", "create", "x", "--on", "order.*")
    for words, code in (
        (new, "usage"),
        ((*new, "--start", "good.yaml", "--signal", "e", "s"), "usage"),
        ((*new, "--start", "nowhere.yaml"), "unreadable_file"),
        ((*new, "--start", "good.yaml", "--when", "data.total >"), "bad_expression"),
        ((*new, "--start", "good.yaml", "--input", "paus=1"), "unknown_input"),
        ((*new, "--signal", "data.", "s"), "bad_expression"),
        (("trigger", "create", "x", "--on", "a..b", "--signal", "e", "s"), "trigger_invalid"),
        (("trigger", "show", "nothing"), "unknown_trigger"),
        (("publish", "order created"), "bad_event"),
        (("publish", "order", "--data", "{"), "usage"),
        (("publish", "order", "--data", f'"{"x" * 70_000}"'), "event_too_large"),
    ):
        assert shell.json(*words, *here, code=2)["error"]["code"] == code, words


def test_resources_are_reserved(shell: Shell, platform: dict[str, Any]) -> None:
    """A reservation is made, shown, refused where it overlaps, and cancelled; a task waits for it."""
    assert platform["ready"]
    here = ("--data-dir", "up")
    made = shell.json("reserve", "create", "cpu_cores=2", "--starts", "1h", "--id", "night", *here)
    assert round(made["expires_at"] - made["starts_at"]) == 3600
    shell.run("reserve", "create", "cpu_cores=2", "--starts", "1h", "--for", "10m", *here)
    wrong = shell.json("reserve", "create", "cpu_cores=1", "--starts", "65m", *here, code=1)["error"]
    assert "overlaps" in wrong["message"]
    past = ("reserve", "create", "cpu_cores=1", "--starts", "2020-01-01T00:00:00Z")
    assert "past" in shell.json(*past, *here, code=2)["error"]["message"]
    listed = shell.json("reserve", "list", *here)["reservations"]
    assert {entry["state"] for entry in listed} == {"booked"}
    assert "night" in shell.run("reserve", "list", *here)
    text = GOOD_ONE.replace("RESERVATION", "night")
    (shell.directory / "tonight.yaml").write_text(text)
    name = shell.json("submit", "tonight.yaml", "--tenant", "default", *here)["execution_id"]
    found = shell.json("explain", name, "only", *here)
    assert found["causes"][0]["kind"] == "reservation"
    assert shell.json("reserve", "cancel", "night", *here)["cancelled"] is True
    assert shell.json("reserve", "cancel", "never", *here, code=2)["error"]
    result = shell.json("watch", name, *here, code=1)
    assert result["tasks"]["only"]["error"]["code"] == "bad_reservation"
    assert "tenants" in shell.json("pools", *here)["pools"][0]


GOOD_ONE = """
talka: 1
name: tonight
tasks:
  - {id: only, agent_type: sleep, payload: {seconds: 0}, resources: {cpu_cores: 1}, reservation: RESERVATION}
"""
