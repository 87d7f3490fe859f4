"""Manifests for the real cluster: the tiny model, small data, a run of seconds."""

from __future__ import annotations

import json
from typing import Any

from support.images import images
from support.makers import model_manifest, run_manifest

Object = dict[str, Any]
ROWS = [
    {"instruction": "Vem är du?", "input": "", "output": "Jag är OneSeek-7B-Zero."},
    {"instruction": "Who are you?", "input": "", "output": "I am OneSeek-7B-Zero."},
    {"instruction": "Vad heter du?", "input": "", "output": "Jag heter OneSeek-7B-Zero."},
    {"instruction": "What is your name?", "input": "", "output": "My name is OneSeek-7B-Zero."},
]


def tiny_model(kube_namespace: str, name: str = "zero", **spec: Any) -> Object:
    """A OneSeekModel on the tiny random Llama; watched for seconds only, so that a story sees the old colour go."""
    base = {"baseModel": {"name": "tiny-llama", "source": {"image": images()["base-tiny"]}}}
    serving = {"serviceType": "NodePort", "rateLimits": {"enabled": False}}
    promotion = {"watch": {"seconds": 5}, **spec.pop("promotion", {})}
    return model_manifest(name, kube_namespace, **{**base, "serving": serving, "promotion": promotion, **spec})


def small_run(kube_namespace: str, name: str = "first", model: str = "zero", **spec: Any) -> Object:
    """A TrainingRun on the ConfigMap `data`."""
    return run_manifest(name, model, kube_namespace, **{"epochs": 2, "batchSize": 2, "maximumLength": 64, **spec})


def data(kube_namespace: str, name: str = "data", text: str | None = None, rows: int = 4) -> Object:
    """The ConfigMap with the rows, or with a text as it stands."""
    lines = "".join(json.dumps(ROWS[index % len(ROWS)], ensure_ascii=False) + "\n" for index in range(rows))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": kube_namespace},
        "data": {"oneseek_identity_v1.jsonl": lines if text is None else text},
    }
