"""Types that both kinds use: sources, resources, scheduling. Bounds are there so that CEL's cost stays small."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from oneseek_core.api.base import SUBDOMAIN, ApiModel, DigestText, Name, RelativePath, cel

__all__ = [
    "ANNOTATIONS",
    "CODE_IN_ENV",
    "ENV_NAMES",
    "LABELS",
    "Dataset",
    "HuggingFaceSource",
    "Resources",
    "Scores",
    "SecretKey",
    "Toleration",
]


def _text_of(value: object) -> object:
    """`cpu: 2` in YAML is a number, and the API server takes it as one."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_text_of),
    Field(
        max_length=32,
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$",
            "minimum": 0,
        },
    ),
]
# What Kubernetes takes as the name and as the value of a label. They are rules of the schema alone: an object that the
# release before took stays readable.
_PART = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_QUALIFIED = f"^({SUBDOMAIN}/)?{_PART}$"
_VALUE = f"^({_PART})?$"
_QUALIFIED_TOLD = "consists of at most 63 letters, digits, -, _ and ., and may stand behind a domain and a slash, such as example.org/team"
_VALUE_TOLD = "consists of at most 63 letters, digits, -, _ and ., and begins and ends with a letter or a digit"
KEY_RULE = (f"self.all(key, key.matches('{_QUALIFIED}'))", f"a name {_QUALIFIED_TOLD}")
VALUE_RULE = (f"self.all(key, self[key].matches('{_VALUE}'))", f"a value {_VALUE_TOLD}")
LabelText = Annotated[str, Field(max_length=253)]
StringMap = Annotated[
    dict[Annotated[str, Field(max_length=316)], LabelText], Field(json_schema_extra=cel(KEY_RULE, VALUE_RULE))
]


class SecretKey(ApiModel):
    """One key of a Secret in the object's namespace."""

    name: Name = Field(description="Name of the Secret.")
    key: str = Field(default="token", max_length=253, pattern=r"^[A-Za-z0-9._-]+$", description="Key within it.")


class HuggingFaceSource(ApiModel):
    """A repository of a Hugging Face hub (or a mirror: the chart's `huggingFace.endpoint`)."""

    repo: str = Field(
        max_length=200,
        pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$",
        description="Repository id, `owner/name`.",
    )
    revision: str = Field(
        default="main",
        max_length=200,
        pattern=r"^[A-Za-z0-9._/-]+$",
        description="Branch, tag or commit. Pin a commit hash: a branch moves.",
    )
    token_secret: SecretKey | None = Field(
        default=None, description="Secret with an access token, for private repositories."
    )


_KNOWN = "['cpu', 'memory', 'ephemeral-storage']"
ResourceMap = Annotated[
    dict[Annotated[str, Field(max_length=253)], Quantity],
    Field(
        json_schema_extra=cel(
            (
                f"self.all(key, key in {_KNOWN} || key.startsWith('hugepages-') || key.matches('^{SUBDOMAIN}/{_PART}$'))",
                (
                    "Kubernetes knows cpu, memory, ephemeral-storage and hugepages-SIZE; other resources are named with their"
                    " vendor, such as nvidia.com/gpu"
                ),
            )
        )
    ),
]


class Resources(ApiModel):
    """Compute resources of the container that does the work; extended resources (GPUs) go here too."""

    requests: ResourceMap = Field(default={}, max_length=16)
    limits: ResourceMap = Field(default={}, max_length=16)


class Toleration(ApiModel):
    """A taint the pods tolerate; the fields are those of `core/v1`."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
                "a toleration without key tolerates every taint, and needs operator Exists to say so",
            ),
            (
                "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
                "a toleration with operator Exists has no value",
            ),
            (
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                "tolerationSeconds goes with effect NoExecute alone",
            ),
            (
                f"!has(self.key) || self.key == '' || self.key.matches('{_QUALIFIED}')",
                f"a taint's key {_QUALIFIED_TOLD}",
            ),
            (f"!has(self.value) || self.value.matches('{_VALUE}')", f"a taint's value {_VALUE_TOLD}"),
        )
    }

    key: str | None = Field(default=None, max_length=316)
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = Field(default=None, max_length=63)
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = Field(default=None, ge=0, le=2_000_000_000)


# What may be set of a pod from outside. Lists of what may, and not of what may not: nobody knows every variable that loads
# code, and every annotation that some cluster's webhook takes for an order.
ENV_NAMES = (
    "(NCCL|GLOO|TORCH_NCCL|TORCH_DISTRIBUTED|OMP|KMP|MKL|OPENBLAS|NUMEXPR|RAYON|CUDA|CUBLAS|CUDNN|PYTORCH|TOKENIZERS"
    "|MALLOC|HIP|HSA|ROCR)_[A-Z0-9_]+|NVIDIA_TF32_OVERRIDE|NVIDIA_DRIVER_CAPABILITIES|TORCH_CPP_LOG_LEVEL"
)
CODE_IN_ENV = "PATH|PRELOAD|PLUGIN|LIB|FILE|DIRECTORY|_DIR$|HOME|INJECTION|TOOL|HOOK"
ANNOTATIONS = (
    (
        "(kueue.x-k8s.io|scheduling.x-k8s.io|scheduling.volcano.sh|volcano.sh|yunikorn.apache.org|cluster-autoscaler.kubernetes.io"
        "|karpenter.sh|descheduler.alpha.kubernetes.io|cloud.google.com|autopilot.gke.io|kubernetes.azure.com|prometheus.io)/.+"
    )
    .replace(".", "[.]")
    .replace("/[.]+", "/.+")
)
LABELS = f"[^/]+|{ANNOTATIONS}"


class EnvVar(ApiModel):
    """A literal environment variable for the container that trains."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                f"self.name.matches('^({ENV_NAMES})$') && !self.name.matches('{CODE_IN_ENV}')",
                (
                    "only variables that tune libraries may be set (NCCL_*, GLOO_*, OMP_*, MKL_*, CUDA_*, PYTORCH_*,"
                    " TOKENIZERS_* and their like), and none that names a path, file, library, plug-in or tool: those decide"
                    " what code runs"
                ),
            )
        )
    }

    name: str = Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    value: str = Field(default="", max_length=4096)


class ScoreSet(ApiModel):
    """What a version scored on held-out questions, by real generation."""

    questions: int = Field(ge=0)
    facts_contained: float = Field(
        ge=0, le=1, description="Mean over the questions of the share of facts that the answer holds."
    )
    exact: float = Field(ge=0, le=1, description="Share of the questions whose answer holds every fact.")
    loss: float | None = Field(
        default=None, description="Nats per label token on the reference answers, where there are any."
    )


class Scores(ScoreSet):
    """The scores over all held-out questions, and by language."""

    by_language: dict[Annotated[str, Field(max_length=8)], ScoreSet] = Field(default={}, max_length=4)


ImageReference = Annotated[str, Field(max_length=512, min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")]
PathOnClaim = RelativePath


class ConfigMapSource(ApiModel):
    """One key of a ConfigMap in the run's namespace."""

    name: Name
    key: str = Field(max_length=253, pattern=r"^[A-Za-z0-9._-]+$")


class ImageDataset(ApiModel):
    """A file in an image that has a `cp`."""

    reference: ImageReference
    path: PathOnClaim = Field(description="Path of the JSONL file below the image's root, without a leading slash.")


class HuggingFaceDataset(HuggingFaceSource):
    """A JSONL file of a dataset repository."""

    file: PathOnClaim = Field(description="Path of the JSONL file within the repository.")


class RecordsSource(ApiModel):
    """What clients gave to learn from over HTTP: a closed window of the model's records service."""

    window: int = Field(ge=1, le=2_000_000_000, description="Number of the window.")


class DatasetSource(ApiModel):
    """Where a dataset comes from: exactly one of the five."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                (
                    "[has(self.configMap), has(self.path), has(self.image), has(self.huggingFace), has(self.records)]"
                    ".filter(set, set).size() == 1"
                ),
                "set exactly one of configMap, path, image, huggingFace and records",
            )
        )
    }

    config_map: ConfigMapSource | None = None
    path: PathOnClaim | None = Field(default=None, description="A JSONL file that lies on the model's claim.")
    image: ImageDataset | None = None
    hugging_face: HuggingFaceDataset | None = None
    records: RecordsSource | None = None


class Dataset(ApiModel):
    """JSONL rows with instruction, input (may be absent) and output; question/response are read as aliases."""

    name: str = Field(
        max_length=96,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of the dataset; its words choose the DNA's tags (identity, civic, privacy, ...).",
    )
    source: DatasetSource
    digest: DigestText | None = Field(
        default=None, description="SHA-256 the file must have; the run refuses drifted data."
    )
