"""What can be refused without a server is: exit code 2, one message with the place, nothing made."""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from talka_services.cli import main

HEAD = "talka: 1\nname: w\ntasks:\n"
SLEEP = "  - {id: a, agent_type: sleep, payload: {seconds: 0}}\n"


def talka(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str]:
    """Run the command line in this process and return its exit code and standard output."""
    monkeypatch.setattr("sys.argv", ["talka", *words])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().out


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with nothing in it, and no environment that says where to go."""
    for name in ("TALKA_SERVER", "TALKA_DATA_DIR", "TALKA_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nested(megabytes: int) -> str:
    """Return that many megabytes of YAML that opens brackets and closes none."""
    return "a: " + "[" * (megabytes * 1024 * 1024)


BAD: dict[str, tuple[str, str, bool]] = {
    "cycle": (
        HEAD
        + "  - {id: a, agent_type: sleep, depends_on: [b]}\n"
        + "  - {id: b, agent_type: sleep, depends_on: [a]}\n",
        "cycle",
        True,
    ),
    "unknown id": (HEAD + "  - {id: a, agent_type: sleep, depends_on: [bb]}\n", "unknown_task", True),
    "duplicate id": (HEAD + SLEEP + SLEEP, "duplicate_id", True),
    "self-dependency": (HEAD + "  - {id: a, agent_type: sleep, depends_on: [a]}\n", "", True),
    "reference to nothing": (
        HEAD + "  - {id: a, agent_type: sleep, payload: {seconds: '${nobody.x}'}}\n",
        "",
        True,
    ),
    "unknown field": (HEAD + "  - {id: a, agent_type: sleep, retriees: 1}\n", "unknown_field", True),
    "wrong type": (HEAD + "  - {id: a, agent_type: sleep, retries: many}\n", "wrong_type", True),
    "unknown agent type": (HEAD + "  - {id: a, agent_type: slep}\n", "unknown_agent_type", True),
    "impossible resources": (
        HEAD + "  - {id: a, agent_type: sleep, payload: {seconds: 0}, resources: {gpu_count: 9}}\n",
        "impossible_resources",
        True,
    ),
    "zero tasks": ("talka: 1\nname: w\ntasks: []\n", "no_tasks", True),
    "negative number": (HEAD + "  - {id: a, agent_type: sleep, timeout_seconds: -1}\n", "bad_number", True),
    "absurd number": (HEAD + "  - {id: a, agent_type: sleep, retries: 99999999999}\n", "", True),
    "no yaml": ("talka: 1\nname: [\n", "", True),
    "empty file": ("", "empty_file", False),
    "10 MB of nested yaml": (nested(10), "", False),
    "odd id": (HEAD + "  - {id: 'a b', agent_type: sleep}\n", "bad_id", True),
    "payload over the limit": (
        HEAD + "  - {id: a, agent_type: sleep, payload: {text: '" + "x" * 600_000 + "'}}\n",
        "payload_too_large",
        True,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_workflow_is_refused_with_its_place(
    name: str, empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A workflow that cannot run ends with exit code 2 and its place, before anything is made."""
    text, code, has_line = BAD[name]
    file = empty / "bad.yaml"
    file.write_text(text)
    exit_code, out = talka(monkeypatch, capsys, "run", "bad.yaml", "--json")
    error = json.loads(out)["error"]
    assert exit_code == 2
    assert error["file"] == "bad.yaml"
    assert error["message"]
    assert not code or error["code"] == code
    assert not has_line or (error["line"] >= 1 and error["column"] >= 1)
    assert list(empty.iterdir()) == [file], "nothing was made"


def test_an_unknown_field_is_told_what_was_meant(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt field is answered with the one that was probably meant."""
    (empty / "bad.yaml").write_text(BAD["unknown field"][0])
    _, out = talka(monkeypatch, capsys, "run", "bad.yaml", "--json")
    assert "retries" in json.loads(out)["error"]["message"]


def test_too_many_tasks_names_the_limit_and_the_flag(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A workflow over the limit is refused with the limit and the flag that raises it."""
    many = [{"id": f"t{i}", "agent_type": "sleep", "payload": {"seconds": 0}} for i in range(1001)]
    (empty / "many.json").write_text(json.dumps({"talka": 1, "name": "many", "tasks": many}))
    exit_code, out = talka(monkeypatch, capsys, "run", "many.json", "--json")
    message = json.loads(out)["error"]["message"]
    assert exit_code == 2
    assert "1,000" in message
    assert "--max-tasks 1001" in message
    exit_code, out = talka(monkeypatch, capsys, "validate", "many.json", "--json", "--max-tasks", "1001")
    assert (exit_code, json.loads(out)["tasks"]) == (0, 1001)


USAGE = (
    ["run", "--bogus"],
    ["run"],
    ["no-such-command"],
    ["run", "w.yaml", "--workers", "none"],
    ["run", "w.yaml", "--workers", "0"],
    ["run", "w.yaml", "--capacity", "cpu_cores"],
    ["run", "w.yaml", "--capacity", "cpu_cores=-1"],
    ["run", "w.yaml", "--time-scale", "-1"],
    ["run", "w.yaml", "--strategy", "fastest"],
    ["up", "--strategy", "fastest"],
    ["service", "resource", "--strategy", "fastest"],
    ["run", "w.yaml", "--durability", "none"],
    ["run", "w.yaml", "--input", "novalue"],
    ["run", "w.yaml", "--input", "nobody=1"],
    ["run", "w.yaml", "--namespace", "a.b"],
    ["run", "w.yaml", "--server", "nats://"],
    ["run", "w.yaml", "--server", "host:99999"],
    ["list", "--server", "http://host:1"],
    ["run", "w.yaml", "--detach"],
    ["submit", "w.yaml"],
    ["run", "nowhere.yaml"],
    ["run", "nowhere:function"],
    ["events", "x", "--type", "TaskStartd"],
    ["list", "--status", "done"],
    ["status", "x"],
    ["list"],
    ["import", "nowhere.sqlite"],
    ["import", "w.yaml"],
    ["export", "x", "--format", "pdf"],
    ["service", "worker", "--agent", "nothing"],
    ["service", "worker", "--agent", "a=no_such_module:agent"],
)


@pytest.mark.parametrize("words", USAGE, ids=" ".join)
def test_what_makes_no_sense_is_refused_as_json(
    words: list[str], empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that makes no sense ends with exit code 2 and one JSON object, and makes nothing."""
    (empty / "w.yaml").write_text(HEAD + SLEEP)
    exit_code, out = talka(monkeypatch, capsys, *words, "--json")
    error: dict[str, Any] = json.loads(out)["error"]
    assert exit_code == 2
    assert set(error) == {"code", "message", "file", "line", "column"}
    assert error["code"]
    assert error["message"]
    assert [path.name for path in empty.iterdir()] == ["w.yaml"], "nothing was made"


def test_a_function_that_raises_is_the_callers_error(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a workflow's function raises is told with its own place, without a traceback."""
    (empty / "broken_flow.py").write_text("def make():\n    return 1 / 0\n")
    monkeypatch.setattr("sys.path", [*sys.path])
    exit_code, out = talka(monkeypatch, capsys, "run", "broken_flow:make", "--json")
    error = json.loads(out)["error"]
    assert exit_code == 2
    assert (error["code"], error["line"]) == ("function_raised", 2)
    assert "ZeroDivisionError" in error["message"]


@pytest.mark.parametrize("words", [["status", "x"], ["run", "w.yaml"]])
def test_without_a_server_the_exit_code_is_3(
    words: list[str], empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that is not there ends every command with exit code 3."""
    (empty / "w.yaml").write_text(HEAD + SLEEP)
    exit_code, out = talka(monkeypatch, capsys, *words, "--json", "--server", "nats://127.0.0.1:1")
    assert exit_code == 3
    assert json.loads(out)["error"]["code"] == "server_unavailable"


def test_a_directory_of_a_newer_version_is_refused(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data directory with a newer format is refused, and left as it is."""
    (empty / "w.yaml").write_text(HEAD + SLEEP)
    (empty / "newer").mkdir()
    (empty / "newer" / "format").write_text("99\n")
    exit_code, out = talka(monkeypatch, capsys, "run", "w.yaml", "--json", "--data-dir", "newer")
    assert (exit_code, json.loads(out)["error"]["code"]) == (2, "data_directory")
    assert [path.name for path in (empty / "newer").iterdir()] == ["format"]


@pytest.mark.parametrize("place", ["w.yaml", "/proc/talka"])
def test_a_directory_that_cannot_be_used_is_refused(
    place: str, empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data directory that is a file, or cannot be written, is refused."""
    (empty / "w.yaml").write_text(HEAD + SLEEP)
    exit_code, out = talka(monkeypatch, capsys, "run", "w.yaml", "--json", "--data-dir", place)
    assert (exit_code, json.loads(out)["error"]["code"]) == (2, "data_directory")


def test_a_directory_whose_holder_does_not_answer_is_refused(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data directory that is held by a process that never lets go is refused after a while."""
    monkeypatch.setattr("talka_services.embedded.directory.LOCK_WAIT_S", 0.1)
    (empty / "w.yaml").write_text(HEAD + SLEEP)
    (empty / "held").mkdir()
    with (empty / "held" / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        exit_code, out = talka(monkeypatch, capsys, "run", "w.yaml", "--json", "--data-dir", "held")
    assert (exit_code, json.loads(out)["error"]["code"]) == (2, "data_directory")
    assert "does not answer" in json.loads(out)["error"]["message"]


def test_a_person_gets_one_line_and_no_traceback(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --json an error is one line on standard error."""
    monkeypatch.setattr("sys.argv", ["talka", "run", "nowhere.yaml"])
    with pytest.raises(SystemExit):
        main.run()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("talka: nowhere.yaml: There is no such file.")
    assert captured.err.count("\n") == 1


def test_the_version_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints name and version."""
    exit_code, out = talka(monkeypatch, capsys, "--version")
    assert exit_code == 0
    assert out.startswith("talka ")
