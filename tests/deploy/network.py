"""Who gets through to whom: the network policies of a rendered chart, read as Kubernetes reads them.

A pod that no policy selects for a direction may do everything in it; one that some policies select may do
what any of them lets it. A connection needs both its ends to allow it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod of the chart by its labels, or somebody else, who has none."""

    name: str
    labels: Labels | None = None


ELSEWHERE = Peer("elsewhere")


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Tell whether a label selector means a pod; an empty one means every pod."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions", ()))


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, operator = labels.get(expression["key"]), expression["operator"]
    if operator == "In":
        return bool(value in expression["values"])
    if operator == "NotIn":
        return bool(value not in expression["values"])
    assert operator in {"Exists", "DoesNotExist"}
    is_there = value is not None
    return is_there if operator == "Exists" else not is_there


def allows(
    policies: Sequence[Mapping[str, Any]], source: Peer, target: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Tell whether the policies let a connection through, at the source and at the target."""
    out = _allows(policies, "Egress", source, target, port, protocol)
    return out and _allows(policies, "Ingress", target, source, port, protocol)


def _allows(
    policies: Sequence[Mapping[str, Any]], direction: str, pod: Peer, other: Peer, port: int, protocol: str
) -> bool:
    if pod.labels is None:
        return True
    concerned = [
        each["spec"]
        for each in policies
        if direction in each["spec"]["policyTypes"] and selects(each["spec"]["podSelector"], pod.labels)
    ]
    rules = [rule for spec in concerned for rule in spec.get(direction.lower()) or ()]
    return not concerned or any(_lets(rule, other, port, protocol) for rule in rules)


def _lets(rule: Mapping[str, Any], other: Peer, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if ports and not any((each["port"], each.get("protocol", "TCP")) == (port, protocol) for each in ports):
        return False
    peers = rule.get("from") or rule.get("to")
    return not peers or any(_means(peer, other) for peer in peers)


def _means(peer: Mapping[str, Any], other: Peer) -> bool:
    # A selector of other namespaces, or of addresses, never means one of the chart's own pods here.
    if other.labels is None or "namespaceSelector" in peer or "ipBlock" in peer:
        return other.labels is None and "podSelector" not in peer
    return selects(peer["podSelector"], other.labels)


def needed(name: str, template: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield whom a pod has to reach, and at which port, by what it is told: variables and arguments."""
    (container,) = template["spec"]["containers"]
    variables = {each["name"]: each for each in container["env"]}
    yield "dns", 53
    if name == "nats":
        yield "nats", 6222
    if "TALKA_SERVER" in variables:
        yield "server", 4222
    if "TALKA_DATABASE" in variables:
        yield "elsewhere", 5432
    for variable in ("TALKA_OTLP", "TALKA_WEBHOOK"):
        if variable in variables:
            yield "elsewhere", port_of(variables[variable]["value"])
    if container.get("envFrom") or any("s3://" in word for word in container["args"]):
        yield "elsewhere", 443


def port_of(url: str) -> int:
    """Return the port that an HTTP URL leads to."""
    scheme, _, rest = url.partition("://")
    _, _, port = rest.partition("/")[0].partition(":")
    return int(port) if port else {"http": 80, "https": 443}[scheme]
