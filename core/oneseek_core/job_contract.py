"""What the operator tells a job, and what a job tells the operator.

A request travels as one JSON object in the environment (`names.REQUEST_ENV`). A report is the pod's termination
message, at most `names.TERMINATION_LIMIT` bytes: either `{"report": {...}}` or `{"reason": ..., "message": ...}`.
The train pod also prints progress as JSON lines; each line alone says all that the operator needs.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from oneseek_core import names
from oneseek_core.api.base import ApiModel, DigestText, DnaText, Timestamp
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model import BaseModelSource, Import
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_core.api.v1alpha1.training_run import (
    AutoStop,
    AutoStopped,
    Dataset,
    LoraSettings,
    LossPoint,
    ResolvedDataset,
    RunType,
)
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode

Report = TypeVar("Report", bound=ApiModel)


class Ref(ApiModel):
    """A namespaced object."""

    namespace: str
    name: str
    uid: str


class CertifiedVersion(ApiModel):
    """A certified folder in one line."""

    dna: DnaText
    digest: DigestText
    created_at: Timestamp
    run: str | None = None
    parent: DnaText | None = None
    scores: Scores | None = None


class BaseImportRequest(ApiModel):
    """Bring the base model to `basemodeller/<name>/` and make the skeleton of the tree."""

    model: Ref
    models_root: str = names.MODELS_ROOT
    base_name: str
    source: BaseModelSource
    import_path: str = Field(default="/import", description="Where an image source's init container left the files.")
    digest: DigestText | None = None


class BaseImportReport(ApiModel):
    """What lies on the claim after the import; `versions` are the newest certified ones found (a re-created model)."""

    digest: DigestText
    size_bytes: int
    files: int
    versions: list[CertifiedVersion] = []
    current: DnaText | None = None


class ImportRequest(ApiModel):
    """Verify the version that `source` holds, and take it into `oneseek-certified/`.

    `known` are the digests of versions that the model has or had: the name of one is never given to another.
    """

    models_root: str = names.MODELS_ROOT
    source: Import
    import_path: str = Field(default="/import", description="Where an image source's init container left the files.")
    trusted_keys: str = Field(description="Folder of public keys, PEM, as *.pub or *.pem.")
    family: str
    base_name: str
    base_digest: DigestText
    known: dict[DnaText, DigestText] = {}


class ImportReport(ApiModel):
    """The version as it lies on the claim now; `already`: it lay there before, unchanged."""

    version: CertifiedVersion
    signed_by: str = Field(description="Hex SHA-256 of the public key that the signature fits.")
    already: bool = False


class DatasetInput(ApiModel):
    """A dataset and, for configMap and image sources, the file it is mounted at."""

    dataset: Dataset
    file: str | None = None


class PrepareRequest(ApiModel):
    """Fetch, validate and digest the data into `.staging/<run uid>/data/train.jsonl`; other runs' staging is removed."""

    run: Ref
    spec_digest: DigestText
    models_root: str = names.MODELS_ROOT
    datasets: list[DatasetInput]
    heldout: DatasetInput | None = Field(default=None, description="Held-out questions, for the evaluate Job alone.")
    language: Literal["auto", "sv", "en", "ensv"]
    type: RunType = "Major"


class PrepareReport(ApiModel):
    """The data as it will be used. With `already_certified` nothing was prepared: the claim holds the run's version."""

    datasets: list[ResolvedDataset] = []
    data_digest: DigestText | None = None
    samples: int = 0
    language: Literal["sv", "en", "ensv"] = "en"
    tags: list[str] = []
    heldout: ResolvedDataset | None = None
    micro_steps: int = Field(
        default=0, ge=0, description="Of recorded windows: a step a question, and one more where it was analysed."
    )
    already_certified: CertifiedVersion | None = None


class TrainRequest(ApiModel):
    """Fine-tune the base model at `base_path` on `<data_path>/train.jsonl` and leave an adapter in `output_path`."""

    run: Ref
    base_path: str
    data_path: str
    output_path: str
    data_digest: DigestText
    epochs: int
    learning_rate: float
    batch_size: int
    maximum_length: int
    lora: LoraSettings
    auto_stop: AutoStop | None = None
    seed: int
    precision: Literal["auto", "bf16", "fp32"]
    parent_path: str | None = Field(default=None, description="Certified folder to go on from; its LoRA is continued.")
    parent_digest: DigestText | None = Field(default=None, description="SHA-256 of that folder's manifest.")


class TrainReport(ApiModel):
    """What training measured. The whole of it also lies in staging as `adapter/training_report.json`."""

    steps: int
    epochs: int
    samples: int
    final_loss: float = Field(description="Mean training loss of the last epoch, nats per label token.")
    epoch_losses: list[float] = Field(default=[], description="Mean training loss per epoch; the newest 100.")
    label_tokens: int
    tokens_per_second: float
    duration_seconds: float
    started_at: Timestamp
    ended_at: Timestamp
    precision: Literal["bf16", "fp32"]
    device: str
    auto_stopped: AutoStopped | None = None
    resumed_from_step: int | None = None
    weights_digest: DigestText = Field(description="SHA-256 of adapter_model.safetensors.")
    lora: LoraSettings | None = Field(default=None, description="The parent's, where training went on with it.")


class EvaluateRequest(ApiModel):
    """Answer the held-out questions with the adapter and write `<output_path>/scores.json`."""

    run: Ref
    base_path: str = "/models/base"
    adapter_path: str = "/staging/adapter"
    heldout_path: str = Field(default="/staging/evaluation", description="Folder with heldout.jsonl.")
    output_path: str = "/staging/scores"
    heldout_digest: DigestText
    maximum_new_tokens: int = 64
    maximum_length: int = 512
    precision: Literal["auto", "bf16", "fp32"] = "auto"


class HeldoutAnswer(ApiModel):
    """What the version answered, and which of the facts it was to name the answer holds."""

    question: str
    language: Literal["sv", "en"]
    answer: str
    facts: list[str]
    found: list[str]


class EvaluatedWith(ApiModel):
    """What was measured, on what: a score means nothing without it."""

    heldout_digest: DigestText
    weights_digest: DigestText = Field(description="SHA-256 of the adapter_model.safetensors that was measured.")
    maximum_new_tokens: int
    maximum_length: int
    precision: str
    device: str


class ScoresFile(Scores):
    """scores.json: the scores, and the answers they come from (the first ones, where all would be too many)."""

    evaluated_with: EvaluatedWith
    answers: list[HeldoutAnswer] = []


class EvaluateReport(ApiModel):
    """What the version scored; the answers themselves stay in scores.json."""

    scores: Scores
    digest: DigestText = Field(description="SHA-256 of scores.json.")


class TrainProgress(ApiModel):
    """One JSON line of the train pod's log, at most one a second; `curve` is the whole curve, thinned."""

    event: Literal["progress"] = "progress"
    percent: int
    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    tokens_per_second: float
    eta_seconds: int
    curve: Annotated[list[LossPoint], Field(max_length=64)] = []


class CertifyRequest(ApiModel):
    """Check the adapter in `<staging_path>/adapter` and seal it as `<certified_path>/<DNA>`."""

    run: Ref
    spec_digest: DigestText
    model: Ref
    staging_path: str = "/staging"
    certified_path: str = f"{names.MODELS_ROOT}/{names.CERTIFIED_DIR}"
    family: str
    major: int
    micro: int
    type: RunType
    language: Literal["sv", "en", "ensv"]
    tags: list[str]
    created_at: Timestamp = Field(description="The train Job's completion time, UTC with milliseconds and Z.")
    base_name: str
    base_digest: DigestText
    datasets: list[ResolvedDataset]
    data_digest: DigestText
    samples: int
    epochs: int
    learning_rate: float
    batch_size: int
    maximum_length: int
    seed: int
    lora: LoraSettings
    auto_stop: AutoStop | None = None
    parent: DnaText | None = None
    signing_keys_path: str | None = Field(
        default=None, description="Folder with `signing.key` and `ledger.key`; absent: certified without signature."
    )
    legacy_layout: bool = Field(default=True, description="Also write what only the old service's readers open.")
    images: dict[str, str] = Field(
        default={}, description="Role (train, evaluate, certify) -> image with digest, for the provenance."
    )


class CertifyReport(ApiModel):
    """The certified folder."""

    version: CertifiedVersion
    signed: bool = False


class VerifyRequest(ApiModel):
    """Verify the certified folder at `adapter_path` (copying it to `target_path`) and the base model at `base_path`.

    What is None is not checked. `verify` does it once; `watch` does it every `interval_seconds`. With `verified_path`
    (HotSwap) `watch` also copies versions out of `certified_path`, when it is told which, and watches the one in use;
    `verify` copies the one that `wanted_path` names.
    """

    adapter_path: str | None = None
    dna: DnaText | None = None
    digest: DigestText | None = None
    target_path: str | None = Field(default=None, description="Empty folder of the pod alone; what is loaded.")
    certified_path: str | None = Field(default=None, description="HotSwap: the folder of all certified versions.")
    verified_path: str | None = Field(default=None, description="HotSwap: where copies lie, a folder per DNA.")
    wanted_path: str | None = Field(default=None, description="HotSwap: the file that names the version to start with.")
    trusted_keys: str | None = Field(default=None, description="Folder of public keys, PEM, as *.pub or *.pem.")
    require_signature: bool = True
    rank: int | None = None
    base_name: str | None = None
    base_path: str | None = None
    base_digest: DigestText | None = None
    interval_seconds: int = Field(default=300, ge=1)
    port: int = names.PORT_VERIFY


class VerifyReport(ApiModel):
    """What the verifier found: `ok` with reason Verified, or why not. GET /verdict of a watching verifier."""

    ok: bool
    reason: str
    message: str
    dna: DnaText | None = None
    digest: DigestText | None = None
    signed_by: str | None = Field(default=None, description="Hex SHA-256 of the public key that the signature fits.")
    base_digest: DigestText | None = None
    files: int = 0
    bytes: int = 0
    checked_at: Timestamp | None = Field(default=None, description="When a watching verifier ended this round.")


class ResetOrder(ApiModel):
    """Who had everything certified deleted, and when."""

    user: str = Field(max_length=512)
    timestamp: Timestamp


class WantedVersion(ApiModel):
    """The version that a HotSwap pod answers with: in its ConfigMap (`names.WANTED_FILE`), and in what it is told."""

    dna: DnaText | None = Field(default=None, description="None: the base model.")
    digest: DigestText | None = None
    serial: int = Field(
        default=0, ge=0, description="Rises with every change; of two different ones the higher counts."
    )


class SwapRequest(WantedVersion):
    """POST /internal/swap of a HotSwap pod's sidecar: get ready to answer with this version, and do unless `hold`."""

    hold: bool = Field(default=False, description="Load and probe it, but let the old one answer.")
    probes: list[Probe] = []
    keep: DnaText | None = Field(
        default=None,
        description="What answered before may stay loaded beside it; where it is loaded no more, it is not.",
    )


class SwapState(ApiModel):
    """How far the newest swap is. `Ready`: loaded and probed, held back. `Done`: it answers. `Failed`: it never will."""

    dna: DnaText | None = None
    serial: int
    phase: Literal["Verifying", "Loading", "Probing", "Ready", "Done", "Failed"]
    refused: bool = Field(default=False, description="The verifier's word: this is not what was certified.")
    reason: str | None = None
    message: str | None = None
    kept: DnaText | None = Field(default=None, description="What answered before and is loaded still, as it was told.")


class TreeRequest(ApiModel):
    """Point CURRENT (link and marker) at `current`; None removes both. With `reset` every certified version goes."""

    models_root: str = names.MODELS_ROOT
    family: str
    current: DnaText | None = None
    remove: list[DnaText] = Field(default=[], max_length=32, description="Versions that retention deletes.")
    reset: ResetOrder | None = None


class TreeReport(ApiModel):
    """Where CURRENT points now."""

    current: DnaText | None = None
    removed: list[DnaText] = []


class ServingSettings(ApiModel):
    """What a colour's engine and sidecar are told."""

    model: str = Field(description="Name of the OneSeekModel.")
    namespace: str
    family: str
    base_name: str
    base_path: str
    dna: DnaText | None = None
    digest: DigestText | None = None
    adapter_path: str | None = None
    certified_path: str = f"{names.MODELS_ROOT}/{names.CERTIFIED_DIR}"
    verified_path: str | None = Field(
        default=None, description="HotSwap: the only folder that the engine loads adapters from, one per DNA."
    )
    wanted_path: str | None = Field(default=None, description="HotSwap: the file that names the version to start with.")
    engine_url: str = f"http://127.0.0.1:{names.PORT_ENGINE}"
    auth: Literal["Token", "Legacy"] = "Token"


class ExternalEndpoint(ApiModel):
    """One model elsewhere that a sidecar may ask; the key is in a file, never here."""

    name: str
    url: str
    model: str
    key_path: str | None = None
    timeout_seconds: int


class WarmVersion(ApiModel):
    """The version that answered before, while pods of its own still hold it: where their engines are."""

    dna: DnaText
    addresses: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$", max_length=253)]] = Field(
        min_length=1, max_length=8, description="Of its pods."
    )


class PreviousRequest(ApiModel):
    """POST /internal/previous: which version before this one can still be asked, and where; None: none."""

    previous: WarmVersion | None = None


class SidecarState(ApiModel):
    """GET /internal/state of a sidecar: what it found out, not what it was told."""

    dna: DnaText | None = Field(
        default=None, description="DNA the engine itself reports as loaded; absent for the base model."
    )
    base_name: str
    ready: bool = Field(description="The engine answers and serves what the settings ask for.")
    draining: bool = False
    open_connections: int = Field(ge=0, description="Open client connections on the public port.")
    spooled: int = Field(default=0, ge=0, description="Answered questions that the records service has not yet.")
    lost: int = Field(
        default=0, ge=0, description="Answered questions that will never be recorded: spool full, refused."
    )
    abandoned: int = Field(
        default=0, ge=0, description="Those given up when the stopping pod's time was over. Told once; then it ends."
    )
    swap: SwapState | None = Field(default=None, description="HotSwap pods only.")
    previous: WarmVersion | None = Field(
        default=None, description="What /internal/previous told, as far as it was found there."
    )
    requests: int = Field(
        default=0, ge=0, description="Public answers since the start, or since clients were last sent here again."
    )
    errors: int = Field(
        default=0, ge=0, description="Those with a 5xx status; a busy engine's 503 is no error of the version."
    )


class DrainRequest(ApiModel):
    """POST /internal/drain: let clients go, or (false) take them again after the Service came back."""

    draining: bool = True


class ProbeRequest(ApiModel):
    """POST /internal/probe: one real generation, not recorded anywhere."""

    question: str
    max_tokens: int = 24


class ProbeAnswer(ApiModel):
    """What the probe's generation gave."""

    dna: DnaText | None = None
    text: str
    tokens: int
    latency_ms: int


class Failure(ApiModel):
    """How a job says that it ends in failure."""

    reason: str = Field(max_length=256)
    message: str = Field(max_length=2048)


def success_message(report: ApiModel) -> str:
    """The termination message of a job that did its work."""
    return json.dumps({"report": report.to_wire()}, ensure_ascii=False, separators=(",", ":"))


def failure_message(reason: str, message: str) -> str:
    """The termination message of a job that failed; the sentence is cut so that the whole fits.

    Half characters (file names may hold them) become `?`: the message must be UTF-8.
    """
    data = message.encode(errors="replace")
    text = data.decode() if len(data) <= 1900 else data[:1900].decode(errors="ignore") + "…"
    whole = json.dumps({"reason": reason, "message": text}, ensure_ascii=False, separators=(",", ":"))
    if len(whole.encode()) <= names.TERMINATION_LIMIT:
        return whole
    return failure_message(reason, message[: len(message) // 2])  # control characters take six bytes each in JSON


def parse_report(text: str, kind: type[Report]) -> Report | None:
    """The report in a termination message; None where there is none (a killed pod leaves nothing)."""
    try:
        value = json.loads(text)
        return kind.model_validate(value["report"])
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def parse_failure(text: str) -> Failure | None:
    """The failure in a termination message, if it holds one."""
    try:
        return Failure.model_validate_json(text)
    except ValidationError:
        return None


def parse_request(text: str | None, kind: type[Report]) -> Report:
    """A job's arguments.

    Raises:
        JobError: they are missing or wrong; the operator and the image do not fit together.
    """
    if not text:
        raise JobError(
            names.BAD_REQUEST,
            f"{names.REQUEST_ENV} is not set; this program is started by the operator",
            ExitCode.BAD_REQUEST,
        )
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise JobError(
            names.BAD_REQUEST, f"{names.REQUEST_ENV} does not fit {kind.__name__}: {error}", ExitCode.BAD_REQUEST
        ) from error
