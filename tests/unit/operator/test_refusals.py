"""What the API server refuses of a model: its conditions say it, and it recovers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_operator.errors import ClusterError, ListTooLargeError
from oneseek_operator.observe.refusals import reason_of, refusal_of, sentence
from support.driver import RECONCILE, age, condition, round_trip, settle
from support.makers import SETTINGS, model_manifest, run_manifest
from support.refusals import JOBS_QUOTA, LIMIT, MODEL, PODS_QUOTA, POLICY, RBAC, SECURITY, SILENT, WEBHOOK
from support.world import World

NAME = (
    'Service "7b-zero" is invalid: metadata.name: Invalid value: "7b-zero": a DNS-1035 label must consist of lower case'
)


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (403, JOBS_QUOTA, names.QUOTA_EXCEEDED),
        (403, PODS_QUOTA, names.QUOTA_EXCEEDED),
        (403, 'pods "x" is forbidden: status unknown for quota: small, resources: count/pods', names.QUOTA_EXCEEDED),
        (403, SECURITY, names.POD_SECURITY_VIOLATION),
        (403, RBAC, names.FORBIDDEN),
        (403, LIMIT, names.FORBIDDEN),
        (400, WEBHOOK, names.POLICY_DENIED),
        (422, POLICY, names.POLICY_DENIED),
        (500, SILENT, names.WEBHOOK_FAILED),
        (422, NAME, names.INVALID),
        (413, "Request entity too large: limit is 3145728", names.INVALID),
        (401, "Unauthorized", None),
        (409, "the object has been modified", None),
        (429, "too many requests", None),
        (500, "etcdserver: request timed out", None),
        (503, "the server is currently unable to handle the request", None),
    ],
)
def test_each_refusal_has_a_reason_of_one_vocabulary(status: int, message: str, reason: str | None) -> None:
    found = refusal_of("the Job 'zero-base'", ClusterError(message, status=status))
    assert (found.reason if found else None) == reason
    if found:
        assert found.reason in names.REFUSED_REASONS
        assert message[:60] in found.message


def test_what_a_controller_says_for_a_reason_of_its_own_is_no_refusal_of_a_known_kind() -> None:
    assert reason_of("Error creating: Unauthorized", 0) == ""


@pytest.mark.parametrize(
    "secret",
    [
        'spec.template.spec.containers[0].env[0].value: Invalid value: "hf_' + "a" * 90 + '": too long',
        'spec.template: Invalid value: core.PodTemplateSpec{ObjectMeta:v1.ObjectMeta{Name:"", Env:"hf_'
        + "a" * 9
        + '"}}: field is immutable',
        "data: Invalid value: map[token:[104 102 95] other:hf_" + "a" * 9 + "]: field is immutable",
        'spec: Invalid value: {"env":[{"name":"HF_TOKEN","value":"hf_' + "a" * 9 + '"}]}: field is immutable',
    ],
)
def test_no_value_that_could_be_a_secret_is_repeated(secret: str) -> None:
    said = sentence(f'Job.batch "zero-base" is invalid: {secret}')
    assert "hf_a" not in said
    assert said.startswith('Job.batch "zero-base" is invalid: ')


def test_a_short_value_is_repeated_and_a_long_sentence_is_cut() -> None:
    assert '"7b-zero": a DNS-1035 label' in sentence(NAME)
    assert len(sentence("x" * 5000)) < 1000


async def calm(world: World) -> None:
    """Rounds until nobody has a status to write; what is refused is tried again all the time."""
    for _ in range(40):
        before = sum(count for what, count in world.writes.items() if what.startswith("status "))
        for _ in range(6):  # steps without a word for people lie between
            await round_trip(world)
        if sum(count for what, count in world.writes.items() if what.startswith("status ")) == before:
            return
    raise AssertionError(f"the status is written again and again: {world.writes}")


CREATES = [
    ("create", "PersistentVolumeClaim", RBAC, names.FORBIDDEN),
    ("apply", "ConfigMap", WEBHOOK, names.POLICY_DENIED),
    ("create", "Secret", SILENT, names.WEBHOOK_FAILED),
    ("apply", "ServiceAccount", RBAC, names.FORBIDDEN),
    ("apply", "Role", RBAC, names.FORBIDDEN),
    ("apply", "StatefulSet", WEBHOOK, names.POLICY_DENIED),
    ("create", "Job", JOBS_QUOTA, names.QUOTA_EXCEEDED),
    ("apply", "Deployment", POLICY, names.POLICY_DENIED),
    ("apply", "Service", NAME, names.INVALID),
]


@pytest.mark.parametrize(("verb", "kind", "message", "reason"), CREATES, ids=[f"{row[0]}-{row[1]}" for row in CREATES])
async def test_whatever_is_refused_the_model_says_so_then_is_stalled_then_recovers(
    verb: str, kind: str, message: str, reason: str
) -> None:
    world = World()
    status = 500 if message == SILENT else 422 if message == NAME else 403
    world.refused[verb, kind] = ClusterError(message, status=status)
    world.apply_as_user(model_manifest())
    await calm(world)
    ready, under_way = condition(world, *MODEL[::2]), condition(world, *MODEL[::2], "Reconciling")
    assert (ready["status"], ready["reason"], under_way["reason"]) == ("False", reason, reason)
    assert message[:50] in ready["message"]
    assert condition(world, *MODEL[::2], "Stalled") == {}
    assert ("zero", reason) in {(name, why) for name, why, _ in world.events}, "an Event says it too"
    age(world, MODEL, timedelta(minutes=6))
    await calm(world)
    assert condition(world, *MODEL[::2], "Stalled")["reason"] == reason
    assert condition(world, *MODEL[::2], "Reconciling") == {}
    world.refused.clear()
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING
    assert condition(world, *MODEL[::2], "Applied") == condition(world, *MODEL[::2], "Stalled") == {}


async def test_what_is_refused_is_tried_again_without_haste_and_written_once() -> None:
    world = World()
    world.refused["create", "Job"] = ClusterError(JOBS_QUOTA, status=403)
    world.apply_as_user(model_manifest())
    await settle(world)
    before, told = sum(world.writes.values()), len(world.events)
    for _ in range(10):
        await round_trip(world)
    assert sum(world.writes.values()) == before
    assert len(world.events) == told
    wait = await reconciled(world, "OneSeekModel", "zero")
    assert wait == 10.0
    age(world, MODEL, timedelta(minutes=6))
    await settle(world)
    assert await reconciled(world, "OneSeekModel", "zero") == 60.0


async def reconciled(world: World, kind: str, name: str) -> float | None:
    """One reconcile; seconds until the next look."""
    ports = ("sidecars", "records", "authority") if kind == "OneSeekModel" else ()
    more: dict[str, Any] = dict.fromkeys(ports, world)
    wait: float | None = await RECONCILE[kind]("team", name, cluster=world, settings=SETTINGS, **more)
    return wait


async def test_a_model_that_answers_stays_ready_while_its_tree_job_is_refused() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest())
    world.hold_jobs.add("first-certify")
    await settle(world)
    world.refused["create", "Job"] = ClusterError(JOBS_QUOTA, status=403)
    world.hold_jobs.clear()
    await settle(world)
    assert world.objects[MODEL]["status"]["current"]["dna"].startswith("OneSeek-7B-Zero.v1.0.")
    assert (condition(world, *MODEL[::2])["status"], condition(world, *MODEL[::2])["reason"]) == ("True", names.SERVING)
    assert condition(world, *MODEL[::2], "Reconciling")["reason"] == names.QUOTA_EXCEEDED
    before = sum(world.writes.values())
    await round_trip(world)
    await round_trip(world)
    assert sum(world.writes.values()) == before, "the same refusal is not written again"
    age(world, MODEL, timedelta(minutes=6))
    await settle(world)
    assert condition(world, *MODEL[::2])["status"] == "True"
    assert condition(world, *MODEL[::2], "Stalled")["reason"] == names.QUOTA_EXCEEDED
    world.refused.clear()
    await settle(world)
    assert condition(world, *MODEL[::2], "CurrentPublished")["status"] == "True"
    assert condition(world, *MODEL[::2], "Stalled") == condition(world, *MODEL[::2], "Applied") == {}


@pytest.mark.parametrize(("verb", "kind"), [("apply", "Deployment"), ("apply", "Service"), ("create", "TrainingRun")])
async def test_what_answers_goes_on_and_its_fall_is_seen_whatever_else_is_refused(verb: str, kind: str) -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.refused[verb, kind] = ClusterError(WEBHOOK, status=403)
    if kind == "TrainingRun":
        world.annotate_as_user("OneSeekModel", "zero", **{"major-window": "1"})
    elif kind == "Service":
        world.apply_as_user(model_manifest(serving={"serviceType": "NodePort"}))
    else:
        world.apply_as_user(model_manifest(serving={"replicas": 2}))
    await settle(world)
    assert (condition(world, *MODEL[::2])["status"], condition(world, *MODEL[::2])["reason"]) == (
        "True",
        names.BASE_SERVING,
    )
    assert condition(world, *MODEL[::2], "Reconciling")["reason"] == names.POLICY_DENIED
    assert world.objects[MODEL]["status"]["observedGeneration"] == world.objects[MODEL]["metadata"]["generation"]
    world.pod_statuses[None] = {"conditions": [{"type": "Ready", "status": "False"}]}
    world.sidecar_overrides[None] = None
    await settle(world)
    assert condition(world, *MODEL[::2])["status"] == "False", "what no longer answers is not called Ready"
    world.pod_statuses[None] = {"conditions": [{"type": "Ready", "status": "True"}]}
    world.sidecar_overrides.clear()
    world.refused.clear()
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] in (names.BASE_SERVING, names.SERVING)
    assert condition(world, *MODEL[::2], "Applied") == {}


async def test_a_request_whose_annotation_cannot_be_taken_off_is_not_acted_on() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    dna = world.objects[MODEL]["status"]["current"]["dna"]
    world.refused["annotate", "OneSeekModel"] = ClusterError(POLICY, status=403)
    world.annotate_as_user("OneSeekModel", "zero", rollback="base")
    await settle(world)
    status = world.objects[MODEL]["status"]
    assert (status["request"]["outcome"], status["current"]["dna"]) == ("Pending", dna)
    assert condition(world, *MODEL[::2], "Reconciling")["reason"] == names.POLICY_DENIED
    world.refused.clear()
    await settle(world)
    assert world.objects[MODEL]["status"]["request"]["outcome"] == "Succeeded"
    assert "current" not in world.objects[MODEL]["status"]


async def test_an_event_that_is_refused_keeps_nothing_from_going_on() -> None:
    world = World()
    world.refused["create", "Event"] = ClusterError('events "x" is forbidden: exceeded quota: small', status=403)
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.SERVING


async def test_a_list_that_is_too_large_is_told_and_what_answers_stays_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    before = dict(world.objects[MODEL]["status"])
    sentence = "/apis/oneseek.io/v1alpha1/namespaces/team/trainingruns holds more than 32 MiB"
    there = world.list

    async def too_large(kind: str, *arguments: Any, **options: Any) -> list[Any]:
        if kind == "TrainingRun":
            raise ListTooLargeError(sentence)
        return await there(kind, *arguments, **options)

    monkeypatch.setattr(world, "list", too_large)
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    age(world, MODEL, timedelta(minutes=6))
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "it answers"
    stalled = condition(world, "OneSeekModel", "zero", "Stalled")
    assert (stalled["reason"], stalled["message"]) == (names.LIST_TOO_LARGE, sentence)
    run = condition(world, "TrainingRun", "first")
    assert (run["status"], run["reason"], run["message"]) == ("False", names.LIST_TOO_LARGE, sentence)
    monkeypatch.undo()
    world.remove(world.objects[("TrainingRun", "team", "first")])
    await settle(world)
    after = world.objects[MODEL]["status"]
    assert {item["type"] for item in after["conditions"]} == {item["type"] for item in before["conditions"]}
