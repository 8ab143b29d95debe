"""``--health`` names a host and a port; anything else is refused before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talka_services.cli import main
from talka_services.cli.outcome import UsageError
from talka_services.cli.probing import parse_place
from talka_services.cli.scaling import NOT_INHERITED


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:8421", ("127.0.0.1", 8421)),
        ("localhost:0", ("localhost", 0)),
        ("[::]:8421", ("::", 8421)),
    ],
)
def test_a_place_is_a_host_and_a_port(text: str, place: tuple[str, int]) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text", ["8421", ":8421", "host", "host:x", "host:99999", "a@host:1", "host:1/x", "::1"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no host and port"):
        parse_place(text)


@pytest.mark.parametrize("service", ["planner", "worker"])
def test_a_service_with_a_wrong_place_starts_nothing(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, also when the environment names it, and no data directory."""
    data_dir = tmp_path / "data"
    monkeypatch.setenv("TALKA_HEALTH", "nowhere")
    monkeypatch.setattr("sys.argv", ["talka", "service", service, "--json", "--data-dir", str(data_dir)])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 2
    assert "TALKA_HEALTH" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert not data_dir.exists()


def test_workers_that_are_started_do_not_listen_where_their_starter_was_told_to() -> None:
    """All of them would want one address, and only the first could have it."""
    assert "TALKA_HEALTH" in NOT_INHERITED
