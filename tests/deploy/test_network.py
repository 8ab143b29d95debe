"""The chart's network policies: whoever needs somebody gets through, and nobody else does."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from tests.deploy.chart import CHOICES, of_kind, pods
from tests.deploy.network import ELSEWHERE, Peer, allows, needed, selects

pytestmark = [pytest.mark.slow, pytest.mark.containers]

WITH_POLICIES = [choice for choice in CHOICES if "networkPolicy.enabled=false" not in CHOICES[choice]]
COMMON = {4222, 5432, 443, 4318, 8443, 53, 8420, 8421, 6222, 8222, 22}


def _templates(choice: str) -> dict[str, Mapping[str, Any]]:
    return {name.removeprefix("demo-talka-"): template for name, template in pods(choice)}


def _peers(choice: str) -> dict[str, Peer]:
    return {name: Peer(name, each["metadata"]["labels"]) for name, each in _templates(choice).items()}


def _wanted(choice: str) -> set[tuple[str, str, int]]:
    """Return all connections that have to work, as (who, whom, port)."""
    templates = _templates(choice)
    own = "nats" in templates
    at = next((int(each.partition("=")[2]) for each in CHOICES[choice] if each.startswith("nats.port")), 4222)
    database = 6432 if "database.port=6432" in CHOICES[choice] else 5432
    found: set[tuple[str, str, int]] = set()
    for name, template in templates.items():
        for target, port in needed(name, template):
            if target == "server":
                found.add((name, "nats" if own else "elsewhere", 4222 if own else at))
            else:
                whom = target if target == "nats" else "elsewhere"
                found.add((name, whom, database if port == 5432 else port))
    if "archiver" in templates:
        # It reads what was archived, wherever the log says that it lies.
        found.add(("gateway", "elsewhere", 443))
    return found | {("elsewhere", "gateway", 8420)}


@pytest.mark.parametrize("choice", WITH_POLICIES)
def test_whoever_needs_somebody_gets_through(choice: str) -> None:
    """To the server, to names, to what variables and arguments name; and everybody to the gateway."""
    policies, peers = of_kind(choice, "NetworkPolicy"), _peers(choice) | {"elsewhere": ELSEWHERE}
    wanted = _wanted(choice)
    assert len(wanted) > 2 * len(_templates(choice))
    for who, whom, port in wanted:
        protocol = "UDP" if port == 53 else "TCP"
        assert allows(policies, peers[who], peers[whom], port, protocol), (who, whom, port)


@pytest.mark.parametrize("choice", WITH_POLICIES)
def test_nobody_else_gets_through(choice: str) -> None:
    """No pod to another one but as it has to, and none but workers to what no value names."""
    policies, peers = of_kind(choice, "NetworkPolicy"), _peers(choice)
    # The tasks of a worker may reach whatever lets them in.
    workers = {name for name in peers if name.startswith("worker") and not name.endswith("-scaling")}
    wanted = _wanted(choice)
    if not any(each.startswith("networkPolicy.gatewayFrom") for each in CHOICES[choice]):
        wanted |= {(name, "gateway", 8420) for name in workers}
    if any(each.startswith("gateway.issuer=https") for each in CHOICES[choice]):
        wanted.add(("gateway", "elsewhere", 443))
    for (who, source), (whom, target), port in product(peers.items(), peers.items(), COMMON):
        assert allows(policies, source, target, port) == ((who, whom, port) in wanted), (who, whom, port)
    for (who, source), port in product(peers.items(), COMMON - {53}):
        named = who in workers or (who, "elsewhere", port) in wanted
        assert allows(policies, source, ELSEWHERE, port) == named, (who, port)
        assert allows(policies, ELSEWHERE, source, port) == ((who, port) == ("gateway", 8420)), (who, port)


def test_the_gateway_reaches_the_issuer() -> None:
    """It stands in the access file, which no policy can be made of, so that a value names it."""
    policies, peers = of_kind("security on", "NetworkPolicy"), _peers("security on")
    assert allows(policies, peers["gateway"], ELSEWHERE, 443)
    assert not allows(of_kind("as it is", "NetworkPolicy"), peers["gateway"], ELSEWHERE, 443)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_service_leads_to_pods(choice: str) -> None:
    """Its selector means pods of one kind, which listen where it leads to."""
    templates = _templates(choice)
    services = of_kind(choice, "Service")
    assert services
    for service in services:
        meant = [
            each
            for each in templates.values()
            if selects({"matchLabels": service["spec"]["selector"]}, each["metadata"]["labels"])
        ]
        (template,) = meant
        listened = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= listened
