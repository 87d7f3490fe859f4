"""The CustomResourceDefinitions: names, columns, subresources and the rules that need the whole object. Pure."""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from oneseek_core.api.schema import openapi_schema
from oneseek_core.api.v1alpha1.model import OneSeekModelSpec
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.api.v1alpha1.training_run import TrainingRunSpec, TrainingRunStatus

__all__ = ["definitions"]

_READY_REASON = ".status.conditions[?(@.type=='Ready')].reason"
_MESSAGE = ".status.conditions[?(@.type=='Ready')].message"
_UNDER_WAY = ".status.conditions[?(@.type=='Reconciling')].reason"
_STALLED = ".status.conditions[?(@.type=='Stalled')].reason"


def definitions() -> dict[str, dict[str, Any]]:
    """File name -> CustomResourceDefinition, one per kind."""
    model = _definition(
        kind="OneSeekModel",
        plural=names.MODELS,
        short="osm",
        schema={"spec": openapi_schema(OneSeekModelSpec), "status": openapi_schema(OneSeekModelStatus)},
        columns=[
            _column("Current", ".status.current.dna"),
            _column("Candidate", ".status.candidate.dna", priority=1),
            _column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
            _column("Reason", _READY_REASON),
            _column("Doing", _UNDER_WAY, description="What is under way, beside what answers"),
            _column("Stalled", _STALLED, priority=1, description="What needs a person"),
            _column("Pin", ".spec.version", priority=1, description="The version that Git names; auto: the newest"),
            _column("Previous", ".status.previous.dna", priority=1),
            _column("Strategy", ".spec.promotion.strategy", priority=1),
            _column("Message", _MESSAGE, priority=1),
        ],
        scale={
            "specReplicasPath": ".spec.serving.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
        rules=[_name_rule(46), _SERVICE_NAME_RULE],
    )
    run = _definition(
        kind="TrainingRun",
        plural=names.TRAINING_RUNS,
        short="trun",
        schema={"spec": openapi_schema(TrainingRunSpec), "status": openapi_schema(TrainingRunStatus)},
        columns=[
            _column("Type", ".spec.type"),
            _column("State", _READY_REASON),
            _column(
                "Progress", ".status.progress.percent", kind="integer", description="Percent of the training steps"
            ),
            _column("Loss", ".status.progress.loss", kind="number"),
            _column("ETA", ".status.progress.etaSeconds", kind="integer", description="Seconds of training left"),
            _column("DNA", ".status.dna"),
            _column("Model", ".spec.modelRef.name", priority=1),
            _column("Attempts", ".status.attempts", kind="integer", priority=1),
            _column("Message", _MESSAGE, priority=1),
        ],
        rules=[_name_rule(52), *_frozen_rules()],
    )
    return {"oneseek.io_oneseekmodels.yaml": model, "oneseek.io_trainingruns.yaml": run}


def _column(name: str, path: str, *, kind: str = "string", priority: int = 0, description: str = "") -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if priority:
        column["priority"] = priority
    if description:
        column["description"] = description
    return column


def _name_rule(limit: int) -> dict[str, str]:
    """Names become parts of label values and of Service and Job names, which are shorter than object names."""
    return {
        "rule": f"self.metadata.name.size() <= {limit} && !self.metadata.name.contains('.')",
        "message": f"metadata.name must have at most {limit} characters and no dot: Jobs and Services are named after it",
    }


# A Service is named after the model, and its name is a DNS label of the older kind (RFC 1035). An object of an earlier
# release that the operator has seen may be changed and deleted.
_SERVICE_NAME_RULE = {
    "rule": (
        "(has(self.status) && has(self.status.observedGeneration) && self.status.observedGeneration >= 0)"
        " || self.metadata.name.matches('^[a-z]')"
    ),
    "message": "metadata.name must begin with a letter: a Service is named after it, such as model-7b instead of 7b-model",
}


def _frozen_rules() -> list[dict[str, str]]:
    """Once a run has started its spec stays as it is, `suspend` apart; one rule a field, so the sentence names it."""
    started = "has(oldSelf.status) && has(oldSelf.status.startedAt)"
    rules = []
    for info in TrainingRunSpec.model_fields.values():
        field = info.alias
        if field is None or field == "suspend":
            continue
        same = f"self.spec.{field} == oldSelf.spec.{field}"
        both = f"has(self.spec.{field}) == has(oldSelf.spec.{field}) && (!has(self.spec.{field}) || {same})"
        rules.append(
            {
                "rule": f"!({started}) || ({both})",
                "message": f"spec.{field} is frozen: the run has started; make another TrainingRun",
            }
        )
    return rules


def _definition(
    *,
    kind: str,
    plural: str,
    short: str,
    schema: dict[str, Any],
    columns: list[dict[str, Any]],
    rules: list[dict[str, str]],
    scale: dict[str, str] | None = None,
) -> dict[str, Any]:
    schema["status"]["default"] = {"observedGeneration": -1}  # a fresh object must never read as done
    top = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **schema,
        },
        "x-kubernetes-validations": rules,
    }
    version: dict[str, Any] = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": top},
        "subresources": {"status": {}, **({"scale": scale} if scale else {})},
        "additionalPrinterColumns": [*columns, _column("Age", ".metadata.creationTimestamp", kind="date")],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["oneseek"],
            },
            "versions": [version],
        },
    }
