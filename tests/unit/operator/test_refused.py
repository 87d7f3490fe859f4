"""What the API server refuses, to the operator or to a controller that makes pods: the object says it, and recovers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_operator.errors import ClusterError
from oneseek_operator.observe.refusals import reason_of, refusal_of, sentence
from support.driver import RECONCILE, age, condition, round_trip, settle
from support.makers import HELDOUT, SETTINGS, model_manifest, run_manifest
from support.world import World

JOBS_QUOTA = 'jobs.batch "zero-base" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0'
PODS_QUOTA = 'pods "zero-base-x7f2p" is forbidden: failed quota: small: must specify limits.cpu for: main; limits.memory for: main'
SECURITY = 'pods "zero-base-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
RBAC = 'persistentvolumeclaims is forbidden: User "system:serviceaccount:sys:oneseek-operator" cannot create resource "persistentvolumeclaims" in API group "" in the namespace "team"'
WEBHOOK = 'admission webhook "validate.kyverno.svc-fail" denied the request: resource Deployment/team/zero was blocked'
POLICY = "deployments.apps \"zero-0\" is forbidden: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: image is not signed"
SILENT = 'Internal error occurred: failed calling webhook "validate.kyverno.svc": no endpoints available for service "kyverno-svc"'
LIMIT = 'pods "zero-base-x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi'
NAME = (
    'Service "7b-zero" is invalid: metadata.name: Invalid value: "7b-zero": a DNS-1035 label must consist of lower case'
)
MODEL = ("OneSeekModel", "team", "zero")


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


@pytest.mark.parametrize("step", ["prepare", "train", "evaluate", "certify"])
async def test_a_run_whose_job_is_refused_says_so_is_stalled_and_goes_on(step: str) -> None:
    world = World()
    world.apply_as_user(model_manifest(training=HELDOUT))
    before = {"train": "prepare", "evaluate": "train", "certify": "evaluate"}.get(step)
    world.hold_jobs |= {f"first-{before}"} if before else set()
    await settle(world)
    world.apply_as_user(run_manifest())
    if before:
        await settle(world)
    world.refused["create", "Job"] = ClusterError(JOBS_QUOTA.replace("zero-base", f"first-{step}"), status=403)
    world.hold_jobs.clear()
    await settle(world)
    key = ("TrainingRun", "first")
    assert condition(world, *key)["reason"] == names.QUOTA_EXCEEDED
    assert f"the Job 'first-{step}'" in condition(world, *key)["message"]
    assert condition(world, *key, "Reconciling")["reason"] == names.QUOTA_EXCEEDED
    age(world, ("TrainingRun", "team", "first"), timedelta(minutes=6))
    await settle(world)
    assert condition(world, *key, "Stalled")["reason"] == names.QUOTA_EXCEEDED
    world.refused.clear()
    await settle(world)
    assert condition(world, *key)["reason"] == names.CERTIFIED
    assert condition(world, *key, "Applied") == {}


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


PODS = [(PODS_QUOTA, names.QUOTA_EXCEEDED), (SECURITY, names.POD_SECURITY_VIOLATION), (LIMIT, names.FORBIDDEN)]
PODS += [(WEBHOOK, names.POLICY_DENIED), ("the node is on fire", names.FAILED_CREATE)]


@pytest.mark.parametrize(("message", "reason"), PODS, ids=[row[1] for row in PODS])
async def test_pods_that_are_never_made_are_told_with_the_api_servers_sentence(message: str, reason: str) -> None:
    world = World()
    world.pods_refused = message
    world.apply_as_user(model_manifest())
    await settle(world)
    ready = condition(world, *MODEL[::2])
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert message[:50] in ready["message"]
    assert "zero-base" in ready["message"]
    assert 0 < (await reconciled(world, "OneSeekModel", "zero") or 0) <= 5.0, "no watch tells that a pod is not made"
    age(world, MODEL, timedelta(minutes=6))
    await settle(world)
    assert condition(world, *MODEL[::2], "Stalled")["reason"] == reason
    assert (await reconciled(world, "OneSeekModel", "zero") or 0) >= 10.0
    world.pods_refused = ""
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING


@pytest.mark.parametrize("step", ["prepare", "train", "evaluate", "certify"])
async def test_a_runs_pod_that_is_never_made_is_told(step: str) -> None:
    world = World()
    world.apply_as_user(model_manifest(training=HELDOUT))
    await settle(world)
    world.hold_jobs.add(f"first-{step}")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.pods_refused = PODS_QUOTA
    world.hold_jobs.clear()
    await settle(world)
    key = ("TrainingRun", "first")
    assert condition(world, *key)["reason"] == names.QUOTA_EXCEEDED
    assert f"no pod is made for Job 'first-{step}'" in condition(world, *key)["message"]
    age(world, ("TrainingRun", "team", "first"), timedelta(minutes=6))
    await settle(world)
    assert condition(world, *key, "Stalled")["reason"] == names.QUOTA_EXCEEDED
    world.pods_refused = ""
    await settle(world)
    assert condition(world, *key)["reason"] == names.CERTIFIED


async def test_an_engine_a_records_service_and_a_second_replica_without_a_pod_are_told() -> None:
    world = World()
    world.hold_jobs.add("zero-base")
    world.apply_as_user(model_manifest())
    await settle(world)
    world.hold_jobs.clear()
    tick = world.tick

    def engines_only() -> None:
        world.pods_refused = ""
        tick()

    await round_trip(world)
    world.tick()
    world.pods_refused = PODS_QUOTA
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.QUOTA_EXCEEDED
    assert "no pod is made for Deployment" in condition(world, *MODEL[::2])["message"]
    engines_only()
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING
    world.pods_refused = PODS_QUOTA
    world.objects["StatefulSet", "team", "zero-records"]["status"] = {}
    await settle(world)
    assert condition(world, *MODEL[::2], "RecordsAvailable")["reason"] == names.QUOTA_EXCEEDED
    assert (condition(world, *MODEL[::2])["status"], condition(world, *MODEL[::2], "Reconciling")["reason"]) == (
        "True",
        names.QUOTA_EXCEEDED,
    )
    age(world, MODEL, timedelta(minutes=6))
    await settle(world)
    assert condition(world, *MODEL[::2], "Stalled")["reason"] == names.QUOTA_EXCEEDED
    engines_only()
    await settle(world)
    assert condition(world, *MODEL[::2], "Stalled") == {}
    world.pods_refused = PODS_QUOTA
    world.apply_as_user(model_manifest(serving={"replicas": 2}))
    await settle(world)
    assert condition(world, *MODEL[::2])["status"] == "True", "one of the two answers"
    assert condition(world, *MODEL[::2], "Reconciling")["reason"] == names.QUOTA_EXCEEDED


async def test_a_candidate_whose_pod_a_quota_refuses_gives_way_to_the_engine_that_runs() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.hold_jobs.add("first-certify")
    world.apply_as_user(run_manifest())
    await settle(world)
    tick = world.tick

    def refuse_engines() -> None:
        tick()
        world.pods_refused = PODS_QUOTA
        for (kind, _, _), item in world.objects.items():
            for one in item["status"].get("conditions", []) if kind == "Deployment" else []:
                one["lastTransitionTime"] = "2025-01-01T00:00:00Z"

    world.hold_jobs.clear()
    await round_trip(world)
    world.tick = refuse_engines  # type: ignore[method-assign]
    await settle(world)
    status = world.objects[MODEL]["status"]
    assert status["current"]["dna"].startswith("OneSeek-7B-Zero.v1.0.")
    assert (status["strategy"]["name"], status["strategy"]["reason"]) == ("HotSwap", names.NO_ROOM)


async def test_a_suspended_model_starts_nothing_and_begins_when_it_is_resumed() -> None:
    world = World()
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    assert not [key for key in world.objects if key[0] in ("Job", "StatefulSet", "Deployment", "Service", "Pod")]
    assert not [key for key in world.objects if key[0] == "PersistentVolumeClaim"]
    assert condition(world, *MODEL[::2])["reason"] == names.SUSPENDED
    assert condition(world, *MODEL[::2], "Reconciling") == condition(world, *MODEL[::2], "Stalled") == {}
    before = sum(world.writes.values())
    await round_trip(world)
    assert sum(world.writes.values()) == before
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING


async def test_a_model_suspended_later_has_no_pod_left_and_comes_back_with_its_version() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    dna = world.objects[MODEL]["status"]["current"]["dna"]
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    assert not world.serving_pods()
    assert world.objects["StatefulSet", "team", "zero-records"]["spec"]["replicas"] == 0
    assert condition(world, *MODEL[::2])["reason"] == names.SUSPENDED
    assert world.objects[MODEL]["status"]["current"]["dna"] == dna
    world.apply_as_user(model_manifest())
    await settle(world)
    assert world.objects["StatefulSet", "team", "zero-records"]["spec"]["replicas"] == 1
    assert condition(world, *MODEL[::2])["reason"] == names.SERVING


async def test_a_model_suspended_while_its_base_is_imported_stops_its_records_and_goes_on_when_resumed() -> None:
    world = World()
    world.hold_jobs.add("zero-base")
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(model_manifest(suspend=True))
    world.hold_jobs.clear()
    await settle(world)
    assert world.objects["StatefulSet", "team", "zero-records"]["spec"]["replicas"] == 0
    assert not [key for key in world.objects if key[0] == "Deployment"]
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, *MODEL[::2])["reason"] == names.BASE_SERVING
    assert world.created_jobs["zero-base"] == 1


async def test_records_of_a_suspended_model_run_while_a_run_or_a_request_needs_them() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.hold_jobs.add("first-train")
    world.apply_as_user(run_manifest())
    await settle(world)
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    records = world.objects["StatefulSet", "team", "zero-records"]["spec"]
    assert records["replicas"] == 1, "the run under way goes on, and what it makes is entered"
    world.hold_jobs.clear()
    await settle(world)
    records = world.objects["StatefulSet", "team", "zero-records"]["spec"]
    assert records["replicas"] == 0
    assert "certify" in {entry.type for entry in world.ledger.values()}
    assert world.objects[MODEL]["status"]["outbox"] == []


INVALID = 'Job.batch "first-train" is invalid: spec.template.spec.nodeSelector: Invalid value: "gpu!": a valid label must be an empty string or consist of alphanumeric characters'
RUN = ("TrainingRun", "team", "first")


async def ready_to_train(*, held: str = "") -> World:
    """A model that answers, and two runs, of which the first has come to the Job `held`."""
    world = World()
    world.hold_jobs |= {held} if held else set()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest())
    await settle(world)
    world.apply_as_user(run_manifest("second"))
    return world


@pytest.mark.parametrize(("step", "before"), [("prepare", ""), ("train", "first-prepare"), ("certify", "first-train")])
async def test_a_job_that_is_invalid_ends_the_run_at_once_and_frees_the_queue(step: str, before: str) -> None:
    world = World()
    world.hold_jobs |= {before} if before else set()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest())
    if before:
        await settle(world)
    world.apply_as_user(run_manifest("second"))
    sentence = INVALID.replace("first-train", f"first-{step}")
    world.refused["create", "Job"] = ClusterError(sentence, status=422)
    world.hold_jobs.clear()
    for _ in range(3):
        await round_trip(world)
        world.refused = {} if "completedAt" in world.objects[RUN]["status"] else world.refused
    status = world.objects[RUN]["status"]
    assert condition(world, *RUN[::2], "Stalled")["reason"] == names.INVALID
    assert f"the API server refuses the Job 'first-{step}': {sentence}" in status["exitReason"]
    assert "oneseek.io/retry" in condition(world, *RUN[::2])["message"]
    assert condition(world, *RUN[::2], "Applied") == {}
    await settle(world)
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED
    world.annotate_as_user("TrainingRun", "first", retry="true")
    await settle(world)
    assert condition(world, *RUN[::2])["reason"] == names.CERTIFIED, "and it can be retried"


LASTING = [(POLICY, names.POLICY_DENIED), (SECURITY, names.POD_SECURITY_VIOLATION), (RBAC, names.FORBIDDEN)]
PASSING = [(403, JOBS_QUOTA, names.QUOTA_EXCEEDED), (500, SILENT, names.WEBHOOK_FAILED)]


@pytest.mark.parametrize(("message", "reason"), LASTING, ids=[row[1] for row in LASTING])
async def test_a_refusal_that_no_waiting_mends_ends_the_run_after_a_while(message: str, reason: str) -> None:
    world = await ready_to_train(held="first-prepare")
    world.refused["create", "Job"] = ClusterError(message, status=403)
    world.hold_jobs.clear()
    await settle(world)
    assert condition(world, *RUN[::2], "Reconciling")["reason"] == reason, "a person may mend it meanwhile"
    assert condition(world, "TrainingRun", "second")["reason"] == names.QUEUED
    age(world, RUN, timedelta(minutes=6))
    await round_trip(world)
    assert condition(world, *RUN[::2], "Stalled")["reason"] == reason
    assert message[:50] in world.objects[RUN]["status"]["exitReason"]
    world.refused.clear()
    await settle(world)
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED


async def test_a_refusal_that_is_mended_while_no_operator_ran_ends_nothing() -> None:
    world = await ready_to_train(held="first-prepare")
    world.refused["create", "Job"] = ClusterError(POLICY, status=403)
    world.hold_jobs.clear()
    await settle(world)
    age(world, RUN, timedelta(hours=6))
    world.refused.clear()
    await settle(world)
    assert condition(world, *RUN[::2])["reason"] == names.CERTIFIED


@pytest.mark.parametrize(("status", "message", "reason"), PASSING, ids=[row[2] for row in PASSING])
async def test_a_refusal_that_passes_is_waited_for_and_the_queue_says_what_is_the_matter(
    status: int, message: str, reason: str
) -> None:
    world = await ready_to_train(held="first-prepare")
    world.refused["create", "Job"] = ClusterError(message, status=status)
    world.hold_jobs.clear()
    await settle(world)
    age(world, RUN, timedelta(hours=6))
    await settle(world)
    assert condition(world, *RUN[::2], "Stalled")["reason"] == reason
    assert "completedAt" not in world.objects[RUN]["status"]
    queued = condition(world, "TrainingRun", "second", "Stalled")
    assert queued["reason"] == names.QUEUED
    assert (
        f"waiting for the run 'first': a model trains one run at a time, and that one is stuck ({reason}: "
        in queued["message"]
    )
    assert "mend that, or delete 'first'" in queued["message"]
    world.refused.clear()
    await settle(world)
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED


@pytest.mark.parametrize("step", ["prepare", "train", "certify"])
async def test_a_pod_that_is_refused_for_good_ends_the_run_and_its_job(step: str) -> None:
    world = await ready_to_train(held=f"first-{step}")
    world.pods_refused = SECURITY
    world.hold_jobs.clear()
    await settle(world)
    assert condition(world, *RUN[::2], "Reconciling")["reason"] == names.POD_SECURITY_VIOLATION
    age(world, RUN, timedelta(minutes=6))
    await round_trip(world)
    status = world.objects[RUN]["status"]
    assert condition(world, *RUN[::2], "Stalled")["reason"] == names.POD_SECURITY_VIOLATION
    assert f"no pod is made for Job 'first-{step}'" in status["exitReason"]
    world.pods_refused = ""
    await settle(world)
    assert ("Job", "team", f"first-{step}") not in world.objects
    assert condition(world, "TrainingRun", "second")["reason"] == names.CERTIFIED
