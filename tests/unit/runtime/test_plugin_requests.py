from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oneseek_runtime.plugin.answers import Clock
from oneseek_runtime.plugin.gitops import owner_of
from oneseek_runtime.plugin.versions import find
from support.plugin_objects import ONE, THREE, TWO, Cluster, condition, model, run

ROLLBACK, PROMOTE = "oneseek.io/rollback", "oneseek.io/promote"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
FIELDS = {"f:metadata": {"f:annotations": {f"f:{PROMOTE}": {}}}}


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    waited = 0.0

    def sleep(_clock: Clock, seconds: float) -> None:
        nonlocal waited
        waited += seconds

    monkeypatch.setattr(Clock, "sleep", sleep)  # only waiting takes time here, however slow the machine is
    monkeypatch.setattr(Clock, "monotonic", lambda _clock: waited)
    made = Cluster(tmp_path, capsys)
    failed = [condition("Ready", "False", "OutOfMemory"), condition("Stalled", "True", "OutOfMemory")]
    made.objects = [model(), run("typo", conditions=failed)]
    made.operator = {verb: {} for verb in ("rollback", "promote", "release", "reset", "retry")}
    return made


def written(cluster: Cluster) -> list[str]:
    """What was annotated: key=value."""
    return [
        pair for call in cluster.calls() if call[0] == "annotate" for pair in call if pair.startswith("oneseek.io/")
    ]


@pytest.mark.parametrize(
    ("arguments", "annotation"),
    [
        ("promote demo", "promote=candidate"),
        (f"promote demo {ONE}", f"promote={ONE}"),
        ("promote osm/demo v1", f"promote={ONE}"),
        ("rollback demo", "rollback=previous"),
        ("rollback demo base", "rollback=base"),
        ("rollback demo 88e5477b", f"rollback={ONE}"),
        ("release demo all", "release=all"),
        ("release demo v3.0", f"release={THREE}"),
        ("reset demo --confirm RESET", "reset=RESET"),
        ("retry typo", "retry=true"),
    ],
    ids=str,
)
def test_a_request_is_one_annotation_that_says_who_asks(cluster: Cluster, arguments: str, annotation: str) -> None:
    code, out, err = cluster(*arguments.split(), "--no-wait")
    assert (code, err) == (0, "")
    assert out.startswith("asked   ")
    assert written(cluster) == [f"oneseek.io/{annotation}", "oneseek.io/requested-by=åsa@example.org"]


def test_the_outcome_is_waited_for_and_told(cluster: Cluster) -> None:
    cluster.operator = {"release": {"message": "may answer again"}, "retry": {}}
    assert cluster("release", "demo", "all") == (0, "succeeded   demo: release all\nDone: may answer again\n", "")
    assert cluster("retry", "typo")[0] == 0


def test_the_document_of_a_request_is_its_status(cluster: Cluster) -> None:
    cluster.operator = {"rollback": {"dna": ONE, "message": f"{ONE} answers"}}
    found = cluster.json("rollback", "demo")
    assert found == {
        "name": "demo", "namespace": "team", "id": "1", "verb": "rollback", "value": "previous", "dna": ONE,
        "requestedBy": "åsa@example.org", "outcome": "Succeeded", "reason": "Done", "message": f"{ONE} answers",
        "createdAt": "2026-03-10T12:00:00Z", "completedAt": "2026-03-10T12:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize("outcome", ["Refused", "Failed"])
def test_what_the_operator_refuses_is_told_with_its_reason(cluster: Cluster, outcome: str) -> None:
    sentence = "spec.version names another version: change it in Git"
    cluster.operator = {"promote": {"outcome": outcome, "reason": "PinnedByGit", "message": sentence}}
    code, out, err = cluster("promote", "demo", TWO)
    assert (code, err) == (1, "")
    assert out == f"{outcome.lower()}   demo: promote {TWO}\nPinnedByGit: {sentence}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            "promote demo v9", f"NoSuchVersion: demo has no version v9; there are candidate, {THREE}", id="none"
        ),
        pytest.param(
            "rollback demo dsIdentity", f"AmbiguousVersion: dsIdentity may be any of {THREE}, {ONE}", id="two"
        ),
        pytest.param("reset demo", "NotConfirmed: it would delete all 3 versions of demo for ever", id="unsaid"),
        pytest.param("reset demo --confirm yes", "NotConfirmed", id="another word"),
    ],
)
def test_what_makes_no_sense_is_refused_and_never_asked(cluster: Cluster, arguments: str, said: str) -> None:
    code, out, err = cluster(*arguments.split())
    assert (code, err) == (1, "")
    assert said in out
    assert written(cluster) == []


PENDING = {
    "id": "7", "verb": "promote", "value": TWO, "requestedBy": "bo@example.org", "outcome": "Pending",
    "reason": "Requested", "message": "the preview is being probed", "createdAt": "2026-03-10T11:59:00Z",
}  # fmt: skip


def test_who_asks_while_another_request_is_under_way_is_told_whose(cluster: Cluster) -> None:
    cluster.objects[0]["status"]["request"] = PENDING
    cluster.operator = None
    code, out, _ = cluster("rollback", "demo")
    assert code == 1
    assert f"RequestPending: bo@example.org asked demo for promote {TWO}" in out
    assert "under way (the preview is being probed)" in out
    assert written(cluster) == []


def test_a_request_that_was_not_taken_up_yet_is_not_overwritten(cluster: Cluster) -> None:
    cluster.objects[0]["metadata"]["annotations"] = {PROMOTE: TWO, "oneseek.io/requested-by": "bo@example.org"}
    cluster.operator = None
    code, out, _ = cluster("rollback", "demo")
    assert code == 1
    assert f"bo@example.org has asked demo for promote {TWO} and the operator has not taken it up yet" in out
    assert "`kubectl annotate osm demo oneseek.io/promote-`" in out


CARRIED = [
    pytest.param({"annotations": {APPLIED: json.dumps({"metadata": {"annotations": {PROMOTE: TWO}}})}}, id="apply"),
    pytest.param(
        {"managedFields": [{"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": FIELDS}]}, id="Flux"
    ),
    pytest.param({"managedFields": [{"manager": "helm", "operation": "Update", "fieldsV1": FIELDS}]}, id="Helm"),
]


@pytest.mark.parametrize("metadata", CARRIED)
def test_an_annotation_that_a_manifest_carries_is_in_the_way_of_its_own_verb_alone(
    cluster: Cluster, metadata: dict[str, Any]
) -> None:
    carries = {PROMOTE: TWO, **metadata.get("annotations", {})}
    cluster.objects[0]["metadata"] |= {**metadata, "annotations": carries}
    cluster.operator = None
    code, out, _ = cluster("promote", "demo", ONE, "--no-wait")
    assert (code, "RequestInManifest: a manifest carries oneseek.io/promote" in out) == (1, True)
    assert cluster("rollback", "demo", "--no-wait")[0] == 0


def test_a_conflict_is_looked_at_again_and_then_tried_again(cluster: Cluster) -> None:
    cluster.conflicts = 2
    assert cluster("rollback", "demo")[0] == 0
    assert written(cluster).count("oneseek.io/rollback=previous") == 3


def test_an_object_that_never_rests_is_given_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneseek_runtime.plugin.requests._ATTEMPTS", 2)
    cluster.conflicts = 99
    code, out, err = cluster("rollback", "demo")
    assert (code, out) == (2, "")
    assert "demo is being changed all the time; nothing was asked for" in err


def test_an_operator_that_does_not_run_is_no_outcome(cluster: Cluster) -> None:
    cluster.operator = None
    code, out, _ = cluster("rollback", "demo", "--wait=1s")
    assert code == 2
    assert "no outcome within 1s: the operator has not taken it up; does it run?" in out
    assert cluster.objects[0]["metadata"]["annotations"][ROLLBACK] == "previous"


def test_a_request_that_takes_too_long_tells_how_far_it_is(cluster: Cluster) -> None:
    cluster.operator = {}
    code, out, _ = cluster("rollback", "demo", "--wait=1s")
    assert code == 2
    assert "no outcome within 1s: it is under way since 2026-03-10T12:00:00Z: Requested: under way" in out


def test_no_wait_only_asks(cluster: Cluster) -> None:
    code, out, _ = cluster("rollback", "demo", "--no-wait")
    assert (code, out.startswith("asked   demo: rollback previous")) == (0, True)
    assert cluster.objects[0]["metadata"]["annotations"][ROLLBACK] == "previous"


def test_wait_takes_its_value_behind_an_equals_sign_only(cluster: Cluster) -> None:
    assert cluster("rollback", "--wait", "demo")[0] == 0
    code, _, err = cluster("rollback", "demo", "--wait=soon")
    assert (code, "'soon' is no duration; write 30s, 5m or 1h30m" in err) == (2, True)


def test_an_old_kubectl_asks_without_a_name_and_says_so(cluster: Cluster) -> None:
    cluster.whoami = None
    code, _, err = cluster("rollback", "demo")
    assert (code, "the request does not say who asks" in err) == (0, True)
    assert written(cluster) == ["oneseek.io/rollback=previous"]


def test_who_may_not_ask_gets_the_api_servers_sentence(cluster: Cluster) -> None:
    cluster.forbidden = ["patch"]
    code, out, err = cluster("rollback", "demo")
    assert (code, out, "User cannot patch it" in err) == (2, "", True)


def test_an_object_that_is_being_deleted_is_asked_for_nothing(cluster: Cluster) -> None:
    cluster.objects[0]["metadata"]["deletionTimestamp"] = "2026-03-10T11:00:00Z"
    assert cluster("rollback", "demo")[:2] == (
        1, "refused   demo: rollback previous\nDeleting: demo is being deleted\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TWO, [TWO]),
        ("v2", [TWO]),
        ("2.0", []),
        ("v2.0", [TWO]),
        ("0f3c", [TWO]),
        ("0f3", []),
        ("v1.0.ensv", [ONE]),
        ("ensv", [ONE, TWO]),
        ("v", []),
        ("", []),
    ],
)
def test_a_version_is_found_by_any_part_that_is_its_own(text: str, found: list[str]) -> None:
    assert find(text, [ONE, TWO, THREE]) == found


# ---- pause and resume


def test_pause_and_resume_write_the_spec_as_the_user_and_wait_for_the_operator(cluster: Cluster) -> None:
    cluster.operator = {"suspend": "Serving"}
    code, out, err = cluster("pause", "demo")
    assert (code, err) == (0, "")
    assert out == "succeeded   demo: pause\nSuspended: as it was asked\n"
    assert cluster.objects[0]["spec"]["suspend"] is True
    assert cluster("pause", "demo")[:2] == (0, "succeeded   demo: pause\nUnchanged: demo is suspended already\n")
    assert cluster.json("resume", "osm/demo")["outcome"] == "Succeeded"
    assert cluster.objects[0]["spec"]["suspend"] is False


def test_a_pause_nobody_acts_on_is_no_outcome(cluster: Cluster) -> None:
    code, out, _ = cluster("pause", "demo", "--wait=1s")
    assert (code, "spec.suspend is written; not acted on within 1s" in out) == (2, True)


def test_a_run_that_is_over_cannot_be_paused(cluster: Cluster) -> None:
    assert "Ended: typo is over (OutOfMemory)" in cluster("pause", "typo")[1]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nobody", "there is neither a OneSeekModel nor a TrainingRun nobody"),
        ("both", "both is a model and a run: say osm/both or trun/both"),
        ("pod/demo", "pod is neither osm (OneSeekModel) nor trun (TrainingRun)"),
        ("trun/demo", '"demo" not found'),
    ],
)
def test_what_is_meant_must_be_clear(cluster: Cluster, target: str, said: str) -> None:
    cluster.objects += [model("both"), run("both")]
    code, out, err = cluster("pause", target)
    assert (code, out) == (2, "")
    assert said in err


def managed(manager: str, operation: str = "Apply", **more: Any) -> dict[str, Any]:
    fields = {"f:spec": {"f:suspend": {}, "f:family": {}}}
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


FLUX = {"kustomize.toolkit.fluxcd.io/name": "models", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
ARGO = {"argocd.argoproj.io/tracking-id": "models:oneseek.io/OneSeekModel:team/demo"}


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        pytest.param(
            {"managedFields": [managed("kustomize-controller")], "labels": FLUX},
            "kustomize-controller (Kustomization flux-system/models)",
            id="Flux",
        ),
        pytest.param(
            {"managedFields": [managed("argocd-controller")], "annotations": ARGO},
            "argocd-controller (Application models)",
            id="Argo CD, server side",
        ),
        pytest.param(
            {
                "managedFields": [managed("argocd-controller", "Update")],
                "annotations": {APPLIED: '{"spec": {"suspend": false}}'},
            },
            "argocd-controller",
            id="Argo CD, client side",
        ),
        pytest.param(
            {
                "managedFields": [managed("argocd-controller", "Update")],
                "annotations": {APPLIED: '{"spec": {"family": "x"}}'},
            },
            None,
            id="a default of the schema",
        ),
        pytest.param({"managedFields": [managed("kubectl-client-side-apply", "Update")]}, None, id="a person"),
        pytest.param({"managedFields": [managed("kustomize-controller", subresource="status")]}, None, id="status"),
        pytest.param(
            {"managedFields": [managed("kustomize-controller", fieldsV1={"f:spec": {"f:family": {}}})]},
            None,
            id="other fields",
        ),
        pytest.param({}, None, id="nobody"),
    ],
)
def test_a_field_belongs_to_gitops_where_its_controller_would_put_it_back(
    metadata: dict[str, Any], owner: str | None
) -> None:
    found = owner_of({"metadata": metadata}, ("spec", "suspend"))
    assert (str(found) if found else None) == owner


def test_a_pause_that_gitops_would_undo_is_refused_with_the_place_to_change(cluster: Cluster) -> None:
    cluster.objects[0]["metadata"] |= {"managedFields": [managed("kustomize-controller")], "labels": FLUX}
    code, out, _ = cluster("pause", "demo")
    assert code == 1
    assert "OwnedByGitOps: spec.suspend is kept by kustomize-controller (Kustomization flux-system/models)" in out
    assert "set suspend: true in Git" in out
    assert not [call for call in cluster.calls() if call[0] == "patch"]
