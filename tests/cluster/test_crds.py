"""The API server refuses what the types forbid, with a sentence a person understands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.breaches import (
    DATASET,
    FIRESTORE,
    GOOD_OF_MODELS,
    GOOD_OF_RUNS,
    MODEL_BREACHES,
    RUN_BREACHES,
    changed,
    tuned_run,
)
from support.gitops import built
from support.kube import ROOT, Kube, KubectlError, condition
from support.makers import model_manifest, run_manifest

Object = dict[str, Any]


def refused(kube: Kube, manifest: Object) -> str:
    """What the API server says to a manifest; it must be a refusal."""
    with pytest.raises(KubectlError) as error:
        kube.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(manifest))
    return str(error.value)


@pytest.mark.parametrize(("path", "value", "sentence"), MODEL_BREACHES)
def test_a_model_out_of_bounds_is_refused(kube: Kube, path: str, value: Any, sentence: str) -> None:
    assert sentence in refused(kube, changed(model_manifest(namespace=kube.namespace), path, value))


@pytest.mark.parametrize(("path", "value", "sentence"), RUN_BREACHES)
def test_a_run_out_of_bounds_is_refused(kube: Kube, path: str, value: Any, sentence: str) -> None:
    assert sentence in refused(kube, changed(run_manifest(namespace=kube.namespace), path, value))


def test_plain_manifests_are_accepted(kube: Kube) -> None:
    own = {"namespace": kube.namespace}
    tuned = tuned_run() | {"metadata": run_manifest(**own)["metadata"]}
    model, run = model_manifest(**own), run_manifest(**own)
    models = [changed(model, *good) for good in GOOD_OF_MODELS]
    for manifest in (model, run, tuned, *models, *(changed(run, *good) for good in GOOD_OF_RUNS)):
        kube.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(manifest))


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("spec.family", "Other", "family is immutable"),
        ("spec.baseModel.name", "other", "baseModel is immutable"),
        ("spec.baseModel.source", {"image": "other:1"}, "baseModel is immutable"),
        ("spec.storage.size", "2Gi", "storage is immutable"),
    ],
)
def test_what_versions_depend_on_is_immutable(kube: Kube, path: str, value: Any, sentence: str) -> None:
    manifest = model_manifest("immutable", kube.namespace, storage={"size": "1Gi", "storageClassName": "none"})
    kube.apply(manifest)
    with pytest.raises(KubectlError, match=sentence):
        kube.apply(changed(manifest, path, value))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, {"firestore": FIRESTORE}),
        ({"firestore": FIRESTORE}, {"embedded": {}}),
        ({"firestore": FIRESTORE}, {"firestore": {**FIRESTORE, "projectID": "other-project"}}),
        ({"firestore": FIRESTORE}, {"firestore": {**FIRESTORE, "database": "other"}}),
    ],
)
def test_records_stay_where_they_are(kube: Kube, before: Any, after: Any) -> None:
    manifest = model_manifest("records-stay", kube.namespace, storage={"size": "1Gi", "storageClassName": "none"})
    kube.kubectl("delete", "oneseekmodel", "records-stay", "--ignore-not-found", "--wait")
    kube.apply(changed(manifest, "spec.records", before))
    with pytest.raises(KubectlError, match="records stay where they are"):
        kube.apply(changed(manifest, "spec.records", after))
    if before:
        kube.apply(changed(manifest, "spec.records", {"firestore": {**FIRESTORE, "credentialsSecret": "renewed"}}))


FROZEN = [
    ("spec.modelRef.name", "other"),
    ("spec.datasets.0.name", "other"),
    ("spec.language", "sv"),
    ("spec.epochs", 9),
    ("spec.learningRate", 0.5),
    ("spec.batchSize", 3),
    ("spec.maximumLength", 99),
    ("spec.lora.rank", 4),
    ("spec.autoStop", {"patience": 2}),
    ("spec.seed", 7),
    ("spec.precision", "fp32"),
    ("spec.resources", {"limits": {"memory": "1Gi"}}),
    ("spec.activeDeadlineSeconds", 60),
    ("spec.pod.labels", {"team": "x"}),
]


def test_a_started_run_is_frozen_but_for_suspend(kube: Kube) -> None:
    manifest = run_manifest("frozen", "nobody", kube.namespace)
    kube.apply(manifest)
    # Before it starts everything may still change.
    kube.apply(changed(manifest, "spec.epochs", 5))
    status = {"status": {"startedAt": "2026-01-01T00:00:00Z"}}
    kube.kubectl("patch", "trainingrun", "frozen", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    manifest = changed(manifest, "spec.epochs", 5)
    for path, value in FROZEN:
        field = path.split(".")[1]
        with pytest.raises(KubectlError, match=f"spec.{field} is frozen: the run has started"):
            kube.apply(changed(manifest, path, value))
    kube.apply(changed(manifest, "spec.suspend", True))


def test_a_fresh_object_never_reads_as_done(kube: Kube) -> None:
    for number in range(5):  # the operator may be faster than the read: then the status must say how the object stands
        kube.create(model_manifest(f"fresh-{number}", kube.namespace, storage={"claimName": "none"}))
        seen = kube.get("oneseekmodel", f"fresh-{number}")
        assert seen is not None
        status = seen["status"]
        assert status["observedGeneration"] == -1 or condition(seen)["status"] == "False"


def test_defaults_are_stored_so_that_an_object_says_what_it_was_made_with(kube: Kube) -> None:
    text = kube.kubectl(
        "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(run_manifest(namespace=kube.namespace))
    )
    spec = json.loads(text)["spec"]
    assert spec["lora"]["rank"] == 16
    assert spec["learningRate"] == 0.0002
    assert spec["language"] == "auto"


def test_the_columns_tell_the_story(kube: Kube) -> None:
    kube.apply(run_manifest("columns", "nobody", kube.namespace))
    head = kube.kubectl("get", "trun").splitlines()[0].split()
    assert head == ["NAME", "TYPE", "STATE", "PROGRESS", "LOSS", "ETA", "DNA", "AGE"]
    kube.apply(model_manifest("columns", kube.namespace, storage={"claimName": "none"}))
    head = kube.kubectl("get", "osm").splitlines()[0].split()
    assert head == ["NAME", "CURRENT", "READY", "REASON", "DOING", "AGE"]
    assert "columns" in kube.kubectl("get", "oneseek"), "both kinds are in the category"


@pytest.mark.parametrize(
    "path",
    sorted(path for path in (ROOT / "examples").rglob("*.yaml") if "gitops" not in path.parts),
    ids=lambda path: path.parent.name + "/" + path.name,
)
def test_the_examples_are_accepted(kube: Kube, path: Path) -> None:
    kube.kubectl("create", "--dry-run=server", "--validate=strict", "-f", str(path))


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_what_the_gitops_examples_build_is_accepted(kube: Kube, environment: str) -> None:
    """The folders hold patches and other tools' objects; what a cluster gets is what kustomize makes of them."""
    for item in built(environment):
        item["metadata"]["namespace"] = kube.namespace
        kube.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(item))


def test_a_gate_without_a_held_out_set_is_refused(kube: Kube) -> None:
    gate = {"gate": {"minimumScores": {"exact": 0.5}}}
    said = refused(kube, model_manifest(namespace=kube.namespace, promotion=gate))
    assert "promotion.gate needs training.evaluation.dataset" in said


def test_a_signing_key_without_its_public_half_is_refused(kube: Kube) -> None:
    said = refused(kube, model_manifest(namespace=kube.namespace, certification={"signingKeySecret": "ours"}))
    assert "signingKeySecret needs trustedKeys" in said


MORE_MODEL_BREACHES = [
    ("spec.retention.keepVersions", 0, "spec.retention.keepVersions"),
    ("spec.retention.keepVersions", 33, "spec.retention.keepVersions"),
    ("spec.certification.verifyIntervalSeconds", 1, "spec.certification.verifyIntervalSeconds"),
    ("spec.certification.trustedKeys", ["-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"], "trustedKeys"),
    ("spec.records.embedded.size", "big", "spec.records.embedded.size"),
    ("spec.training.evaluation", {}, "spec.training.evaluation.dataset"),
    ("spec.serving.rateLimits.enabled", "no", "spec.serving.rateLimits.enabled"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), MORE_MODEL_BREACHES)
def test_what_proves_a_model_has_bounds_too(kube: Kube, path: str, value: Any, sentence: str) -> None:
    assert sentence in refused(kube, changed(model_manifest(namespace=kube.namespace), path, value))


@pytest.mark.parametrize("score", ["factsContained", "exact"])
def test_scores_are_shares(kube: Kube, score: str) -> None:
    evaluation = {"evaluation": {"dataset": DATASET}}
    gate = {"gate": {"minimumScores": {score: 1.1}}}
    said = refused(kube, model_manifest(namespace=kube.namespace, training=evaluation, promotion=gate))
    assert f"spec.promotion.gate.minimumScores.{score}" in said
