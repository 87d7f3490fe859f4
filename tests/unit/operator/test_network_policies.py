"""Who may talk to whom: a model's NetworkPolicies, judged as a network judges them, and kept as they must be."""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

import oneseek_operator.resources
from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import Resolved, TrainingRun
from oneseek_core.api.v1alpha1.versions import Import
from oneseek_operator.reconcile import model as models
from oneseek_operator.resources import common, imports, network_policies, records, serving
from oneseek_operator.resources import model as build_model
from oneseek_operator.resources import run as build_run
from oneseek_operator.settings import Destinations, Settings
from support.driver import settle
from support.makers import DIGEST, HELDOUT, NETWORK, SETTINGS, model_manifest, run_manifest
from support.world import World

Object = dict[str, Any]
META = {"uid": "u-1", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
OPERATOR = {"namespace": "default", **NETWORK.operator}
STRANGER, NEIGHBOUR = {"namespace": "other", "app": "x"}, {"namespace": "team", "app": "x"}
OUTSIDE = "203.0.113.7"
HUB_SOURCE = {"name": "tiny", "source": {"huggingFace": {"repo": "team/tiny"}}}


def model(**spec: Any) -> OneSeekModel:
    manifest = model_manifest(**spec)
    manifest["metadata"] |= META
    status = {"baseModel": {"digest": DIGEST, "sizeBytes": 1}}
    return OneSeekModel.model_validate({**manifest, "status": status})


def run() -> TrainingRun:
    manifest = run_manifest()
    manifest["metadata"] |= META
    resolved = Resolved(
        spec_digest=DIGEST, base_model_digest=DIGEST, data_digest=DIGEST, heldout_digest=DIGEST, language="sv", tags=["I"],
        created_at="2026-01-01T00:00:00.000Z", major=1, micro=0, samples=3,
    )  # fmt: skip
    parsed = TrainingRun.model_validate(manifest)
    return parsed.model_copy(update={"status": parsed.status.model_copy(update={"resolved": resolved})})


def pod(component: str, of: str = "zero") -> dict[str, str]:
    return {"namespace": "team", names.LABEL_MODEL: of, names.LABEL_COMPONENT: component}


def chosen(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}
    return dict(selector.get("matchLabels", {})).items() <= labels.items()


def is_peer(peer: Mapping[str, Any], who: Mapping[str, str] | str) -> bool:
    """Whether a peer of a policy in namespace `team` is this pod, or this address."""
    if isinstance(who, str):
        return "ipBlock" in peer and ip_address(who) in ip_network(peer["ipBlock"]["cidr"])
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        namespace = {"kubernetes.io/metadata.name": who["namespace"]}
        return chosen(peer["namespaceSelector"], namespace) and chosen(peer.get("podSelector", {}), who)
    return who["namespace"] == "team" and chosen(peer["podSelector"], who)


def passes(
    policies: Sequence[Object], way: str, pod: Mapping[str, str], other: Mapping[str, str] | str, at: str
) -> bool:
    """Whether the policies that select a pod let it talk; `at` is PORT or PORT/PROTOCOL."""
    port, _, protocol = at.partition("/")
    own = [item["spec"] for item in policies if pod["namespace"] == "team" and chosen(item["spec"]["podSelector"], pod)]
    if not own:
        return True
    key, peers = ("ingress", "from") if way == "in" else ("egress", "to")
    return any(
        (not rule.get(peers) or any(is_peer(peer, other) for peer in rule[peers]))
        and (not rule.get("ports") or {"port": int(port), "protocol": protocol or "TCP"} in rule["ports"])
        for spec in own
        for rule in spec.get(key, [])
    )


def talks(
    policies: Sequence[Object], source: Mapping[str, str] | str, target: Mapping[str, str] | str, at: str
) -> bool:
    """Whether a connection comes about: both ends must allow it."""
    goes = isinstance(source, str) or passes(policies, "out", source, target, at)
    return goes and (isinstance(target, str) or passes(policies, "in", target, source, at))


SERVING, RECORDS, PREPARE, BASE = pod("serving"), pod("records"), pod("prepare"), pod("base")
ALONE = {name: pod(name) for name in ("base", "train", "evaluate", "certify", "tree", "import", "not thought of yet")}


@pytest.mark.parametrize(
    ("source", "target", "at", "allowed"),
    [
        pytest.param(STRANGER, SERVING, "8080", True, id="a stranger asks"),
        pytest.param(OUTSIDE, SERVING, "8080", True, id="the world asks"),
        *(
            pytest.param(who, SERVING, port, False, id=f"{name} does not reach {port}")
            for name, who in (("a stranger", STRANGER), ("a neighbour", NEIGHBOUR), ("the world", OUTSIDE))
            for port in ("8000", "8081", "8083")
        ),
        *(
            pytest.param(who, RECORDS, "8082", False, id=f"{name} does not reach the records")
            for name, who in (("a stranger", STRANGER), ("a neighbour", NEIGHBOUR), ("the world", OUTSIDE))
        ),
        pytest.param(pod("serving", "one"), SERVING, "8081", False, id="another model's pods are strangers"),
        pytest.param(pod("serving", "one"), RECORDS, "8082", False, id="the records are this model's"),
        pytest.param(pod("train"), SERVING, "8081", False, id="nor does its own train pod"),
        pytest.param(OPERATOR, SERVING, "8081", True, id="the operator orders"),
        pytest.param(OPERATOR, SERVING, "8080", True, id="the operator asks through the Service"),
        pytest.param(OPERATOR, RECORDS, "8082", True, id="the operator appends"),
        pytest.param({**OPERATOR, "namespace": "team"}, SERVING, "8081", False, id="its labels elsewhere are nothing"),
        pytest.param({**OPERATOR, "namespace": "team"}, RECORDS, "8082", False, id="nor to the records"),
        pytest.param(SERVING, SERVING, "8081", True, id="a pod passes on to its peer"),
        pytest.param(SERVING, SERVING, "8000", False, id="no peer's engine"),
        pytest.param(SERVING, RECORDS, "8082", True, id="a sidecar records"),
        pytest.param(SERVING, OUTSIDE, "6443", True, id="a sidecar asks the API server"),
        pytest.param(SERVING, OUTSIDE, "53/UDP", True, id="and for names"),
        pytest.param(SERVING, OUTSIDE, "80", False, id="and nothing else outside"),
        pytest.param(SERVING, STRANGER, "8080", False, id="nor other pods"),
        pytest.param(PREPARE, RECORDS, "8082", True, id="prepare fetches a window"),
        pytest.param(PREPARE, OUTSIDE, "443", True, id="and from the hub"),
        pytest.param(PREPARE, OUTSIDE, "6443", False, id="and asks no API server"),
        pytest.param(STRANGER, PREPARE, "80", False, id="nobody comes to prepare"),
        pytest.param(RECORDS, OUTSIDE, "443", False, id="records go nowhere"),
        pytest.param(RECORDS, OUTSIDE, "53/UDP", False, id="and ask for no names"),
        *(
            pytest.param(who, target, at, False, id=f"{name} goes nowhere: {at}")
            for name, who in ALONE.items()
            for target, at in (
                (OUTSIDE, "443"),
                (OUTSIDE, "53/UDP"),
                (OUTSIDE, "53"),
                (SERVING, "8080"),
                (RECORDS, "8082"),
            )
        ),
        *(pytest.param(STRANGER, who, "80", False, id=f"nobody comes to {name}") for name, who in ALONE.items()),
    ],
)
def test_who_talks_to_whom(
    source: Mapping[str, str] | str, target: Mapping[str, str] | str, at: str, *, allowed: bool
) -> None:
    assert talks(network_policies.policies(model(), SETTINGS), source, target, at) is allowed


def test_a_base_model_of_a_hub_is_fetched_and_one_of_an_image_needs_no_network() -> None:
    fetched = network_policies.policies(model(baseModel=HUB_SOURCE), SETTINGS)
    assert [talks(fetched, BASE, OUTSIDE, at) for at in ("443", "80", "53/UDP", "8000")] == [True, True, True, False]
    assert not talks(fetched, STRANGER, BASE, "443")


@pytest.mark.parametrize(
    ("endpoint", "target", "at", "allowed"),
    [
        ("http://hub.mirror.svc.cluster.local:8000", {"namespace": "mirror", "app": "hub"}, "9999", True),
        ("http://hub.mirror.svc.cluster.local:8000", STRANGER, "8000", False),
        ("https://hub.mirror.svc", {"namespace": "mirror", "app": "hub"}, "8443", True),
        ("https://hub.example.org:8443/hf", OUTSIDE, "8443", True),
        ("https://hub.example.org:8443/hf", OUTSIDE, "8444", False),
        (f"http://{OUTSIDE}:3000", OUTSIDE, "3000", True),
        (f"http://{OUTSIDE}:3000", "203.0.113.8", "3000", False),
        ("http://[2001:db8::1]:3000", "2001:db8::1", "3000", True),
    ],
)
def test_a_mirror_is_reached_where_it_is(
    endpoint: str, target: Mapping[str, str] | str, at: str, *, allowed: bool
) -> None:
    settings = SETTINGS.model_copy(update={"hugging_face_endpoint": endpoint})
    for source in (PREPARE, BASE):
        assert talks(network_policies.policies(model(baseModel=HUB_SOURCE), settings), source, target, at) is allowed


def test_models_elsewhere_are_asked_only_where_there_are_any() -> None:
    def asking(*urls: str) -> list[Object]:
        told = [{"name": f"m{index}", "url": url, "model": "m"} for index, url in enumerate(urls)]
        return network_policies.policies(model(serving={"externalModels": told}), SETTINGS)

    assert not talks(asking(), SERVING, OUTSIDE, "8443")
    elsewhere = asking("https://api.example.org:8443/v1", "https://api.example.org:8443/v2", "http://near/v1")
    assert talks(elsewhere, SERVING, OUTSIDE, "8443")
    assert talks(elsewhere, SERVING, NEIGHBOUR, "12345"), "a Service's pods listen where they like"
    assert not talks(elsewhere, SERVING, STRANGER, "12345")
    assert elsewhere == asking("https://api.example.org:8443/v1", "http://near/v1"), "one address is one rule"


@pytest.mark.parametrize(
    ("more", "target", "at"),
    [
        ({"credentialsSecret": "google"}, OUTSIDE, "443"),
        ({"emulatorHost": f"{OUTSIDE}:8085"}, OUTSIDE, "8085"),
        ({"emulatorHost": "emulator:8085"}, NEIGHBOUR, "8085"),
    ],
    ids=["google", "address", "service"],
)
def test_records_in_firestore_reach_their_database(more: Object, target: Mapping[str, str] | str, at: str) -> None:
    made = network_policies.policies(model(records={"firestore": {"projectID": "team-records", **more}}), SETTINGS)
    assert talks(made, RECORDS, target, at)
    assert talks(made, RECORDS, OUTSIDE, "53/UDP")
    assert not talks(made, RECORDS, OUTSIDE, "6443")


def test_the_chart_narrows_who_asks_and_where_pods_go() -> None:
    ingress = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
    block = {"ipBlock": {"cidr": "198.51.100.0/24"}}
    told = NETWORK.model_copy(
        update={"public_from": (ingress,), "hub": Destinations(ports=(443,), to=(block,)), "api_server": Destinations(
            ports=(7443,), to=(block,))}
    )  # fmt: skip
    made = network_policies.policies(model(), SETTINGS.model_copy(update={"network_policies": told}))
    assert talks(made, {"namespace": "ingress", "app": "nginx"}, SERVING, "8080")
    assert talks(made, OPERATOR, SERVING, "8080"), "the operator makes sure of who answers through the Service"
    assert not talks(made, STRANGER, SERVING, "8080")
    assert not talks(made, OUTSIDE, SERVING, "8080")
    assert [talks(made, PREPARE, where, "443") for where in (OUTSIDE, "198.51.100.9")] == [False, True]
    assert [talks(made, SERVING, where, "7443") for where in (OUTSIDE, "198.51.100.9")] == [False, True]


def test_settings_are_read_as_the_chart_writes_them() -> None:
    env = {"ONESEEK_SLIM_IMAGE": "s", "ONESEEK_RUNTIME_IMAGE": "r", "KUBERNETES_SERVICE_PORT": "7443"}
    assert Settings.from_environment(env).network_policies is None
    written = NETWORK.model_dump_json(by_alias=True)
    read = Settings.from_environment({**env, "ONESEEK_NETWORK_POLICIES": written}).network_policies
    assert read is not None
    assert read.api_server.ports == (443, 6443, 7443), "the API server's own port in this cluster is among them"
    assert read.model_copy(update={"api_server": NETWORK.api_server}) == NETWORK


def makers() -> set[tuple[str, str]]:
    """Every function of a builder that makes a pod: module and name."""
    found = set()
    for path in Path(next(iter(oneseek_operator.resources.__path__))).glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
                if any(isinstance(call, ast.Attribute) and ast.unparse(call) == "common.pod" for call in calls):
                    found.add((path.stem, function.name))
    return found


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, str], Object]]:
    """The pods that are made meanwhile, each with the function that makes it."""
    found: list[tuple[tuple[str, str], Object]] = []
    real = common.pod

    def noting(*arguments: Any, **more: Any) -> Object:
        frame = sys._getframe(1)
        template = real(*arguments, **more)
        found.append(((Path(frame.f_code.co_filename).stem, frame.f_code.co_name), template))
        return template

    monkeypatch.setattr(common, "pod", noting)
    return found


def test_every_pod_that_a_builder_makes_is_selected(made: list[tuple[tuple[str, str], Object]]) -> None:
    wanted = model(training=HELDOUT)
    objects = [
        build_model.base_job(wanted, SETTINGS),
        build_model.tree_job(wanted, SETTINGS, name="t", dna="d", quarantine=[]),
        imports.import_job(wanted, Import(image="version:1"), SETTINGS),
        build_run.prepare_job(run(), wanted, SETTINGS),
        build_run.train_job(run(), wanted, SETTINGS, attempt=1),
        build_run.evaluate_job(run(), wanted, SETTINGS),
        build_run.certify_job(run(), wanted, SETTINGS),
        records.stateful_set(wanted, SETTINGS),
        serving.deployment(wanted, serving.colour_of(wanted, SETTINGS, dna=None, digest=None), replicas=1),
    ]
    assert {maker for maker, _ in made} == makers(), "a builder makes pods that this test does not look at"
    policies = network_policies.policies(wanted, SETTINGS)
    for item in objects:
        labels = {"namespace": "team", **item["spec"]["template"]["metadata"]["labels"]}
        component = labels.get(names.LABEL_COMPONENT)
        assert not talks(policies, STRANGER, labels, "9"), f"no policy selects the {component} pod"
        assert not talks(policies, labels, OUTSIDE, "9"), f"no policy selects the {component} pod"


def those(world: World) -> dict[str, Object]:
    return {
        name: copy.deepcopy(item["spec"]) for (kind, _, name), item in world.objects.items() if kind == "NetworkPolicy"
    }


async def test_policies_are_there_before_any_pod() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    seen: list[bool] = []
    create, apply = world.create, world.apply

    async def noting(manifest: Object, **more: Any) -> bool:
        if manifest["kind"] != "Secret":
            seen.append("zero-denied" in those(world))
        return await create(manifest, **more)

    async def applying(manifest: Object) -> None:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            seen.append("zero-denied" in those(world))
        await apply(manifest)

    world.create, world.apply = noting, applying  # type: ignore[method-assign]
    await settle(world)
    made = [key for key in world.objects if key[0] in ("Job", "Deployment", "StatefulSet")]
    assert len(seen) > len(made) >= 3
    assert not seen[0], "the claim needs none"
    assert all(seen[1:])


async def test_a_policy_that_a_hand_changed_or_deleted_is_mended_and_nobody_elses_is_touched() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    right = those(world)
    other = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "theirs", "namespace": "team", "labels": {names.LABEL_MODEL: "zero"}},
    }
    world.apply_as_user({**other, "spec": {"podSelector": {}}})
    world.objects[("NetworkPolicy", "team", "zero-serving")]["spec"]["ingress"] = [{}]
    del world.objects[("NetworkPolicy", "team", "zero-denied")]
    await settle(world)
    assert those(world) == {**right, "theirs": {"podSelector": {}}}


async def test_switched_off_they_go_and_what_has_to_talk_is_never_cut_off() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    gone: list[str] = []
    delete = world.delete

    async def noting(kind: str, namespace: str, name: str, **more: Any) -> None:
        gone.append(name)
        await delete(kind, namespace, name, **more)

    world.delete = noting  # type: ignore[method-assign]
    off = SETTINGS.model_copy(update={"network_policies": None})
    await models.reconcile("team", "zero", cluster=world, sidecars=world, records=world, authority=world, settings=off)
    assert those(world) == {}
    assert gone[0] == "zero-denied"
    assert sorted(gone) == ["zero-denied", "zero-prepare", "zero-records", "zero-serving"]
    assert [item["metadata"]["name"] for item in network_policies.policies(model(), SETTINGS)][-1] == "zero-denied"


async def test_a_policies_owner_is_the_model_so_that_it_goes_with_it() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.remove(world.objects[("OneSeekModel", "team", "zero")])
    assert those(world) == {}
