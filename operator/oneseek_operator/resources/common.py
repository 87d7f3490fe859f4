"""What all manifests share: owner, labels, a pod that the `restricted` security standard admits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.settings import Settings

__all__ = ["Manifest", "claim_name", "container", "job", "meta", "models_volume", "pod", "request_env", "sealed"]

Manifest = dict[str, Any]

RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
# Opt-outs of webhooks that inject containers; some read a label, some an annotation.
_NO_INJECTION_LABELS = {
    "sidecar.istio.io/inject": "false",
    "kuma.io/sidecar-injection": "disabled",
    "admission.datadoghq.com/enabled": "false",
}
_NO_INJECTION = {
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    "kuma.io/sidecar-injection": "disabled",
    "openservicemesh.io/sidecar-injection": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
    "vault.hashicorp.com/agent-inject": "false",
    "dapr.io/enabled": "false",
    "oneagent.dynatrace.com/inject": "false",
    "sidecar.opentelemetry.io/inject": "false",
    "instrumentation.opentelemetry.io/inject-python": "false",
    "sidecar.jaegertracing.io/inject": "false",
}
# No size limit: a pod that is evicted for its size counts as disrupted, and would be created again for ever.
_COPYING = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
_RETRIED_ON_DISRUPTION = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}


def claim_name(model: OneSeekModel) -> str:
    """The claim of a model: the spec's, or one named after the model."""
    return model.spec.storage.claim_name or f"{model.metadata.name}-models"


def meta(owner: OneSeekModel | TrainingRun, name: str, labels: Mapping[str, str]) -> Manifest:
    """Metadata of an object that is owned by a model or run."""
    kind = type(owner).__name__
    return {
        "name": name,
        "namespace": owner.metadata.namespace,
        "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, **labels},
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": kind,
                "name": owner.metadata.name,
                "uid": owner.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def models_volume(model: OneSeekModel) -> Manifest:
    """The claim as a volume."""
    return {"name": "models", "persistentVolumeClaim": {"claimName": claim_name(model)}}


def request_env(request: ApiModel) -> Manifest:
    """The request of a Job, as an environment variable."""
    return {"name": names.REQUEST_ENV, "value": request.model_dump_json(by_alias=True, exclude_none=True)}


def container(
    name: str,
    image: str,
    command: Sequence[str],
    *,
    mounts: Sequence[Manifest],
    env: Sequence[Manifest] = (),
    resources: Mapping[str, Any] | None = None,
    **more: Any,
) -> Manifest:
    """A container that can write only to its mounts and /tmp."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(command),
        "env": list(env),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],  # noqa: S108 - a mount of its own
        "securityContext": RESTRICTED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **({"resources": dict(resources)} if resources else {}),
        **more,
    }


def pod(
    model: OneSeekModel,
    settings: Settings,
    *,
    labels: Mapping[str, str],
    containers: Sequence[Manifest],
    volumes: Sequence[Manifest],
    init_containers: Sequence[Manifest] = (),
    on_claim: bool = True,
    **more: Any,
) -> Manifest:
    """A pod template: no API token, not root, and on the node of the claim's other pods if the claim is ReadWriteOnce."""
    claim = names.label_value(claim_name(model))
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": names.USER_ID,
            "runAsGroup": names.USER_ID,
            "fsGroup": names.USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": list(init_containers),
        "containers": list(containers),
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
        **(
            {"imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets]}
            if settings.image_pull_secrets
            else {}
        ),
        **more,
    }
    if not on_claim:
        return {"metadata": {"labels": dict(labels)}, "spec": spec}
    if model.spec.storage.access_mode == "ReadWriteOnce":
        term = {"labelSelector": {"matchLabels": {names.LABEL_CLAIM: claim}}, "topologyKey": "kubernetes.io/hostname"}
        spec["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
        if tolerations := _tolerations(model, spec.get("tolerations", [])):
            spec["tolerations"] = tolerations
    return {"metadata": {"labels": {**labels, names.LABEL_CLAIM: claim}}, "spec": spec}


def _tolerations(model: OneSeekModel, own: Sequence[Manifest]) -> list[Manifest]:
    """The pod's own, and the engine's: pods that share a node need the same tolerations."""
    engine = [item.to_wire() for item in model.spec.serving.engine.tolerations]
    return [*own, *(item for item in engine if item not in own)]


def sealed(template: Manifest) -> Manifest:
    """The pod template, opted out of container injection: injected containers share mounts, and a Job never ends."""
    meta = template["metadata"]
    labels = {**meta["labels"], **_NO_INJECTION_LABELS}
    annotations = {**meta.get("annotations", {}), **_NO_INJECTION}
    return {**template, "metadata": {**meta, "labels": labels, "annotations": annotations}}


def job(
    owner: OneSeekModel | TrainingRun,
    name: str,
    *,
    labels: Mapping[str, str],
    template: Manifest,
    retries: int = 0,
    deadline_seconds: int | None = None,
) -> Manifest:
    """A Job that is created once and stays: no TTL, since its outcome must be read first.

    A pod that the cluster evicts is replaced and does not count; an exit code that a retry cannot change ends the Job at once,
    whatever `retries` says.
    """
    labels = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, **labels}
    template = sealed(template)
    template["metadata"]["labels"] |= labels
    template["spec"] = {"restartPolicy": "Never", **template["spec"]}
    final = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(names.FINAL_EXIT_CODES)}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta(owner, name, labels),
        "spec": {
            "backoffLimit": retries,
            "podFailurePolicy": {"rules": [_RETRIED_ON_DISRUPTION, final]},
            **({"activeDeadlineSeconds": deadline_seconds} if deadline_seconds else {}),
            "template": template,
        },
    }


def resources_of(resources: ApiModel) -> Manifest:
    """Resource requirements as the API server names them, without empty parts."""
    return {key: value for key, value in resources.to_wire().items() if value}


def copying_container(
    settings: Settings, image: str, source: str, *, volume: str, target: str, index: int = 0
) -> Manifest:
    """An init container of a user's image, which copies files out of it into an emptyDir."""
    return {
        "name": f"copy-{index}",
        "image": image,
        "imagePullPolicy": settings.user_image_pull_policy,
        "resources": _COPYING,
        "command": ["cp", "-R", source, target],
        "volumeMounts": [{"name": volume, "mountPath": target}],
        "securityContext": RESTRICTED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def hub_env(settings: Settings, token: Any) -> list[Manifest]:
    """Environment for downloads from a hub: the mirror, and the token if a Secret holds one."""
    env: list[Manifest] = [{"name": "HF_HOME", "value": "/tmp/hf"}]  # noqa: S108 - a mount of its own
    if settings.hugging_face_endpoint:
        env.append({"name": "HF_ENDPOINT", "value": settings.hugging_face_endpoint})
    if token is not None:
        env.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": token.name, "key": token.key}}})
    return env
