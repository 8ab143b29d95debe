"""What containers are started with: each command line, and each variable, is one that Talka understands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import typer
import yaml
from tests.deploy.chart import CHOICES, ROOT, pods

from talka_services.cli.alerts import SECRET
from talka_services.cli.keys import VARIABLE
from talka_services.cli.main import app
from talka_services.cli.serving import TOKEN
from talka_services.service.secrets import DIRECTORY

READ = {SECRET, VARIABLE, TOKEN, DIRECTORY}
"""What is read from the environment alone, without an option of the same meaning."""


def parsed(words: Sequence[str]) -> Any:
    """Return the command that a command line means, with what it is told, as the real parser reads it."""
    found: Any = typer.main.get_command(app)
    name, rest = "talka", list(words)
    while hasattr(found, "commands"):
        name = rest.pop(0)
        found = found.commands[name]
    return found.make_context(name, rest)


def unknown(context: Any, variables: Mapping[str, Any]) -> set[str]:
    """Return which of a container's variables the command would not look at."""
    known = {parameter.envvar for parameter in context.command.params if parameter.envvar}
    return {name for name in variables if name.startswith("TALKA_")} - known - READ


def _composed() -> Iterator[tuple[str, list[str], dict[str, str]]]:
    for file in ("compose.yaml", "compose.secure.yaml"):
        services = yaml.safe_load((ROOT / "deploy" / file).read_text(encoding="utf-8"))["services"]
        for name, service in services.items():
            if service.get("command", ["--"])[0] == "service":
                yield f"{file}: {name}", service["command"], service.get("environment", {})


def test_what_compose_starts_is_understood() -> None:
    """Every service is started by its own name, and told what the parser knows."""
    told = list(_composed())
    started: set[str] = set()
    for place, words, variables in told:
        context = parsed(words)
        assert unknown(context, variables) == set(), place
        assert context.command.name == words[1]
        started.add(words[1])
    assert started == {"planner", "scheduler", "resource", "worker", "gateway", "projector"}


@pytest.mark.slow
@pytest.mark.containers
@pytest.mark.parametrize("choice", CHOICES)
def test_what_the_chart_starts_is_understood(choice: str) -> None:
    """And it means what the values say: the pool of a worker, where the archive is."""
    contexts: dict[str, Any] = {}
    for name, template in pods(choice):
        (container,) = template["spec"]["containers"]
        if container["name"] == "nats":
            continue
        context = contexts[name.removeprefix("demo-talka-")] = parsed(container["args"])
        assert unknown(context, {each["name"]: each for each in container["env"]}) == set(), name
    assert contexts["worker-default"].params["pool"] == "default"
    assert contexts["worker-default"].params["capacity"] == ["cpu_cores=1", "memory_mb=512"]
    assert contexts["gateway"].params["host"] == "0.0.0.0"
    if choice == "everything":
        assert contexts["worker-gpu"].params["pool"] == "gpu"
        assert contexts["worker-default"].params["allow_command"] == ["sh", "git"]
        assert contexts["worker-default-scaling"].command.name == "scale"
        assert contexts["archiver"].params["to"] == "s3://bucket/prefix"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["service", "gateway", "--hots", "0.0.0.0"], "No such option.*--hots"),
        (["service", "worker", "--drain", "soon"], "valid number"),
        (["service", "planner", "--pool", "default"], "No such option.*--pool"),
    ],
)
def test_the_check_finds_what_is_wrong(words: list[str], why: str) -> None:
    """An option that is misspelt or another service's, and one that takes something else."""
    with pytest.raises(Exception, match=why):
        parsed(words)
