"""Goal: deadlines are judged before anything starts, and refused where that is asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from talka_services.cli import main

GPU = """
talka: 1
name: gpu
strategy: deadline
deadline_seconds: 100
tasks:
  - {id: a, agent_type: sleep, payload: {seconds: 60}, resources: {gpu_count: 1}}
  - {id: b, agent_type: sleep, payload: {seconds: 60}, resources: {gpu_count: 1}}
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with two tasks that need the same device."""
    for name in ("TALKA_SERVER", "TALKA_DATA_DIR", "TALKA_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpu.yaml").write_text(GPU)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr("sys.argv", ["talka", *words])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.usefixtures("directory")
def test_a_warning_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default it is only said; the JSON has the figures."""
    words = ("validate", "gpu.yaml", "--capacity", "gpu_count=1")
    assert run(monkeypatch, *words, "--json") == 0
    printed = capsys.readouterr()
    assert "With one more GPU" in printed.err
    judged = json.loads(printed.out)["deadlines"]
    assert (judged["is_feasible"], judged["misses"]) == (False, 1)
    assert judged["remedies"][0] == "one more GPU"
    assert run(monkeypatch, *words, "--deadlines", "ignore") == 0
    assert not capsys.readouterr().err


def test_what_is_required_is_refused_and_nothing_is_started(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` with required deadlines ends with code 2 and leaves nothing behind."""
    words = ("run", "gpu.yaml", "--capacity", "gpu_count=1", "--deadlines", "require", "--json")
    assert run(monkeypatch, *words) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "deadline_infeasible"
    assert [path.name for path in directory.iterdir()] == ["gpu.yaml"]
    enough = ("validate", "gpu.yaml", "--capacity", "gpu_count=2", "--deadlines", "require")
    assert run(monkeypatch, *enough) == 0


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--deadline", "2020-01-01T00:00:00"), "passed"),
        (("--deadline", "-5"), "in the past"),
        (("--deadline", "0"), "in the past"),
        (("--deadline", "soon"), "no duration"),
        (("--deadline", "2020-13-01T00:00:00"), "no instant"),
        (("--deadlines", "requir"), "'require'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A deadline in the past, or something else, ends with code 2 and a sentence."""
    assert run(monkeypatch, "validate", "gpu.yaml", *words) == 2
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(("deadline", "misses"), [("50s", 2), ("1m30s", 1), ("in an hour", 0)])
def test_a_deadline_on_the_command_line_goes_before_that_of_the_file(
    deadline: str, misses: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be a duration or an instant."""
    if misses == 0:
        deadline = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    words = ("validate", "gpu.yaml", "--capacity", "gpu_count=1", "--deadline", deadline, "--json")
    assert run(monkeypatch, *words) == 0
    assert json.loads(capsys.readouterr().out)["deadlines"]["misses"] == misses
