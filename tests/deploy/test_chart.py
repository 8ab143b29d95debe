"""The Helm chart: every choice renders into what Kubernetes and KEDA know, and nonsense is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from talka_protocols.permissions import Service

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "talka"
FILE = "rendered.yaml"
ELSEWHERE = {"ScaledObject"}
"""Kinds that Kubernetes itself does not know."""
CHOICES: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "everything": (
        "nats.replicas=3",
        "nats.storageClass=fast",
        "projector.enabled=true",
        "projector.databaseSecret.name=database",
        "workers.default.scaling.enabled=true",
        "workers.default.allowCommands={sh,git}",
        "workers.gpu.replicas=1",
        "gateway.service.type=LoadBalancer",
        "image.pullSecrets[0].name=registry",
        "networkPolicy.gatewayFrom[0].namespaceSelector.matchLabels.name=web",
    ),
    "servers of one's own": (
        "nats.existingSecret=server",
        "gateway.existingSecret=token",
        "networkPolicy.enabled=false",
    ),
    "keys of one's own": (
        "nats.existingSecret=server",
        "nats.keysSecret=keys",
        "nats.caKey=ca.pem",
        "projector.enabled=true",
        "projector.databaseSecret.name=database",
        "workers.default.scaling.enabled=true",
    ),
}
NONSENSE = {
    "nats.replicas=2": "replicas",
    "workers.default.replicas=-1": "replicas",
    "workers.default.capactiy.cpu_cores=1": "capactiy",
    "gateway.service.port=70000": "port",
    "planner.resources.limits.memory=lots": "memory",
    "projector.enabled=true": "databaseSecret",
}

pytestmark = [pytest.mark.slow, pytest.mark.containers]


def _tool(name: str) -> str:
    """Return a program's path; where CI is set it must be there."""
    found = shutil.which(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed here")
    assert found is not None
    return found


def _succeeds(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _helm(*words: str, code: int = 0) -> str:
    done = subprocess.run([_tool("helm"), *words], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == (code != 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def _rendered(choice: str, tmp_path: Path) -> list[dict[str, Any]]:
    values = [word for each in CHOICES[choice] for word in ("--set", each)]
    if choice == "everything":
        # A group of its own takes what it does not say from the first.
        first = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["workers"]["default"]
        (tmp_path / "values.yaml").write_text(yaml.safe_dump({"workers": {"gpu": {**first, "pool": "gpu"}}}))
        values = ["--values", str(tmp_path / "values.yaml"), *values]
    text = _helm("template", "demo", str(CHART), *values)
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document]


def _pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents:
        if document["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def test_helm_finds_no_fault() -> None:
    assert "0 chart(s) failed" in _helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_rendered_is_valid(choice: str, tmp_path: Path) -> None:
    """Strictly, field by field; only kinds that others define are left out here."""
    documents = _rendered(choice, tmp_path)
    checked = [document for document in documents if document["kind"] not in ELSEWHERE]
    (tmp_path / "checked.yaml").write_text(yaml.safe_dump_all(checked), encoding="utf-8")
    output = _succeeds(_tool("kubernetes-validate"), "--strict", str(tmp_path / "checked.yaml"))
    assert output.count("passed for resource") == len(checked), output
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_pod_is_kept_from_what_it_does_not_need(choice: str, tmp_path: Path) -> None:
    """No root, no capability, a read-only file system, no token of the cluster, and bounds on its memory."""
    pods = dict(_pods(_rendered(choice, tmp_path)))
    assert len(pods) >= 5
    for name, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_every_pod_is_given_its_own_key_and_no_other(tmp_path: Path) -> None:
    """By the name that `talka deploy nats-keys` gives it, and the server's authority."""
    users = {service.value for service in Service}
    given: set[str] = set()
    for name, pod in _pods(_rendered("keys of one's own", tmp_path)):
        (items,) = [each["secret"]["items"] for each in pod["volumes"] if each["name"] == "nats-key"]
        key, authority = items
        assert authority == {"key": "ca.pem", "path": "ca.pem"}, name
        assert key["key"].removesuffix(".nk") in users, name
        given.add(key["key"])
        environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        mounts = [each["mountPath"] for each in pod["containers"][0]["volumeMounts"]]
        assert environment["TALKA_NATS_NKEY"] == f"{mounts[-1]}/user.nk", name
        assert environment["TALKA_NATS_CA"] == f"{mounts[-1]}/ca.pem", name
    expected = ("planner", "scheduler", "resource", "worker", "gateway", "projector", "client")
    assert given == {f"{user}.nk" for user in expected}


def test_every_service_has_probes_and_a_budget(tmp_path: Path) -> None:
    """Each Deployment is asked whether it lives and is ready, and is not taken away as a whole."""
    documents = _rendered("as it is", tmp_path)
    budgets = [each["spec"]["selector"] for each in documents if each["kind"] == "PodDisruptionBudget"]
    deployments = [each for each in documents if each["kind"] == "Deployment"]
    assert {each["metadata"]["name"].removeprefix("demo-talka-") for each in deployments} == {
        "planner",
        "scheduler",
        "resource",
        "gateway",
        "worker-default",
    }
    for each in deployments:
        (container,) = each["spec"]["template"]["spec"]["containers"]
        paths = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe")}
        assert paths == {"/healthz"}
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert each["spec"]["selector"] in budgets


def test_keda_knows_the_scaled_object(tmp_path: Path) -> None:
    """Field by field, too; it follows a figure of the gateway, and nobody else counts the replicas."""
    documents = _rendered("everything", tmp_path)
    (scaled,) = [document for document in documents if document["kind"] == "ScaledObject"]
    models = Path(_tool("kubernetes-validate")).with_name("python")
    assert "1 checked" in _succeeds(
        str(models), str(Path(__file__).with_name("keda.py")), str(tmp_path / FILE)
    )
    target = scaled["spec"]["scaleTargetRef"]["name"]
    (deployment,) = [
        each for each in documents if each["kind"] == "Deployment" and each["metadata"]["name"] == target
    ]
    assert "replicas" not in deployment["spec"]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    source = ROOT / "services" / "talka_services" / "gateway" / "scaling_gauges.py"
    assert "talka_pool_desired_workers" in query
    assert '"desired_workers"' in source.read_text(encoding="utf-8")
    (job,) = [document for document in documents if document["kind"] == "Job"]
    words = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert words[:3] == ["pool", "scale", "default"]


@pytest.mark.parametrize(("value", "named"), NONSENSE.items())
def test_nonsense_is_refused_by_name(value: str, named: str) -> None:
    """Before anything is installed, and the message says where it is."""
    assert named in _helm("template", "demo", str(CHART), "--set", value, code=1)


def test_the_image_is_written_as_it_should_be() -> None:
    """Hadolint finds nothing in the Dockerfile."""
    assert _succeeds(_tool("hadolint"), str(ROOT / "deploy" / "Dockerfile")) == ""
