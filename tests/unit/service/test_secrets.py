"""Where a worker finds its secrets, and that no attempt leaves one behind."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_protocols.errors import TaskFailedError, UnknownSecretError
from talka_protocols.messages import AttemptEnded, Mark, Message, Outcome, StartTask
from talka_protocols.ports import Attempt
from talka_protocols.tasklogs import Channel
from talka_protocols.workflow import Task
from talka_services.executors.registry import Executors, ExecutorSettings
from talka_services.memory.blobs import MemoryBlobs
from talka_services.runner.ports import SystemClock
from talka_services.service.launcher import Launcher
from talka_services.service.logbooks import Logbooks
from talka_services.service.secrets import Secrets

VALUE = 'hunter2-"x"'


def test_a_variable_comes_before_a_file(tmp_path: Path) -> None:
    """Files lose their last line end and no more; what changes is seen at once."""
    (tmp_path / "A").write_text("from a file\n\n")
    environment = {"TALKA_SECRET_B": "from the environment", "TALKA_SECRETS_DIR": str(tmp_path)}
    secrets = Secrets(environment=environment)
    assert secrets.value("A") == "from a file\n"
    assert secrets.value("B") == "from the environment"
    (tmp_path / "A").write_text("another")
    assert secrets.value("A") == "another"


@pytest.mark.parametrize("name", ["missing", "../passwd", "large", "binary", ""])
def test_what_is_no_secret_is_named(tmp_path: Path, name: str) -> None:
    """The error says what is wrong and never what is in a file."""
    directory = tmp_path / "secrets"
    directory.mkdir()
    (tmp_path / "passwd").write_text("no secret")
    (directory / "large").write_bytes(b"x" * 70_000)
    (directory / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UnknownSecretError) as raised:
        Secrets(str(directory), {}).value(name)
    assert repr(name) in str(raised.value)


class Leaking:
    """An executor that leaves its secret wherever it can."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.seen: Any = None

    async def execute(self, attempt: Attempt) -> Any:
        """Print, save and return or raise the secret."""
        self.seen = attempt.task.payload["password"]
        assert attempt.logbook is not None
        assert attempt.progress is not None
        for start in range(0, len(VALUE), 3):
            attempt.logbook.write(Channel.STDOUT, VALUE[start : start + 3].encode())
        if self.way == "error":
            raise TaskFailedError(f"cannot log in with {VALUE}", kinds=(VALUE,))
        if self.way == "crash":
            raise RuntimeError(VALUE)
        content = msgspec.json.encode(base64.b64encode(f"file of {VALUE}".encode()).decode())
        await attempt.progress.save(Mark.WRITE, "file", Raw(content))
        return {"said": [f"it is {VALUE}"], VALUE: 1}

    async def close(self) -> None:
        """Have nothing to close."""


def keep(directory: Path) -> None:
    """Put the secret into a directory."""
    (directory / "PASSWORD").write_text(VALUE)


async def run(way: str, payload: dict[str, Any]) -> tuple[AttemptEnded, list[bytes], MemoryBlobs, Leaking]:
    """Run one attempt to its end, and return its report, what it printed and what it stored."""
    ended: asyncio.Future[AttemptEnded] = asyncio.get_running_loop().create_future()
    printed: list[bytes] = []

    def tell(message: Message) -> None:
        if isinstance(message, AttemptEnded):
            ended.set_result(message)

    async def publish(_execution_id: str, body: bytes) -> None:
        printed.append(body)

    executors, leaking, blobs = Executors(ExecutorSettings()), Leaking(way), MemoryBlobs()
    executors.register("leaking", leaking)
    books = Logbooks("w", SystemClock(), publish)
    with TemporaryDirectory() as directory:
        keep(Path(directory))
        launcher = Launcher("w", executors, blobs, SystemClock(), tell, books, directory)
        launcher.launch(StartTask("w", "e", 1, 1, "a", Task("t", "leaking", payload=payload)))
        message = await asyncio.wait_for(ended, 20)
    await books.close()
    await launcher.close()
    return message, printed, blobs, leaking


@pytest.mark.parametrize("way", ["result", "error", "crash"])
async def test_an_attempt_leaves_no_secret_behind(way: str) -> None:
    """Result, error with its traceback, print and artifact are recorded without it; the task has it."""
    message, printed, blobs, leaking = await run(way, {"password": "${secret.PASSWORD}"})
    assert leaking.seen == VALUE
    report = message.report
    left = msgspec.json.encode(message) + b"".join(printed)
    left += b"".join([await blobs.get(claim) for claim in report.artifacts.values() if claim is not None])
    assert b"hunter2" not in left
    assert base64.b64encode(b"file of hunter2")[:16] not in left
    assert b"***" in left
    assert b"***" in b"".join(printed)
    assert report.outcome is (Outcome.SUCCEEDED if way == "result" else Outcome.FAILED)


async def test_an_unknown_secret_fails_the_task_before_it_runs() -> None:
    """It is the task's own fault, and nothing of the task began."""
    message, printed, _, leaking = await run("result", {"password": "${secret.OTHER}"})
    assert message.report.outcome is Outcome.FAILED
    assert message.report.error is not None
    assert message.report.error.code == "unknown_secret"
    assert leaking.seen is None
    assert printed == []


async def test_what_a_value_contains_is_no_reference() -> None:
    """A value that looks like a reference to a secret stays text."""
    message, _, _, leaking = await run("result", {"password": "$${secret.PASSWORD}"})
    assert message.report.outcome is Outcome.SUCCEEDED
    assert leaking.seen == "${secret.PASSWORD}"
