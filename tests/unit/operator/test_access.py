"""What a model's parts know each other by: tokens by role and uid, certificates that are renewed, pods that are its own."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.roles import Role, role_of, token_digest
from oneseek_operator.certificates import Issued, kept, renewed_at, signer, with_successor
from oneseek_operator.clients.certificate_authority import SECRET, Authority
from oneseek_operator.clients.pod_http import PodHttpClient
from oneseek_operator.clients.records import Records
from oneseek_operator.clients.sidecar import Sidecars
from oneseek_operator.errors import SidecarError
from oneseek_operator.observe.objects import DeploymentView
from oneseek_operator.observe.owned_pods import askable, foreign
from oneseek_operator.observe.pods import PodView
from oneseek_operator.reconcile.model import reconcile
from oneseek_operator.resources import pod_access, serving
from oneseek_operator.resources import records as build_records
from oneseek_operator.settings import Settings
from support.access import trust
from support.driver import settle
from support.makers import DIGEST, SETTINGS, model_manifest
from support.world import World
from support.world.api_server import Crash

TLS = SETTINGS.model_copy(update={"internal_tls": True})
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def model(*, uid: str = "u-1", **meta: str) -> OneSeekModel:
    manifest = model_manifest(**meta)
    manifest["metadata"] |= {"uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    return OneSeekModel.model_validate(manifest)


def test_a_token_is_one_role_s_of_one_model_s() -> None:
    models = [model(), model(uid="u-2"), model(name="one"), model(namespace="other")]
    tokens = {pod_access.token(one, SETTINGS, role) for one in models for role in Role}
    assert len(tokens) == len(models) * len(Role), "a model that is made again has others"
    assert pod_access.token_before(model(), SETTINGS) not in tokens
    assert all(len(token) == 64 for token in tokens)
    with pytest.raises(ValueError, match="the operator's key"):
        pod_access.token(
            model(), SETTINGS.model_copy(update={"token_key": type(SETTINGS.token_key)(b"")}), Role.OPERATOR
        )
    assert "k" * 32 not in repr(SETTINGS)


def test_who_is_asked_holds_digests_and_the_secret_lacks_the_operator_s() -> None:
    secret = pod_access.secret(model(), SETTINGS)
    assert set(secret["stringData"]) == {"sidecar", "prepare", "reader"}
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    told = pod_access.accepted(model(), SETTINGS, *Role)
    for role in Role:
        token = (
            pod_access.token_before(model(), SETTINGS)
            if role is Role.BEFORE
            else pod_access.token(model(), SETTINGS, role)
        )
        assert told[role] == token_digest(token)
        assert role_of(token, told) is role
    assert role_of("", told) is None
    made = json.dumps([build_records.stateful_set(model(), TLS), template(TLS)])
    assert not [role for role in Role if pod_access.token(model(), SETTINGS, role) in made]
    assert pod_access.secret_name(model(), SETTINGS) != pod_access.secret_name(model(uid="u-2"), SETTINGS)


def template(settings: Any = SETTINGS) -> dict[str, Any]:
    return serving.colour_of(model(), settings, dna="D.v1", digest=DIGEST).template


def sources(pod: dict[str, Any]) -> list[list[str]]:
    volume = next(item for item in pod["spec"]["volumes"] if item["name"] == "access")
    found = [source.get("secret") or source["configMap"] for source in volume["projected"]["sources"]]
    return [[item["path"] for item in one["items"]] for one in found]


def test_a_pod_mounts_its_own_role_s_token_and_with_tls_whom_to_trust_and_its_certificate() -> None:
    assert sources(template()) == [["token"]]
    assert sources(template(TLS)) == [["token"], ["ca.crt"], ["tls.crt", "tls.key"]]
    (sidecar,) = template(TLS)["spec"]["containers"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert sidecar[probe]["httpGet"]["scheme"] == "HTTPS"
    told = json.loads(next(item["value"] for item in sidecar["env"] if item["name"] == names.SERVING_ENV))
    assert told["tlsName"] == "serving.zero.team.u-1.oneseek.internal"
    assert set(told["accepted"]) == {"operator", "sidecar"}
    engine = next(item for item in template(TLS)["spec"]["initContainers"] if item["name"] == "engine")
    assert not [mount for mount in engine["volumeMounts"] if mount["name"] == "access"]
    assert engine["startupProbe"]["exec"]["command"][0] == "python3"


def test_records_take_the_token_of_before_and_listen_without_tls_while_such_pods_are_there() -> None:
    def told(others: tuple[str, ...], settings: Any = TLS) -> tuple[dict[str, Any], list[str]]:
        pod = build_records.stateful_set(model(), settings, others=others)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        env = json.loads(next(item["value"] for item in container["env"] if item["name"] == "ONESEEK_RECORDS"))
        return env, [port["name"] for port in container["ports"]]

    env, ports = told(())
    assert (ports, env.get("port"), "before" in env["accepted"]) == (["https"], None, False)
    env, ports = told(("before",))
    assert (ports, env["port"], "before" in env["accepted"]) == (["https", "http"], names.PORT_RECORDS, True)
    env, ports = told(("plain",))
    assert (ports, "before" in env["accepted"]) == (["https", "http"], False)
    env, ports = told((), SETTINGS)
    assert (ports, env["port"]) == (["http"], names.PORT_RECORDS)
    env, ports = told(("tls",), SETTINGS)
    assert ports == ["https", "http"], "the mode was changed, and pods of the other one are still there"


# Certificates, with a clock that is moved.


def test_an_authority_has_a_successor_in_time_that_is_trusted_before_it_signs() -> None:
    first = with_successor((), NOW)
    assert len(first) == 1
    assert signer(first, NOW) is first[0], "there is nobody else"
    life = first[0].until - NOW
    assert with_successor(first, NOW + life / 2) == first
    later = renewed_at(NOW, first[0].until)
    both = with_successor(first, later)
    assert (len(both), both[0]) == (2, first[0])
    assert signer(both, later + timedelta(hours=23)) is both[0], "not every pod has heard of the new one"
    assert signer(both, later + timedelta(hours=25)) is both[1]
    assert with_successor(both, first[0].until - timedelta(hours=1)) == both, (
        "the older one stays trusted until it ends"
    )
    assert kept(both, first[0].until) == both[1:]


def test_a_certificate_ends_no_later_than_who_signed_it() -> None:
    authority = Issued.authority(NOW)
    late = authority.until - timedelta(days=3)
    assert authority.leaf("a.b", late).until == authority.until
    assert authority.leaf("a.b", NOW).until == NOW + timedelta(days=90)


async def looked(world: World, now: datetime, settings: Any = TLS) -> None:
    for _ in range(6):
        await reconcile(
            "team", "zero", cluster=world, sidecars=world, records=world, authority=world, settings=settings,
            clock=lambda: now,
        )  # fmt: skip
        world.tick()


def secrets(world: World) -> dict[str, dict[str, str]]:
    found = [item for (kind, _, _), item in world.objects.items() if kind == "Secret"]
    return {item["metadata"]["name"]: item["stringData"] for item in found}


async def test_a_model_s_certificates_are_made_once_and_anew_at_two_thirds_of_their_life() -> None:
    world, now = World(), datetime.now(UTC)
    world.apply_as_user(model_manifest())
    await looked(world, now)
    uid = world.objects[("OneSeekModel", "team", "zero")]["metadata"]["uid"]
    hosts = ["serving.zero.team." + uid + ".oneseek.internal", "zero-records.team.svc"]
    assert world.issued == hosts
    config = world.objects[("ConfigMap", "team", "zero-access")]
    assert "BEGIN CERTIFICATE" in config["data"]["ca.crt"]
    first = secrets(world)
    await looked(world, now + timedelta(days=59))
    assert (world.issued, secrets(world)) == (hosts, first)
    before = {key: item["metadata"]["name"] for key, item in world.objects.items() if key[0] == "Deployment"}
    await looked(world, now + timedelta(days=61))
    assert world.issued == hosts * 2
    changed = {name for name, held in secrets(world).items() if held != first.get(name)}
    assert len(changed) == 2
    assert all("-tls-" in name for name in changed), "the same Secrets, with other certificates"
    assert before == {key: item["metadata"]["name"] for key, item in world.objects.items() if key[0] == "Deployment"}


async def test_certificates_of_an_authority_that_is_trusted_no_more_are_made_anew() -> None:
    world, now = World(), datetime.now(UTC)
    world.apply_as_user(model_manifest())
    await looked(world, now)
    config = world.objects[("ConfigMap", "team", "zero-access")]
    note = json.loads(config["metadata"]["annotations"][names.ANNOTATION_ACCESS])
    note["leaves"]["serving"]["authority"] = "another"
    config["metadata"]["annotations"][names.ANNOTATION_ACCESS] = json.dumps(note)
    await looked(world, now)
    assert len(world.issued) == 3


@pytest.mark.parametrize("spoilt", ["", "{", '{"tokens": 1}'])
async def test_a_note_that_a_hand_has_spoilt_is_written_anew(spoilt: str) -> None:
    world, now = World(), datetime.now(UTC)
    world.apply_as_user(model_manifest())
    await looked(world, now)
    config = world.objects[("ConfigMap", "team", "zero-access")]
    right = config["metadata"]["annotations"][names.ANNOTATION_ACCESS]
    config["metadata"]["annotations"][names.ANNOTATION_ACCESS] = spoilt
    await looked(world, now)
    config = world.objects[("ConfigMap", "team", "zero-access")]
    written = json.loads(config["metadata"]["annotations"][names.ANNOTATION_ACCESS])
    assert written["tokens"] == json.loads(right)["tokens"]


async def test_without_tls_there_are_tokens_and_no_certificates() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    assert world.issued == []
    assert [name for name in secrets(world) if name.startswith("zero-access-")]


# Whose a pod is.


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


OURS = DeploymentView("zero-blue", "u-1", "blue", None, 1, 1, "", False, uid="d-1")
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


# Pods of the release before, and the operator's authority.


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


async def test_the_operator_s_authority_is_kept_and_followed_by_another_one_in_time() -> None:
    world, now = World(), datetime.now(UTC)
    first = await Authority(world, "system").view(now)
    assert await Authority(world, "system").view(now) == first, "another process reads it"
    running = Authority(world, "system")
    await running.view(now)
    before = world.writes.copy()
    await running.view(now + timedelta(days=365))
    assert world.writes == before, "idle costs nothing"
    later = now + timedelta(days=4 * 365)
    both = await running.view(later)
    assert both.fingerprints[0] == first.fingerprints[0]
    assert len(both.fingerprints) == 2
    assert running.issue("a.b", later)[0] == first.fingerprints[0]
    assert running.issue("a.b", later + timedelta(days=2))[0] == both.fingerprints[1]
    last = await running.view(now + timedelta(days=5 * 365 + 1))
    assert last.fingerprints == both.fingerprints[1:]


@pytest.mark.parametrize("spoilt", ["", "e30=", "!", "W3sia2V5IjogMX1d"])
async def test_an_authority_that_a_hand_has_spoilt_is_made_anew(spoilt: str) -> None:
    world, now = World(), datetime.now(UTC)
    first = await Authority(world, "system").view(now)
    world.objects[("Secret", "system", SECRET)]["data"]["authorities.json"] = spoilt
    again = await Authority(world, "system").view(now)
    assert len(again.fingerprints) == 1
    assert again != first


async def test_a_crash_at_any_write_of_tokens_and_certificates_is_made_good() -> None:
    async def story(at: int, *, after: bool) -> dict[str, set[str]]:
        world, now = World(), datetime.now(UTC)
        world.apply_as_user(model_manifest())
        world.crash_at, world.crash_after_effect = at, after
        with suppress(Crash):
            await looked(world, now)
        world.crash_at = None
        await looked(world, now)
        config = world.objects[("ConfigMap", "team", "zero-access")]
        note = json.loads(config["metadata"]["annotations"][names.ANNOTATION_ACCESS])
        assert {note["tokens"], *note["leaves"]} <= {*secrets(world), "serving", "records"}
        return {name: set(held) for name, held in secrets(world).items() if "access" in name or "tls" in name}

    whole = {tuple(sorted(found.rsplit("-", 1)[0] for found in await story(0, after=False)))}
    for at in range(1, 14):
        for after in (False, True):
            whole.add(tuple(sorted(found.rsplit("-", 1)[0] for found in await story(at, after=after))))
    assert whole == {("zero-access", "zero-records-tls", "zero-serving-tls")}


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
