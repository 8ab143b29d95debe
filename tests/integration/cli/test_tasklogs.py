"""What tasks print, read back from a real platform, and followed while they run."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.cli.shell import Shell

MODULE = """
import asyncio, logging, sys

def plain(context):
    print("from a thread")
    print("as an error", file=sys.stderr)
    logging.warning("by logging")
    context.log("a fact", n=3)
    print("no end of line", end="")

async def quick(word):
    for i in range(3):
        print(word, i)
        await asyncio.sleep(0.001)

async def here(context):
    context.log("from the loop")
"""

PRINTING = """
talka: 1
name: printing
tasks:
  - {id: plain, agent_type: python, payload: {call: "printing_tasks:plain"}}
  - {id: one, agent_type: python, payload: {call: "printing_tasks:quick", arguments: {word: one}}}
  - {id: two, agent_type: python, payload: {call: "printing_tasks:quick", arguments: {word: two}}}
  - id: alone
    agent_type: python
    type: compute
    payload: {call: "printing_tasks:quick", arguments: {word: alone}}
  - {id: here, agent_type: python, payload: {call: "printing_tasks:here", isolation: none}}
  - {id: program, agent_type: command, payload: {shell: "echo out; echo err >&2"}}
"""

SPEAKING = """
talka: 1
name: speaking
tasks:
  - id: speak
    agent_type: command
    payload: {shell: "echo begun; while ! test -e go; do sleep 0.05; done; echo done"}
"""


def test_every_task_has_its_own_text(shell: Shell) -> None:
    """Tasks that share a process are told apart, and their channels too."""
    (shell.directory / "printing_tasks.py").write_text(MODULE)
    (shell.directory / "printing.yaml").write_text(PRINTING)
    execution_id = shell.json("run", "printing.yaml", "--data-dir", "printing")["execution_id"]
    here = (execution_id, "--data-dir", "printing")
    lines = shell.lines("logs", *here)
    assert {line["attempt"] for line in lines} == {1}

    def of(task_id: str, channel: str = "stdout") -> list[str]:
        return [line["line"] for line in lines if (line["task_id"], line["channel"]) == (task_id, channel)]

    assert of("plain") == ["from a thread", "no end of line"]
    assert of("plain", "stderr") == ["as an error", "WARNING:root:by logging"]
    assert [json.loads(line) for line in of("plain", "log")] == [{"message": "a fact", "n": 3}]
    assert [json.loads(line) for line in of("here", "log")] == [{"message": "from the loop"}]
    for word in ("one", "two", "alone"):
        assert of(word) == [f"{word} {i}" for i in range(3)]
    assert (of("program"), of("program", "stderr")) == (["out"], ["err"])
    assert shell.run("logs", *here[:1], "program", *here[1:]).splitlines() in (["out", "err"], ["err", "out"])
    assert shell.run("logs", *here[:1], "two", *here[1:], "--tail", "1") == "two 2\n"
    assert "two | two 1\n" in shell.run("logs", *here)
    assert "no channel" in shell.json("logs", *here, "--channel", "nowhere", code=2)["error"]["message"]
    assert shell.json("logs", "nobody", *here[1:], code=2)["error"]["code"] == "unknown_execution"


def test_a_running_task_is_followed(shell: Shell, platform: dict[str, Any]) -> None:
    """What it prints comes while it runs, and following ends with the execution."""
    assert platform["ready"]
    (shell.directory / "speaking.yaml").write_text(SPEAKING)
    execution_id = shell.json("submit", "speaking.yaml", "--data-dir", "up")["execution_id"]
    following = shell.start("logs", execution_id, "speak", "--follow", "--data-dir", "up")
    assert following.stdout is not None
    try:
        assert following.stdout.readline() == b"begun\n"
        (shell.directory / "go").touch()
        assert following.stdout.read() == b"done\n"
        assert following.wait(timeout=60) == 0
    except BaseException:
        following.kill()
        raise
    finally:
        following.communicate(timeout=60)
