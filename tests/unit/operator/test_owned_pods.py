"""Which pods are a model's own, how each authenticates, and what a foreign one is sent: nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.clients.pod_http import PodHttpClient
from oneseek_operator.clients.records import Records
from oneseek_operator.clients.sidecar import Sidecars
from oneseek_operator.errors import SidecarError
from oneseek_operator.observe.objects import DeploymentView
from oneseek_operator.observe.owned_pods import askable, foreign
from oneseek_operator.observe.pods import PodView
from oneseek_operator.reconcile.model import reconcile
from oneseek_operator.settings import Settings
from support.access import trust
from support.driver import settle
from support.makers import SETTINGS, model_manifest
from support.world import World

TLS = SETTINGS.model_copy(update={"internal_tls": True})


def model(*, uid: str = "u-1", **meta: str) -> OneSeekModel:
    manifest = model_manifest(**meta)
    manifest["metadata"] |= {"uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    return OneSeekModel.model_validate(manifest)


async def looked(world: World, now: datetime, settings: Any = TLS) -> None:
    for _ in range(6):
        await reconcile(
            "team", "zero", cluster=world, sidecars=world, records=world, authority=world, settings=settings,
            clock=lambda: now,
        )  # fmt: skip
        world.tick()


def pod(
    *, owner: str = "rs-1", kind: str = "ReplicaSet", volume: str = "access", tls: bool = True, **meta: Any
) -> PodView:
    held = {"projected": {"sources": [{"secret": {}}, *([{"configMap": {}}] if tls else [])]}}
    return PodView.parse(
        {
            "metadata": {
                "name": "p", "uid": "p-1", "labels": {names.LABEL_COLOUR: "blue"},
                "ownerReferences": [{"kind": kind, "uid": owner, "controller": True}], **meta,
            },
            "spec": {"volumes": [{"name": volume, **(held if volume == "access" else {})}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1"},
        }
    )  # fmt: skip


OURS = DeploymentView("zero-blue", "u-1", "blue", None, 1, 1, False, uid="d-1")


SETS = {"rs-1": "d-1", "rs-2": "d-2"}


GOING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("seen", "alien", "asked"),
    [
        pytest.param(pod(), False, True, id="ours"),
        pytest.param(pod(kind="Job"), True, False, id="a Job's, with our labels"),
        pytest.param(pod(ownerReferences=[]), True, False, id="nobody's, with our labels"),
        pytest.param(pod(owner="rs-2"), True, False, id="another Deployment's"),
        pytest.param(pod(owner="rs-3"), False, False, id="of a ReplicaSet that nobody has seen"),
        pytest.param(pod(owner="rs-3", **GOING), False, True, id="leaving, its ReplicaSet gone: it proves itself"),
        pytest.param(pod(owner="rs-3", tls=False, **GOING), False, False, id="the same, but it would be shown a token"),
        pytest.param(
            pod(owner="rs-3", volume="records-token", **GOING), False, True, id="the same, of before: it is not"
        ),
    ],
)
def test_only_pods_whose_controllers_end_at_the_model_are_asked(seen: PodView, *, alien: bool, asked: bool) -> None:
    assert foreign(seen, SETS, [OURS]) is alien
    if not alien:
        assert bool(askable([seen], SETS, [OURS], set())) is asked
        assert askable([seen], SETS, [OURS], {"p-1"}) == [seen], "it was seen to be ours before"


def test_how_a_pod_speaks_is_read_off_what_was_mounted_for_it() -> None:
    assert (pod().speaks, pod(tls=False).speaks) == ("tls", "plain")
    assert (pod(volume="records-token").speaks, pod(volume="x").speaks) == ("before", "")


@pytest.mark.parametrize(
    ("settings", "tls", "shown"), [(TLS, True, True), (TLS, False, False), (SETTINGS, False, True)]
)
async def test_where_there_is_tls_no_token_goes_without_it(settings: Settings, *, tls: bool, shown: bool) -> None:
    seen, http = pod(tls=tls), PodHttpClient.connect()
    try:
        serving_pod = Sidecars(http, settings, trust).of(model(), [seen])._book[seen.ip]
        records_pod = Records(http, settings, trust).of(model(), seen)._peer
    finally:
        await http.close()
    assert bool(serving_pod.token) is shown
    assert bool(records_pod and records_pod.token) is shown


async def test_a_foreign_pod_with_a_model_s_labels_is_asked_nothing_and_holds_nothing_up() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    ours = world.serving_pods()[0]
    theirs = json.loads(json.dumps(ours))
    theirs["metadata"] |= {"name": "theirs", "uid": "theirs", "ownerReferences": []}
    theirs["status"]["podIP"] = "theirs"
    world.objects[("Pod", "team", "theirs")] = theirs
    asked: list[str] = []
    state = world.state

    async def noted(ip: str) -> Any:
        asked.append(ip)
        return await state(ip)

    world.state = noted  # type: ignore[method-assign]
    await looked(world, datetime.now(UTC), SETTINGS)
    assert set(asked) == {ours["metadata"]["name"]}
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert next(item for item in status["conditions"] if item["type"] == "Ready")["status"] == "True"


async def test_pods_of_the_release_before_are_handed_over_from_and_their_answers_are_taken_until_they_are_gone() -> (
    None
):
    world = World()
    world.apply_as_user(model_manifest(promotion={"strategy": "BlueGreen"}))
    await settle(world)
    old = world.serving_pods()[0]
    old["spec"] = json.loads(json.dumps(old["spec"]))
    (volume,) = (item for item in old["spec"]["volumes"] if item["name"] == "access")
    volume |= {"name": "records-token"}
    orders: list[tuple[str, list[str]]] = []
    hand_over = world.hand_over

    async def noted(ip: str, handover: Any) -> None:
        orders.append((ip, handover.addresses if handover else []))
        await hand_over(ip, handover)

    world.hand_over = noted  # type: ignore[method-assign]

    def records() -> str:
        return json.dumps(world.objects[("StatefulSet", "team", "zero-records")]["spec"]["template"])

    await looked(world, datetime.now(UTC), SETTINGS)
    assert '\\"before\\"' in records()
    grown = {"engine": {"resources": {"requests": {"cpu": "2"}}}}
    world.apply_as_user(model_manifest(promotion={"strategy": "BlueGreen"}, serving=grown))
    await settle(world)
    new = world.serving_pods()[0]["metadata"]["name"]
    assert (old["metadata"]["name"], [f"{new}:{names.PORT_PUBLIC}"]) in orders, "the one port that asks for no token"
    assert '\\"before\\"' not in records()


async def test_pods_of_another_key_of_the_operator_s_go_on_answering_until_others_are_ready() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    old = world.serving_pods()[0]["metadata"]["name"]
    state = world.state

    async def denied(ip: str) -> Any:
        if ip == old:
            raise SidecarError("/internal/state answered 401", ip=ip, status=401, alien=True)
        return await state(ip)

    world.state = denied  # type: ignore[method-assign]
    world.rooms = 1
    other = SETTINGS.model_copy(update={"token_key": type(SETTINGS.token_key)(b"o" * 32)})
    for _ in range(10):
        await looked_with(world, other)
        world.ahead += timedelta(seconds=10)
    assert old in [pod["metadata"]["name"] for pod in world.serving_pods()], "there is no room for another one"
    world.rooms = 2
    for _ in range(10):
        await looked_with(world, other)
        world.ahead += timedelta(seconds=10)
    assert old not in world.behind(), "the other one answers"
    assert world.writes["delete Pod"], "and the one that cannot be told is not left to answer in its place"


async def looked_with(world: World, settings: Any) -> None:
    """One look and one move of the world; a pod that cannot be told is told again next time."""
    with suppress(SidecarError):
        await reconcile(
            "team", "zero", cluster=world, sidecars=world, records=world, authority=world, settings=settings,
            clock=world.clock, contacts=world.contacts,
        )  # fmt: skip
    world.tick()
