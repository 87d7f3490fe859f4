"""What a run sets for its pods in `spec.pod`, if the schema allows it now: a run stored by another release may hold more. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oneseek_core.api.v1alpha1.common import ANNOTATIONS, CODE_IN_ENV, ENV_NAMES, LABELS
from oneseek_core.api.v1alpha1.training_run import TrainingRun

__all__ = ["devices", "env", "placement", "pod_annotations", "pod_labels"]

_DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION")


def placement(run: TrainingRun) -> dict[str, Any]:
    """Fields of the pod's spec that choose its node and runtime."""
    placed = run.spec.pod
    fields = {
        "nodeSelector": placed.node_selector,
        "priorityClassName": placed.priority_class_name,
        "runtimeClassName": placed.runtime_class_name,
    }
    return {key: value for key, value in fields.items() if value}


def pod_labels(run: TrainingRun) -> dict[str, str]:
    """The pod's labels."""
    return _taken(run.spec.pod.labels, LABELS)


def pod_annotations(run: TrainingRun) -> dict[str, str]:
    """The pod's annotations."""
    return _taken(run.spec.pod.annotations, ANNOTATIONS)


def env(run: TrainingRun) -> list[dict[str, Any]]:
    """Variables of the container that trains."""
    known = [item for item in run.spec.pod.env if re.fullmatch(ENV_NAMES, item.name)]
    return [item.to_wire() for item in known if not re.search(CODE_IN_ENV, item.name)]


def devices(run: TrainingRun) -> list[dict[str, Any]]:
    """Those variables without which the evaluating container may find no device; others could tune the scores."""
    return [item for item in env(run) if item["name"] in _DEVICES]


def _taken(given: Mapping[str, str], pattern: str) -> dict[str, str]:
    return {key: value for key, value in given.items() if re.fullmatch(pattern, key)}
