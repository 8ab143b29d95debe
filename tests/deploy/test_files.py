"""What the chart's containers are given as files and variables: each its own, and all of it is there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.deploy.chart import BROUGHT, CHOICES, of_kind, pods

from talka_core.deployment import Account, Member, configuration
from talka_protocols.permissions import Service, User
from talka_services.embedded.server import server_binary
from talka_services.jetstream.access import new_seed, public_key

ALL = {"planner", "scheduler", "resource", "worker", "gateway", "projector", "archiver", "client"}

pytestmark = [pytest.mark.slow, pytest.mark.containers]


def _keys(choice: str) -> dict[tuple[str, str], set[str]]:
    """Return the keys of each Secret and ConfigMap: those that the chart makes, and those it is told of."""
    found: dict[tuple[str, str], set[str]] = {("Secret", name): keys for name, keys in BROUGHT.items()}
    for kind in ("Secret", "ConfigMap"):
        for each in of_kind(choice, kind):
            keys = each.get("data", {}).keys() | each.get("stringData", {}).keys()
            assert (kind, each["metadata"]["name"]) not in found
            found[kind, each["metadata"]["name"]] = set(keys)
    return found


def _sources(volume: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Yield the kind, the name and the keys of what is in a volume."""
    for source in volume.get("projected", {}).get("sources", [volume]):
        for kind, field in (("Secret", "secret"), ("ConfigMap", "configMap")):
            if field in source:
                part = source[field]
                name = part.get("name") or part.get("secretName")
                yield kind, name, {item["key"] for item in part.get("items", ())}


def _wanted(pod: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Yield what a pod refers to, as variables and as files."""
    (container,) = pod["containers"]
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            yield "Secret", reference["name"], {reference["key"]}
    for source in container.get("envFrom", ()):
        yield "Secret", source["secretRef"]["name"], set()
    for volume in pod.get("volumes", ()):
        yield from _sources(volume)


@pytest.mark.parametrize("choice", CHOICES)
def test_what_a_pod_refers_to_is_there(choice: str) -> None:
    """Every Secret, every ConfigMap and every key of theirs; otherwise a pod would wait for it for ever."""
    known = _keys(choice)
    for name, template in pods(choice):
        pod = template["spec"]
        for kind, owner, keys in _wanted(pod):
            assert (kind, owner) in known, name
            assert keys <= known[kind, owner], (name, owner)
        mounted = {mount["name"] for mount in pod["containers"][0].get("volumeMounts", ())}
        claims = {"data"} if name.endswith("-nats") else set[str]()
        assert mounted == {volume["name"] for volume in pod.get("volumes", ())} | claims, name


@pytest.mark.parametrize("choice", CHOICES)
def test_a_variable_that_names_a_file_names_one_that_is_mounted(choice: str) -> None:
    """The key, the authority, what the store is sealed with, and the access file."""
    for name, template in pods(choice):
        pod = template["spec"]
        (container,) = pod["containers"]
        at = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", ())}
        files = {
            f"{at[volume['name']]}/{item['path']}"
            for volume in pod.get("volumes", ())
            for source in volume.get("projected", {}).get("sources", [volume])
            for item in source.get("secret", {}).get("items", ())
        }
        named = [each.get("value", "") for each in container["env"]] + container["args"]
        for word in named:
            if word.startswith("/etc/") and name.removeprefix("demo-talka-") != "nats":
                assert word in files | set(at.values()), (name, word)


@pytest.mark.parametrize("choice", ["keys for a server of one's own", "security on"])
def test_every_pod_is_given_its_own_key_and_no_other(choice: str) -> None:
    """By the name that `talka deploy nats-keys` gives it, and the server's authority."""
    given: list[str] = []
    for name, template in pods(choice):
        if name.endswith("-nats"):
            continue
        pod = template["spec"]
        (volume,) = [each for each in pod["volumes"] if each["name"] == "nats"]
        keys = [key for _, _, found in _sources(volume) for key in found]
        (key,) = [each for each in keys if each.endswith(".nk")]
        assert set(keys) - {key} <= {"authority.pem", "ca.crt"}, name
        assert len(keys) == 2
        given.append(key.removesuffix(".nk"))
        environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        assert environment["TALKA_NATS_NKEY"] == "/etc/talka-nats/user.nk", name
        assert environment["TALKA_NATS_CA"] == "/etc/talka-nats/ca.pem", name
        assert ("TALKA_KEYS" in environment) == (choice == "security on"), name
    assert sorted(given) == sorted(ALL)


@pytest.mark.parametrize("choice", ["as it is", "everything", "security on"])
def test_a_server_takes_its_configuration(choice: str, tmp_path: Path) -> None:
    """With the certificate and the users that are mounted beside it, without a word of complaint."""
    (given,) = [
        each for each in of_kind(choice, "ConfigMap") if each["metadata"]["name"] == "demo-talka-nats"
    ]
    text = given["data"]["nats.conf"].replace("/etc/talka/", f"{tmp_path}/").replace("/data", str(tmp_path))
    certificate = trustme.CA()
    certificate.cert_pem.write_to_path(tmp_path / "ca.crt")
    issued = certificate.issue_cert("demo-talka-nats", "*.demo-talka-nats-servers")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    seed = tmp_path / "admin.nk"
    seed.write_bytes(new_seed())
    users = [Account("default", (Member(User(Service.ADMIN), public_key(seed)),))]
    (tmp_path / "users.conf").write_text(configuration(users, is_divided=True), encoding="utf-8")
    (tmp_path / "nats.conf").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [server_binary(), "-t", "-c", str(tmp_path / "nats.conf")],
        env={**os.environ, "POD_NAME": "demo-talka-nats-0", "TALKA_NATS_PASSWORD": "secret"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower()
    assert ("authorization {" in text) == (choice != "security on")
    (secret,) = [each for each in of_kind(choice, "Secret") if each["metadata"]["name"] == "demo-talka-nats"]
    shown = secret["stringData"]["password"]
    expected = {
        "security on": "tls://demo-talka-nats:4222",
    }.get(choice, f"nats://talka:{shown}@demo-talka-nats:4222")
    assert secret["stringData"]["url"] == expected
