"""``talka doctor`` from the command line: what it prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli.shell import Shell


@pytest.fixture(scope="module", autouse=True)
def _begun(shell: Shell) -> None:
    """The default data directory holds an execution."""
    shell.run("run", "undoable.yaml")


def test_a_directory_that_is_well(shell: Shell) -> None:
    """All is well, said by name, and that its server syncs is known; people read the same."""
    found = shell.json("doctor")
    assert found["well"] is True
    assert {finding["level"] for finding in found["findings"]} == {"ok"}
    assert {"sync", "disk"} <= {finding["check"] for finding in found["findings"]}
    shown = shell.run("doctor")
    assert "talka_default_log" in shown
    assert "It syncs each commit" in shown


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        pytest.param(("--server", "nats://127.0.0.1:1"), 3, "server_unavailable", marks=pytest.mark.slow),
        (("--data-dir", "nowhere"), 2, "data_directory"),
        (("--monitor", "here"), 2, "usage"),
        (("--monitor", "http://127.0.0.1:1,here"), 2, "usage"),
        (("--monitor", "http://127.0.0.1:1"), 1, "platform"),
    ],
)
def test_what_cannot_be_checked_is_an_error(
    shell: Shell, words: tuple[str, ...], code: int, error: str
) -> None:
    """With the exit codes of every command, and nothing is made."""
    assert shell.json("doctor", *words, code=code)["error"]["code"] == error
    assert not Path(shell.directory, "nowhere").exists()
