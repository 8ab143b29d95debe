"""The Helm chart as it is rendered, for each way of using it that is tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from talka_protocols.permissions import Service

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "talka"
RELEASE = "demo"
OTHERS = {"ScaledObject", "PodMonitor"}
"""Kinds that Kubernetes itself does not know."""
CHOICES: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "everything": (
        "nats.replicas=3",
        "nats.storageClass=fast",
        "database.existingSecret=database",
        "projector.enabled=true",
        "archive.to=s3://bucket/prefix",
        "archive.credentialsSecret=store",
        "archiver.enabled=true",
        "gateway.otlp=http://collector.monitoring:4318",
        "gateway.webhook.url=https://hooks.example:8443/talka",
        "gateway.webhook.existingSecret=webhook",
        "gateway.service.type=LoadBalancer",
        "workers.default.scaling.enabled=true",
        "workers.default.allowCommands={sh,git}",
        "workers.default.allowModules={mypackage}",
        "workers.default.secretsSecret=secrets",
        "workers.gpu.replicas=1",
        "image.pullSecrets[0].name=registry",
        "podMonitor.enabled=true",
        "networkPolicy.gatewayFrom[0].namespaceSelector.matchLabels.name=web",
    ),
    "a server of one's own": (
        "nats.existingSecret=server",
        "nats.port=4333",
        "gateway.existingSecret=token",
        "networkPolicy.enabled=false",
    ),
    "keys for a server of one's own": (
        "nats.existingSecret=server",
        "nats.keysSecret=users",
        "nats.caKey=authority.pem",
        "database.existingSecret=database",
        "database.port=6432",
        "projector.enabled=true",
        "archive.to=s3://bucket/prefix",
        "archiver.enabled=true",
        "workers.default.scaling.enabled=true",
    ),
    "security on": (
        "nats.replicas=3",
        "nats.keysSecret=users",
        "nats.tlsSecret=certificate",
        "keys.existingSecret=keys",
        "database.existingSecret=database",
        "projector.enabled=true",
        "archive.to=s3://bucket/prefix",
        "archiver.enabled=true",
        "gateway.access.existingSecret=access",
        "gateway.issuer=https://login.example/realms/farm",
        "workers.default.scaling.enabled=true",
        "podMonitor.enabled=true",
        "podMonitor.tokenSecret.name=viewer",
    ),
}
BROUGHT = {
    "database": {"url"},
    "store": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    "webhook": {"secret"},
    "secrets": {"login"},
    "server": {"url"},
    "token": {"token"},
    "users": {"users.conf", "authority.pem", *(f"{service.value}.nk" for service in Service)},
    "certificate": {"tls.crt", "tls.key", "ca.crt"},
    "keys": {"keys.json"},
    "access": {"access.yaml"},
    "viewer": {"token"},
}
"""What somebody who installs the chart so has to have put into Secrets: the keys of each."""


def tool(name: str) -> str:
    """Return a program's path; where CI is set it must be there."""
    found = shutil.which(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed here")
    assert found is not None
    return found


def helm(*words: str, code: int = 0) -> str:
    """Run helm, which has to end as told, and return what it says."""
    done = subprocess.run([tool("helm"), *words], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == (code != 0), done.stdout + done.stderr
    return done.stdout + done.stderr


@cache
def rendered(choice: str) -> str:
    """Return all that a choice gives, as YAML."""
    words = [word for each in CHOICES[choice] for word in ("--set", each)]
    if choice == "everything":
        # A group of its own says all that a group has to say.
        group = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["workers"]["default"]
        words = ["--set-json", f"workers.gpu={json.dumps({**group, 'pool': 'gpu'})}", *words]
    return helm("template", RELEASE, str(CHART), *words)


@cache
def documents(choice: str) -> list[dict[str, Any]]:
    """Return all that a choice gives, document by document."""
    return [document for document in yaml.safe_load_all(rendered(choice)) if document]


def of_kind(choice: str, kind: str) -> list[dict[str, Any]]:
    """Return the documents of a kind."""
    return [document for document in documents(choice) if document["kind"] == kind]


def pods(choice: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each pod shall be: its metadata and specification, below the name of what makes it."""
    for document in documents(choice):
        if document["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield document["metadata"]["name"], document["spec"]["template"]
