"""The Helm chart: every choice renders into what those who read it know, and nonsense is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from tests.deploy.chart import CHART, CHOICES, OTHERS, ROOT, documents, helm, of_kind, pods, rendered, tool

SERVICES = {"planner", "scheduler", "resource", "gateway", "worker-default"}
NONSENSE = {
    "nats.replicas=2": "replicas",
    "workers.default.replicas=-1": "replicas",
    "workers.default.capactiy.cpu_cores=1": "capactiy",
    "gateway.service.port=70000": "port",
    "gateway.otlp=collector:4318": "otlp",
    "planner.resources.limits.memory=lots": "memory",
    "archiver.retain=soon": "retain",
    "keys.exisitngSecret=keys": "exisitngSecret",
    "projector.enabled=true": "database.existingSecret",
    "archiver.enabled=true": "archive.to",
    "nats.caKey=ca.pem": "nats.keysSecret",
    "nats.existingSecret=server,nats.tlsSecret=certificate": "nats.tlsSecret",
    "gateway.access.existingSecret=access,podMonitor.enabled=true": "podMonitor.tokenSecret.name",
}

pytestmark = [pytest.mark.slow, pytest.mark.containers]


def _succeeds(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_helm_finds_no_fault() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_rendered_is_valid(choice: str, tmp_path: Path) -> None:
    """Strictly, field by field; only kinds that others define are left out here."""
    given = documents(choice)
    checked = [document for document in given if document["kind"] not in OTHERS]
    (tmp_path / "checked.yaml").write_text(yaml.safe_dump_all(checked), encoding="utf-8")
    output = _succeeds(tool("kubernetes-validate"), "--strict", str(tmp_path / "checked.yaml"))
    assert output.count("passed for resource") == len(checked), output
    names = [(document["kind"], document["metadata"]["name"]) for document in given]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_pod_is_kept_from_what_it_does_not_need(choice: str) -> None:
    """No root, no capability, a read-only file system, no token of the cluster, and bounds on its memory."""
    found = dict(pods(choice))
    assert len(found) >= 5
    for name, template in found.items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


@pytest.mark.parametrize(
    ("choice", "also"),
    [("as it is", set[str]()), ("everything", {"worker-gpu", "projector", "archiver"})],
)
def test_every_service_has_probes_and_a_budget(choice: str, also: set[str]) -> None:
    """Each Deployment is asked whether it lives and is ready, and is not taken away as a whole."""
    budgets = [each["spec"]["selector"] for each in of_kind(choice, "PodDisruptionBudget")]
    deployments = of_kind(choice, "Deployment")
    names = {each["metadata"]["name"].removeprefix("demo-talka-") for each in deployments}
    assert names == SERVICES | also
    for each in deployments:
        (container,) = each["spec"]["template"]["spec"]["containers"]
        paths = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe")}
        assert paths == {"/healthz"}
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert each["spec"]["selector"] in budgets


def test_every_pod_that_needs_an_image_from_elsewhere_may_fetch_it() -> None:
    """Those that a Job makes as well as those of the services; the server's image is a public one."""
    for name, template in pods("everything"):
        if not name.endswith("-nats"):
            assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}], name


@pytest.mark.parametrize("choice", ["everything", "security on"])
def test_those_who_define_the_other_kinds_know_what_is_rendered(choice: str, tmp_path: Path) -> None:
    """Field by field, too: what KEDA and the operator of Prometheus are told."""
    (tmp_path / "rendered.yaml").write_text(rendered(choice), encoding="utf-8")
    models = Path(tool("kubernetes-validate")).with_name("python")
    said = _succeeds(str(models), str(Path(__file__).with_name("custom.py")), str(tmp_path / "rendered.yaml"))
    assert "2 checked" in said


def test_keda_follows_what_the_pool_decides() -> None:
    """By a figure of the gateway; nobody else counts the replicas, and the pool is told its policy."""
    (scaled,) = of_kind("everything", "ScaledObject")
    target = scaled["spec"]["scaleTargetRef"]["name"]
    (deployment,) = [
        each for each in of_kind("everything", "Deployment") if each["metadata"]["name"] == target
    ]
    assert "replicas" not in deployment["spec"]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    source = ROOT / "services" / "talka_services" / "gateway" / "scaling_gauges.py"
    assert "talka_pool_desired_workers" in query
    assert '"desired_workers"' in source.read_text(encoding="utf-8")
    (job,) = of_kind("everything", "Job")
    words = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert words[:3] == ["pool", "scale", "default"]


@pytest.mark.parametrize(
    ("choice", "secret"),
    [
        ("everything", {"name": "demo-talka-gateway", "key": "token"}),
        ("security on", {"name": "viewer", "key": "token"}),
    ],
)
def test_prometheus_has_a_token_to_show(choice: str, secret: dict[str, str]) -> None:
    """The gateway tells nobody its figures who has none; its pods are found, at a port that they have."""
    (monitor,) = of_kind(choice, "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["authorization"]["credentials"] == secret
    (gateway,) = [each for name, each in pods(choice) if name == "demo-talka-gateway"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= gateway["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in gateway["spec"]["containers"][0]["ports"]}


@pytest.mark.parametrize(("values", "named"), NONSENSE.items())
def test_nonsense_is_refused_by_name(values: str, named: str) -> None:
    """Before anything is installed, and the message says where it is."""
    assert named in helm("template", "demo", str(CHART), "--set", values, code=1)


def test_the_image_is_written_as_it_should_be() -> None:
    """Hadolint finds nothing in the Dockerfile."""
    assert _succeeds(tool("hadolint"), str(ROOT / "deploy" / "Dockerfile")) == ""
