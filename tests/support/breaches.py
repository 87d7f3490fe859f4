"""Manifests that the API server must refuse, and what its sentence holds: (path, value there, sentence).

The cluster's tests hold them against a real API server, the plugin's against `kubectl oneseek lint`: both must agree.
"""

from __future__ import annotations

import copy
from typing import Any

from support.makers import run_manifest

Object = dict[str, Any]
HUB = {"repo": "owner/name"}
FIRESTORE = {"projectID": "team-records", "credentialsSecret": "firestore"}
ELSEWHERE = {"name": "GPT-X", "url": "https://api.example.org/v1", "model": "gpt-x"}


def changed(manifest: Object, path: str, value: Any) -> Object:
    """A copy with the value at a dotted path; None removes it."""
    out = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    node: Any = out
    for part in parents:
        node = node[int(part)] if part.isdigit() else node.setdefault(part, {})
    if value is None:
        node.pop(last, None)
    elif isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value
    return out


# What every object that the operator makes would be refused for, and what is said of it before one is made.
NO_NAMES = ("a..b", "a.-b", "-a", "A", "a_b", "a.", "a/b")
NO_KEYS = ("", "a b", "-a", "a.", "x" * 64, "A.B/c", "a..b/c", "/a", "a/", "a/b/c", "å")
NO_VALUES = ("a b", "-a", "a-", "x" * 64, "a/b", "å")
_KEY, _VALUE = "a name consists of at most 63 letters", "a value consists of at most 63 letters"
LABELS = [*(({key: "x"}, _KEY) for key in NO_KEYS), *(({"team": value}, _VALUE) for value in NO_VALUES)]
QUANTITIES = [
    ({"cpu": "lots"}, "cpu"),
    ({"cpu": "-1"}, "cpu"),
    ({"cpu": -1}, "cpu"),
    ({"memory": "1GB"}, "memory"),
    ({"gpu": "1"}, "other resources are named with their vendor, such as nvidia.com/gpu"),
    ({"nvidia.com/": "1"}, "other resources are named with their vendor"),
]
TOLERATIONS = [
    ({"value": "x"}, "a toleration without key tolerates every taint, and needs operator Exists to say so"),
    ({"key": "a", "operator": "Exists", "value": "x"}, "a toleration with operator Exists has no value"),
    ({"key": "a", "tolerationSeconds": 5}, "tolerationSeconds goes with effect NoExecute alone"),
    ({"key": "a b"}, "a taint's key consists of at most 63 letters"),
    ({"key": "a", "value": "a b"}, "a taint's value consists of at most 63 letters"),
]
# And what must be taken, at both kinds' places for it.
_LABELS = {"team": "", "example.org/Team_1.a": "A-b_c.1", "a": "x" * 63, "x" * 63: "1"}
_RESOURCES = {"cpu": 2, "memory": "1.5Gi", "nvidia.com/gpu": "1", "hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi"}
_TOLERATIONS = [
    {"operator": "Exists"},
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
    {"key": "a", "value": "b"},
    {"key": "a", "operator": "Exists", "value": ""},
]
GOOD_OF_MODELS = [
    ("spec.serving.engine.nodeSelector", _LABELS),
    ("spec.serving.engine.resources", {"requests": _RESOURCES, "limits": _RESOURCES}),
    ("spec.serving.engine.tolerations", _TOLERATIONS),
    *(("spec.storage", {"claimName": name}) for name in ("a", "0", "a-b.c-1", "a.b")),
]
GOOD_OF_RUNS = [
    ("spec.pod", {"labels": _LABELS, "nodeSelector": _LABELS, "annotations": _LABELS, "tolerations": _TOLERATIONS}),
    ("spec.resources", {"requests": _RESOURCES, "limits": _RESOURCES}),
]

MODEL_BREACHES = [
    ("spec.baseModel.source", {}, "set exactly one of huggingFace, image and path"),
    ("spec.baseModel.source", {"image": "a:1", "path": "x"}, "set exactly one of huggingFace, image and path"),
    ("spec.baseModel.source", {"image": "a:1", "huggingFace": HUB}, "set exactly one of huggingFace, image and path"),
    ("spec.baseModel.source", {"path": "../etc"}, "spec.baseModel.source.path"),
    ("spec.baseModel.source", {"path": "a/.hidden"}, "spec.baseModel.source.path"),
    ("spec.baseModel.source", {"path": "/etc"}, "spec.baseModel.source.path"),
    ("spec.baseModel.source", {"huggingFace": {"repo": "a/b/c"}}, "spec.baseModel.source.huggingFace.repo"),
    ("spec.baseModel.source", {"huggingFace": {"repo": "a", "revision": "x y"}}, "revision"),
    ("spec.baseModel.source", {"image": "bad image"}, "spec.baseModel.source.image"),
    ("spec.baseModel.name", "../x", "spec.baseModel.name"),
    ("spec.baseModel.name", "x" * 97, "spec.baseModel.name"),
    ("spec.baseModel.name", None, "spec.baseModel.name"),
    ("spec.baseModel.digest", "sha256:zz", "spec.baseModel.digest"),
    ("spec.baseModel", None, "spec.baseModel"),
    ("spec.storage", None, "spec.storage"),
    ("spec.storage", {}, "set exactly one of claimName (a claim of yours) and size"),
    ("spec.storage", {"claimName": "a", "size": "1Gi"}, "set exactly one of claimName (a claim of yours) and size"),
    ("spec.storage", {"claimName": "a", "storageClassName": "b"}, "storageClassName goes with size"),
    ("spec.storage", {"size": "large"}, "spec.storage.size"),
    ("spec.storage", {"size": "1Gi", "accessMode": "ReadOnlyMany"}, "spec.storage.accessMode"),
    ("spec.storage", {"size": "1Gi", "reclaimPolicy": "Recycle"}, "spec.storage.reclaimPolicy"),
    ("spec.storage", {"claimName": "Not_A_Name"}, "spec.storage.claimName"),
    ("spec.records", {"embedded": {}, "firestore": FIRESTORE}, "set one of embedded and firestore"),
    ("spec.records", {"firestore": {"projectID": "team-records"}}, "set exactly one of credentialsSecret (a service"),
    ("spec.records", {"firestore": {**FIRESTORE, "emulatorHost": "a:1"}}, "set exactly one of credentialsSecret"),
    ("spec.records", {"firestore": {"credentialsSecret": "firestore"}}, "spec.records.firestore.projectID"),
    ("spec.records", {"firestore": {**FIRESTORE, "projectID": "A"}}, "spec.records.firestore.projectID"),
    ("spec.records", {"firestore": {**FIRESTORE, "database": "a/b"}}, "spec.records.firestore.database"),
    ("spec.records", {"firestore": {"projectID": "team-records", "emulatorHost": "here"}}, "emulatorHost"),
    ("spec.records", {"firestore": {**FIRESTORE, "credentialsSecret": "Not_A_Name"}}, "credentialsSecret"),
    ("spec.family", "7B", "spec.family"),
    ("spec.family", "a.b", "spec.family"),
    ("spec.family", "x" * 64, "spec.family"),
    ("spec.serving.replicas", -1, "spec.serving.replicas"),
    ("spec.serving.replicas", 101, "spec.serving.replicas"),
    ("spec.serving.serviceType", "ExternalName", "spec.serving.serviceType"),
    ("spec.serving.engine.type", "Magic", "spec.serving.engine.type"),
    ("spec.serving.engine.resources", {"limits": {"memory": "lots"}}, "spec.serving.engine.resources.limits.memory"),
    ("spec.serving.engine.nodeSelector", {str(n): "x" for n in range(17)}, "spec.serving.engine.nodeSelector"),
    ("spec.serving.engine.tolerations", [{"key": str(n)} for n in range(17)], "spec.serving.engine.tolerations"),
    ("spec.serving.engine.tolerations", [{"effect": "Never"}], "effect"),
    *(("spec.serving.engine.tolerations", [value], told) for value, told in TOLERATIONS),
    *(("spec.serving.engine.nodeSelector", value, told) for value, told in LABELS),
    *(("spec.serving.engine.resources", {"requests": value}, told) for value, told in QUANTITIES),
    *(("spec.serving.engine.runtimeClassName", value, "runtimeClassName") for value in NO_NAMES),
    *(("spec.storage", {"claimName": value}, "spec.storage.claimName") for value in NO_NAMES),
    *(("spec.storage", {"size": value}, "spec.storage.size") for value in ("-1Gi", "1GB", -1)),
    *(
        ("spec.certification", {"signingKeySecret": value, "trustedKeys": ["x"]}, "signingKeySecret")
        for value in NO_NAMES
    ),
    ("spec.serving.rateLimits.concurrentPerClient", 0, "spec.serving.rateLimits.concurrentPerClient"),
    ("spec.serving.rateLimits.concurrentPerClient", 1025, "spec.serving.rateLimits.concurrentPerClient"),
    ("spec.serving.cors.allowedOrigins", ["front.example.org"], "spec.serving.cors.allowedOrigins[0]"),
    ("spec.serving.cors.allowedOrigins", ["null"], "spec.serving.cors.allowedOrigins[0]"),
    ("spec.serving.cors.allowedOrigins", ["https://front.example.org/app"], "spec.serving.cors.allowedOrigins[0]"),
    ("spec.serving.cors.allowedOrigins", ["https://a,https://b"], "spec.serving.cors.allowedOrigins[0]"),
    ("spec.serving.cors.allowedOrigins", ["*"] * 17, "spec.serving.cors.allowedOrigins"),
    ("spec.serving.externalModels", [{**ELSEWHERE, "maximumPerHour": 0}], "externalModels[0].maximumPerHour"),
    (
        "spec.serving.externalModels",
        [{**ELSEWHERE, "url": "api.example.org"}],
        "url is the base of an OpenAI-compatible API",
    ),
    ("spec.serving.externalModels", [{**ELSEWHERE, "url": "ftp://api.example.org"}], "url is the base of"),
    (
        "spec.serving.externalModels",
        [{**ELSEWHERE, "url": "https://me:secret@api.example.org/v1"}],
        "with no user, query",
    ),
    (
        "spec.serving.externalModels",
        [{**ELSEWHERE, "url": "https://api.example.org/v1?key=secret"}],
        "goes into keySecret",
    ),
    ("spec.serving.externalModels", [{**ELSEWHERE, "name": ""}], "spec.serving.externalModels[0].name"),
    ("spec.serving.externalModels", [{**ELSEWHERE, "name": "a/b"}], "spec.serving.externalModels[0].name"),
    ("spec.serving.externalModels", [{"name": "GPT-X", "url": "https://a/v1"}], "spec.serving.externalModels[0].model"),
    ("spec.serving.externalModels", [{**ELSEWHERE, "model": "gpt x"}], "spec.serving.externalModels[0].model"),
    ("spec.serving.externalModels", [{**ELSEWHERE, "timeoutSeconds": 0}], "externalModels[0].timeoutSeconds"),
    ("spec.serving.externalModels", [{**ELSEWHERE, "timeoutSeconds": 121}], "externalModels[0].timeoutSeconds"),
    ("spec.serving.externalModels", [{**ELSEWHERE, "keySecret": {"name": "A_B"}}], "externalModels[0].keySecret.name"),
    (
        "spec.serving.externalModels",
        [{**ELSEWHERE, "key": "secret"}],
        'unknown field "spec.serving.externalModels[0].key"',
    ),
    ("spec.serving.externalModels", [ELSEWHERE, ELSEWHERE], "spec.serving.externalModels[1]"),
    ("spec.serving.externalModels", [{**ELSEWHERE, "name": f"m{n}"} for n in range(9)], "spec.serving.externalModels"),
    ("spec.promotion.keepWarmSeconds", -1, "spec.promotion.keepWarmSeconds"),
    ("spec.promotion.keepWarmSeconds", 86401, "spec.promotion.keepWarmSeconds"),
    ("spec.training.micro.minimumQuestions", 0, "spec.training.micro.minimumQuestions"),
    ("spec.training.micro.debounceSeconds", 3601, "spec.training.micro.debounceSeconds"),
    ("spec.training.micro.maximumPerHour", 0, "spec.training.micro.maximumPerHour"),
    ("spec.training.micro.enabled", "maybe", "spec.training.micro.enabled"),
    ("spec.training.defaults.learningRate", 2, "spec.training.defaults.learningRate"),
    ("spec.training.defaults.lora.rank", 0, "spec.training.defaults.lora.rank"),
    (
        "spec.training.evaluation",
        {"dataset": {"name": "held-out", "source": {"records": {"window": 1}}}},
        "what clients sent is no held-out set: give evaluation.dataset another source than records",
    ),
    (
        "spec.training.datasets",
        [{"name": "d", "source": {"records": {"window": 1}}}],
        "a window of the records is no dataset of the model",
    ),
    (
        "spec.training.datasets",
        [{"name": "conversation-1", "source": {"path": "a.jsonl"}}],
        "names that begin with conversation- are those of windows",
    ),
    ("spec.training.datasets", [{"name": "d", "source": {}}], "set exactly one of configMap"),
    (
        "spec.training.datasets",
        [{"name": f"d{n}", "source": {"path": "a.jsonl"}} for n in range(16)],
        "spec.training.datasets",
    ),
    ("spec.imports", [{}], "set exactly one of image and path"),
    ("spec.imports", [{"image": "a:1", "path": "x"}], "set exactly one of image and path"),
    ("spec.imports", [{"path": "oneseek-certified"}], "where versions are put by OneSeek alone"),
    ("spec.imports", [{"path": "oneseek-certified/x"}], "where versions are put by OneSeek alone"),
    ("spec.imports", [{"path": "a/../b"}], "path"),
    ("spec.imports", [{"path": f"x{n}"} for n in range(9)], "spec.imports"),
    ("spec.colour", "blue", 'unknown field "spec.colour"'),
    ("metadata.name", "a.b", "no dot"),
    ("metadata.name", "phi-3.5-mini", "no dot"),
    ("metadata.name", "x" * 47, "at most 46 characters"),
    ("metadata.name", "7b-zero", "must begin with a letter"),
    ("metadata.name", "0", "must begin with a letter"),
    ("metadata.name", "3", "must begin with a letter"),
]
REFUSED_ENV = (
    *(
        "PATH",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "ONESEEK_REQUEST",
        "HF_ENDPOINT",
        "HF_TOKEN",
    ),
    *("NCCL_NET_PLUGIN", "NCCL_TUNER_PLUGIN", "NCCL_CONF_FILE", "CUDA_INJECTION64_PATH", "OMP_TOOL_LIBRARIES"),
    *(
        "HSA_TOOLS_LIB",
        "TORCH_EXTENSIONS_DIR",
        "TORCH_DEVICE_BACKEND_AUTOLOAD",
        "CUDA_HOME",
        "HTTPS_PROXY",
        "GCONV_PATH",
    ),
    *("NVIDIA_VISIBLE_DEVICES", "MALLOC_", "nccl_debug", "XNCCL_DEBUG", "SSL_CERT_FILE", "TRANSFORMERS_CACHE"),
)
TAKEN_ENV = (
    *("NCCL_DEBUG", "NCCL_SOCKET_IFNAME", "NCCL_IB_HCA", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
    *("PYTORCH_CUDA_ALLOC_CONF", "TOKENIZERS_PARALLELISM", "TORCH_NCCL_BLOCKING_WAIT", "CUBLAS_WORKSPACE_CONFIG"),
)
REFUSED_LABELS = (
    *("oneseek.io/model", "app.kubernetes.io/name", "sidecar.istio.io/inject", "azure.workload.identity/use"),
    *("admission.datadoghq.com/enabled", "evil.kueue.x-k8s.io.example.org/queue-name", "kueueXx-k8s.io/queue-name"),
)
REFUSED_ANNOTATIONS = (
    *("sidecar.istio.io/inject", "inject.istio.io/templates", "linkerd.io/inject", "vault.hashicorp.com/agent-inject"),
    *("gke-gcsfuse/volumes", "iam.amazonaws.com/role", "k8s.v1.cni.cncf.io/networks", "note"),
    "container.apparmor.security.beta.kubernetes.io/main",
)
TAKEN_KEYS = ("kueue.x-k8s.io/podset-required-topology", "karpenter.sh/do-not-disrupt", "cloud.google.com/x")
DATASET = run_manifest()["spec"]["datasets"][0]
RUN_BREACHES = [
    ("spec.modelRef", None, "spec.modelRef"),
    ("spec.modelRef", {"name": "Bad_Name"}, "spec.modelRef.name"),
    ("spec.type", "Minor", "spec.type"),
    ("spec.datasets", None, "spec.datasets"),
    ("spec.datasets", [], "spec.datasets"),
    ("spec.datasets", [{**DATASET, "name": f"d{n}"} for n in range(17)], "spec.datasets"),
    ("spec.datasets", [DATASET, DATASET], "spec.datasets[1]"),
    ("spec.datasets.0.source", {}, "set exactly one of configMap, path, image, huggingFace and records"),
    ("spec.datasets.0.source", {"path": "a", "configMap": {"name": "a", "key": "b"}}, "set exactly one of configMap"),
    ("spec.datasets.0.source", {"path": "a/../b"}, "path"),
    ("spec.datasets.0.source", {"configMap": {"name": "a"}}, "key"),
    ("spec.datasets.0.source", {"image": {"reference": "a:1"}}, "path"),
    ("spec.datasets.0.source", {"huggingFace": {"repo": "a/b"}}, "file"),
    ("spec.datasets.0.source", {"records": {}}, "window"),
    ("spec.datasets.0.source", {"records": {"window": 0}}, "spec.datasets[0].source.records.window"),
    ("spec.type", "Micro", "a Micro run learns from what clients sent: every dataset of it has source.records"),
    ("spec.datasets.0.name", "a/b", "name"),
    ("spec.datasets.0.digest", "md5:1", "digest"),
    ("spec.language", "fi", "spec.language"),
    ("spec.epochs", 0, "spec.epochs"),
    ("spec.epochs", 1001, "spec.epochs"),
    ("spec.learningRate", 0, "spec.learningRate"),
    ("spec.learningRate", 1.5, "spec.learningRate"),
    ("spec.learningRate", "fast", "spec.learningRate"),
    ("spec.batchSize", 0, "spec.batchSize"),
    ("spec.maximumLength", 8, "spec.maximumLength"),
    ("spec.lora.targetModules", ["all-linear"], "name the base model's linear layers, such as q_proj; all-linear"),
    ("spec.lora.targetModules", [".*_proj"], "all-linear and patterns are not taken"),
    ("spec.lora.targetModules", "all-linear", "targetModules"),
    ("spec.lora.rank", 0, "spec.lora.rank"),
    ("spec.lora.rank", 257, "spec.lora.rank"),
    ("spec.lora.alpha", 0, "spec.lora.alpha"),
    ("spec.lora.dropout", 1, "spec.lora.dropout"),
    ("spec.lora.targetModules", [], "spec.lora.targetModules"),
    ("spec.lora.targetModules", ["q_proj", "q_proj"], "spec.lora.targetModules"),
    ("spec.lora.targetModules", ["a b"], "spec.lora.targetModules"),
    ("spec.autoStop", {"metric": "Luck"}, "spec.autoStop.metric"),
    ("spec.autoStop", {"patience": 0}, "spec.autoStop.patience"),
    ("spec.autoStop", {"threshold": -1}, "spec.autoStop.threshold"),
    ("spec.seed", -1, "spec.seed"),
    ("spec.precision", "int4", "spec.precision"),
    ("spec.activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds"),
    ("spec.resources", {"limits": {"memory": "-1"}}, "spec.resources.limits.memory"),
    *(("spec.pod.env", [{"name": name, "value": "x"}], "decide what code runs") for name in REFUSED_ENV),
    ("spec.pod.env", [{"name": "1X"}], "name"),
    ("spec.pod.env", [{"name": f"X{n}"} for n in range(33)], "spec.pod.env"),
    ("spec.pod.labels", {"oneseek.io/model": "x"}, "a label of your own goes without a prefix"),
    ("spec.pod.labels", {"app.kubernetes.io/name": "x"}, "a label of your own goes without a prefix"),
    ("spec.pod.labels", {"batch.kubernetes.io/job-name": "x"}, "a label of your own goes without a prefix"),
    ("spec.pod.labels", {"controller-uid": "x"}, "are set by Kubernetes itself; use another name"),
    *(("spec.pod.labels", value, told) for value, told in LABELS),
    *(("spec.pod.nodeSelector", value, told) for value, told in LABELS),
    *(("spec.pod.annotations", {key: "x"}, "a name consists of at most 63 letters") for key in NO_KEYS),
    *(("spec.pod.tolerations", [value], told) for value, told in TOLERATIONS),
    *(("spec.pod.priorityClassName", value, "priorityClassName") for value in NO_NAMES),
    *(("spec.resources", {"limits": value}, told) for value, told in QUANTITIES),
    *(("spec.datasets.0.source", {"configMap": {"name": value, "key": "a"}}, "configMap.name") for value in NO_NAMES),
    *(("spec.modelRef", {"name": value}, "spec.modelRef.name") for value in NO_NAMES),
    *(("spec.pod.labels", {name: "x"}, "a label of your own goes without a prefix") for name in REFUSED_LABELS),
    *(("spec.pod.annotations", {name: "x"}, "a webhook obeys them") for name in REFUSED_ANNOTATIONS),
    ("spec.pod.nodeSelector", {str(n): "x" for n in range(17)}, "spec.pod.nodeSelector"),
    ("spec.pod.containers", [], 'unknown field "spec.pod.containers"'),
    ("metadata.name", "x" * 53, "at most 52 characters"),
]


def tuned_run() -> Object:
    """A run that asks for all that may be asked for of its pods."""
    asked = {
        "env": [{"name": name, "value": "1"} for name in TAKEN_ENV],
        "labels": {"team": "nlp", **dict.fromkeys(TAKEN_KEYS, "x")},
        "annotations": dict.fromkeys(TAKEN_KEYS, "x"),
    }
    return changed(run_manifest(), "spec.pod", asked)
