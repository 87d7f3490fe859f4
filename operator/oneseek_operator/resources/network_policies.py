"""The NetworkPolicies of a model's pods. Pure.

Policies add up. One selects every pod of the model and allows nothing; one more for each component allows what `_allowed`
lists. Policies do not apply to what a node does to its own pods (probes, exec, port-forward), and they see a Service's pods
and their ports, not the Service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.resources import common
from oneseek_operator.resources.model import labels
from oneseek_operator.settings import Destinations, NetworkPolicies, Settings

__all__ = ["allows", "policies"]

Manifest = dict[str, Any]

_DENIED = "denied"
_RECORDS = (
    names.PORT_RECORDS,
    names.PORT_RECORDS_TLS,
)  # the former for pods of the previous release, or if a mesh encrypts
_SERVICE_HOST = re.compile(r"(?:^|\.)([a-z0-9-]+)\.svc(?:\.|$)")
_PORTS = {"http": 80, "https": 443}
_GOOGLE = Destinations(ports=(443,))  # Firestore and its tokens have no fixed addresses


@dataclass(frozen=True, slots=True)
class _Rules:
    """Who may connect to a component, and where it may connect to; everything else is denied."""

    come: Sequence[Manifest] = ()
    go: Sequence[Manifest] = ()


def policies(model: OneSeekModel, settings: Settings) -> list[Manifest]:
    """The model's policies, in the order in which they are created: the one that allows nothing is last."""
    chart = settings.network_policies
    if chart is None:
        return []
    made = [
        _policy(model, component, labels(model, component), rules)
        for component, rules in _allowed(model, settings, chart).items()
    ]
    return [*made, _policy(model, _DENIED, {names.LABEL_MODEL: model.metadata.name}, _Rules())]


def _allowed(model: OneSeekModel, settings: Settings, chart: NetworkPolicies) -> dict[str, _Rules]:
    """The table. Certify, tree and import need no network; train and evaluate run untrusted code and data: none of them is listed."""
    operator, records = _operator(settings, chart), [_own(model, "records")]
    dns = _rule("to", chart.dns.to, *chart.dns.ports, protocols=("UDP", "TCP"))
    public = list(chart.public_from)
    serving = _Rules(
        come=(
            _rule("from", [*public, operator] if public else [], names.PORT_PUBLIC),
            _rule("from", [operator, _own(model, "serving")], names.PORT_INTERNAL),
        ),
        go=(
            dns,
            _to(chart.api_server),
            _rule("to", records, *_RECORDS),
            _rule(
                "to", [_own(model, "serving")], names.PORT_INTERNAL, names.PORT_PUBLIC
            ),  # the latter for the previous release
            *(_at(external.url) for external in model.spec.serving.external_models),
        ),
    )
    firestore = model.spec.records.firestore
    emulator = firestore.emulator_host if firestore else None
    database = _at(f"http://{emulator}") if emulator else _to(_GOOGLE)
    writers = [operator, _own(model, "serving"), _own(model, "prepare")]
    table = {
        "serving": serving,
        "records": _Rules(come=(_rule("from", writers, *_RECORDS),), go=(dns, database) if firestore else ()),
        "prepare": _Rules(go=(dns, _rule("to", records, *_RECORDS), *_hub(settings, chart))),
    }
    if model.spec.base_model.source.hugging_face:
        table["base"] = _Rules(go=(dns, *_hub(settings, chart)))
    return table


def _policy(model: OneSeekModel, name: str, selected: dict[str, str], rules: _Rules) -> Manifest:
    spec: Manifest = {"podSelector": {"matchLabels": selected}, "policyTypes": ["Ingress", "Egress"]}
    if rules.come:
        spec["ingress"] = list(rules.come)
    if rules.go:
        spec["egress"] = _once(rules.go)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": common.meta(model, f"{model.metadata.name}-{name}", {names.LABEL_MODEL: model.metadata.name}),
        "spec": spec,
    }


def allows(spec: Mapping[str, Any]) -> bool:
    """Whether a policy allows anything."""
    return bool(spec.get("ingress") or spec.get("egress"))


def _once(rules: Sequence[Manifest]) -> list[Manifest]:
    """Without repeated rules, which several external models at one address cause."""
    return [rule for index, rule in enumerate(rules) if rule not in rules[:index]]


def _operator(settings: Settings, chart: NetworkPolicies) -> Manifest:
    """The operator's pod, in another namespace."""
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": settings.namespace}}
    return {"namespaceSelector": namespace, "podSelector": {"matchLabels": dict(chart.operator)}}


def _own(model: OneSeekModel, component: str) -> Manifest:
    return {"podSelector": {"matchLabels": labels(model, component)}}


def _rule(way: str, peers: Sequence[Manifest], *ports: int, protocols: Sequence[str] = ("TCP",)) -> Manifest:
    """Traffic with these peers (none: any) at these ports (none: any)."""
    pairs = [{"port": port, "protocol": protocol} for port in ports for protocol in protocols]
    return {**({way: list(peers)} if peers else {}), **({"ports": pairs} if pairs else {})}


def _to(where: Destinations) -> Manifest:
    return _rule("to", where.to, *where.ports)


def _hub(settings: Settings, chart: NetworkPolicies) -> list[Manifest]:
    mirror = settings.hugging_face_endpoint
    return [_to(chart.hub), *([_at(mirror)] if mirror else [])]


def _at(url: str) -> Manifest:
    """To the host of a URL.

    A policy knows pods and addresses, no names: a Service is any port of its namespace's pods, whose ports may differ from its
    own; another name is its port at any address.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    if found := _SERVICE_HOST.search(host):
        return _rule("to", [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": found[1]}}}])
    try:
        address = ip_address(host)
    except ValueError:
        return _rule("to", [] if "." in host else [{"podSelector": {}}], *([port] if "." in host else []))
    return _rule("to", [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}], port)
