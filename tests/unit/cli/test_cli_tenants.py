"""Goal: quotas, weights and tenants are one line each; what makes no sense is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka_protocols.errors import CallerError, WorkflowInvalidError
from talka_services.cli.loading import Request, load_workflow
from talka_services.cli.outcome import UsageError
from talka_services.cli.pairs import parse_quotas, parse_weights
from talka_services.service.configuration import PoolConfiguration

FILE = """
talka: 1
name: shared
tenant: team-a
limits: {cpu_cores: 4, licence: 1}
tasks:
  - id: one
    agent_type: sleep
    payload: {seconds: 0}
    resources: {cpu_cores: 2, custom_resources: {licence: 1}}
"""


def test_quotas_are_by_tenant_and_resource() -> None:
    """One tenant may have several; a name may hold a dash."""
    pairs = ["team-a:cpu_cores=8", "b:gpu_count=1", "team-a:slots=4"]
    assert parse_quotas(pairs) == {"b": {"gpu_count": 1.0}, "team-a": {"cpu_cores": 8.0, "slots": 4.0}}
    assert parse_weights(["a=2", "b=0.5"]) == {"a": 2.0, "b": 0.5}


@pytest.mark.parametrize("pairs", [["cpu_cores=8"], [":cpu_cores=8"], ["a:cpu_cores"], ["a:cpu_cores=-1"]])
def test_malformed_quotas_are_refused(pairs: list[str]) -> None:
    """The message shows how it is written."""
    with pytest.raises(UsageError, match="NAME=AMOUNT"):
        parse_quotas(pairs)


@pytest.mark.parametrize("pairs", [["a"], ["a=0"], ["a=nan"], ["a=1", "a=2"]])
def test_malformed_weights_are_refused(pairs: list[str]) -> None:
    """A weight is a number above 0, given once."""
    with pytest.raises(UsageError, match="--weight"):
        parse_weights(pairs)


@pytest.mark.parametrize(
    "settings", [{"quotas": {"a": {"cpu_cores": float("inf")}}}, {"weights": {"a": 0.0}}]
)
def test_senseless_settings_are_refused(settings: dict[str, dict[str, float]]) -> None:
    """What Python callers give is checked too."""
    with pytest.raises(CallerError):
        PoolConfiguration(**settings)  # type: ignore[arg-type]


def test_file_names_tenant_and_limits_and_a_flag_another_tenant(tmp_path: Path) -> None:
    """The flag has the last word."""
    path = tmp_path / "shared.yaml"
    path.write_text(FILE)
    config = load_workflow(Request(str(path))).workflow.config
    assert (config.tenant, config.limits) == ("team-a", {"cpu_cores": 4.0, "licence": 1.0})
    assert load_workflow(Request(str(path), tenant="b")).workflow.config.tenant == "b"
    with pytest.raises(WorkflowInvalidError, match="tenant"):
        load_workflow(Request(str(path), tenant="two words"))


@pytest.mark.parametrize(
    ("limits", "code", "said"),
    [
        ("{cpu_cores: 1}", "over_limit", "asks for 2 of cpu_cores, and the limit of its workflow is 1"),
        ("{cpu_core: 4}", "unknown_resource", "'cpu_core', which no task asks for"),
        ("{cpu_cores: -1}", "bad_number", "-1"),
        ("{cpu_cores: .inf}", "bad_number", "inf"),
        ("{slots: 0.5}", "over_limit", "slots"),
        ("[cpu_cores]", "wrong_type", "keys with values"),
    ],
)
def test_limits_that_let_nothing_run_are_refused(tmp_path: Path, limits: str, code: str, said: str) -> None:
    """The message names the task, the resource and the line."""
    path = tmp_path / "shared.yaml"
    path.write_text(FILE.replace("{cpu_cores: 4, licence: 1}", limits))
    with pytest.raises(WorkflowInvalidError, match=said) as refused:
        load_workflow(Request(str(path)))
    assert refused.value.code == code
    assert refused.value.line
