"""Where the gateway may listen and what a token is: refused before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talka_services.cli import main
from talka_services.cli.outcome import UsageError
from talka_services.cli.serving import gateway_options
from talka_services.gateway.server import PORT

TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALKA_TOKEN", raising=False)


def test_by_default_only_this_machine_reaches_it() -> None:
    options = gateway_options("127.0.0.1", None, None, (), is_insecure=False)
    assert (options.host, options.port, options.token) == ("127.0.0.1", PORT, "")
    assert gateway_options("::1", 9, None, (), is_insecure=False).port == 9


@pytest.mark.parametrize("command", [("up",), ("service", "gateway")])
def test_others_reach_it_only_with_a_token_or_on_purpose(
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, one message, and no data directory."""
    flag = "--http-host" if command == ("up",) else "--host"
    data_dir = tmp_path / "data"
    monkeypatch.setattr(
        "sys.argv", ["talka", *command, flag, "0.0.0.0", "--json", "--data-dir", str(data_dir)]
    )
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 2
    assert "--token-file" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert not data_dir.exists()
    assert gateway_options("0.0.0.0", None, None, (), is_insecure=True).host == "0.0.0.0"


def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("TALKA_TOKEN", f"{TOKEN}-of-the-environment")
    assert gateway_options("0.0.0.0", 1, file, ["work.test"], is_insecure=False).token == TOKEN
    assert gateway_options("0.0.0.0", 1, None, (), is_insecure=False).token == f"{TOKEN}-of-the-environment"


@pytest.mark.parametrize("text", ["", "short", "with spaces in the middle", "ä" * 20])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(UsageError, match="no token"):
        gateway_options("0.0.0.0", 1, file, (), is_insecure=False)
    with pytest.raises(UsageError, match="cannot be read"):
        gateway_options("0.0.0.0", 1, tmp_path / "nothing", (), is_insecure=False)


@pytest.mark.parametrize("option", ["--webhook", "--otlp"])
def test_what_the_gateway_does_is_not_asked_of_a_platform_without_one(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that did nothing would let somebody wait for alerts and traces that never come."""
    data_dir = tmp_path / "data"
    words = [
        "talka",
        "up",
        "--no-http",
        option,
        "http://127.0.0.1:4318",
        "--json",
        "--data-dir",
        str(data_dir),
    ]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 2
    assert option in json.loads(capsys.readouterr().out)["error"]["message"]
    assert not data_dir.exists()
