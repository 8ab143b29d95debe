"""Goal: a program saves its progress by writing a file, and its next attempt finds the file as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from talka_protocols.errors import TaskFailedError
from talka_protocols.messages import Mark
from talka_protocols.ports import Attempt
from talka_protocols.workflow import ClaimCheck, Task
from talka_services.executors import checkpoint_file
from talka_services.executors.command import CommandExecutor


class Kept:
    """Progress that is kept in memory."""

    def __init__(self) -> None:
        self.checkpoint = Raw(b"null")
        self.steps: dict[str, Raw] = {}
        self.artifacts: dict[str, ClaimCheck | None] = {}
        self.beats = 0
        self.saves: list[bytes] = []

    async def save(self, mark: Mark, name: str, data: Raw) -> Raw:
        """Keep it."""
        assert (mark, name) == (Mark.CHECKPOINT, "")
        self.checkpoint = data.copy()
        self.saves.append(bytes(data))
        return data

    async def settled(self) -> None:
        """Return at once."""

    def beat(self) -> None:
        """Count it."""
        self.beats += 1


def attempt(kept: Kept, shell: str) -> Attempt:
    """Return an attempt that runs a line of shell."""
    return Attempt("e", Task("t", "command", payload={"shell": shell}), 1, 7, "w", kept)


async def test_next_attempt_finds_the_file(command: CommandExecutor) -> None:
    """What a failed attempt wrote is the next one's file, byte for byte."""
    kept = Kept()
    with pytest.raises(TaskFailedError):
        await command.execute(
            attempt(kept, 'test -e "$TALKA_CHECKPOINT" || printf "page 3\\n" > "$TALKA_CHECKPOINT"; exit 1')
        )
    result = await command.execute(attempt(kept, 'cat "$TALKA_CHECKPOINT"; rm "$TALKA_CHECKPOINT"'))
    assert result["stdout"] == "page 3\n"
    assert kept.saves == [b'"page 3\\n"']


async def test_whatever_a_program_prints_shows_that_it_is_alive(command: CommandExecutor) -> None:
    """Output and errors count alike, and a program that prints nothing shows nothing."""
    talking, silent = Kept(), Kept()
    await command.execute(attempt(talking, "echo one; sleep 0.2; echo two >&2"))
    await command.execute(attempt(silent, "true"))
    assert talking.beats >= 2
    assert silent.beats == 0


async def test_bytes_that_are_no_text_survive(command: CommandExecutor, tmp_path: Path) -> None:
    """A binary checkpoint comes back as it was."""
    kept = Kept()
    await command.execute(attempt(kept, "printf '\\377\\000x' > \"$TALKA_CHECKPOINT\""))
    await command.execute(attempt(kept, f'cp "$TALKA_CHECKPOINT" {tmp_path / "copy"}'))
    assert (tmp_path / "copy").read_bytes() == b"\xff\x00x"


async def test_it_is_saved_while_the_program_runs(
    command: CommandExecutor, eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long program's file is recorded before it ends, and what it writes when it is stopped is, too."""
    monkeypatch.setattr(checkpoint_file, "LOOK_S", 0.02)
    kept = Kept()
    shell = """trap 'printf last > "$TALKA_CHECKPOINT"; exit 1' TERM
printf first > "$TALKA_CHECKPOINT"; while :; do sleep 0.05; done"""
    running = asyncio.create_task(command.execute(attempt(kept, shell)))
    await eventually(lambda: kept.saves == [b'"first"'])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert kept.saves == [b'"first"', b'"last"']


async def test_its_directory_is_removed(command: CommandExecutor) -> None:
    """Nothing is left behind where temporary files are."""
    result = await command.execute(attempt(Kept(), 'printf %s "$TALKA_CHECKPOINT"'))
    assert result["stdout"]
    assert not Path(result["stdout"]).parent.exists()
