"""Tokens by role and uid, certificates by part: written once, renewed, mounted by the pods that need them."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.roles import Role, role_of, token_digest
from oneseek_operator.observe.pods import PodView
from oneseek_operator.reconcile.model import reconcile
from oneseek_operator.resources import pod_access, serving
from oneseek_operator.resources import records as build_records
from support.driver import settle
from support.makers import DIGEST, SETTINGS, model_manifest
from support.world import World
from support.world.api_server import Crash

TLS = SETTINGS.model_copy(update={"internal_tls": True})


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
    told = pod_access.token_digests(model(), SETTINGS, *Role)
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
