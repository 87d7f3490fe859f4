"""Every name two parts of OneSeek must agree on: API group, labels, paths, ports, reasons, exit codes.

A constant here has one meaning everywhere: the same reason stands in the condition, the Event and the log.
"""

from __future__ import annotations

import hashlib
import re
from enum import IntEnum

GROUP = "oneseek.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
MODELS = "oneseekmodels"
TRAINING_RUNS = "trainingruns"
FIELD_MANAGER = "oneseek-operator"

# Labels on everything the operator makes. Values are object names or digests, never a DNA (too long, capitals).
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_MODEL = "oneseek.io/model"
LABEL_RUN = "oneseek.io/run"
LABEL_COLOUR = "oneseek.io/colour"
LABEL_CLAIM = "oneseek.io/claim"
ANNOTATION_DNA = "oneseek.io/dna"
ANNOTATION_TEMPLATE = "oneseek.io/template"  # hash of what was applied, so that nothing is applied twice
ANNOTATION_KEYS = "oneseek.io/keys"  # on the trusted keys: `pending` until the Secret with their private halves exists
ANNOTATION_RECORDS = "oneseek.io/records-secret"  # on the trusted keys: `made`: the records' Secret is this model's own
ANNOTATION_ACCESS = "oneseek.io/access"  # on a model's access ConfigMap: which Secrets were written, until when
ANNOTATION_FLIPPED_AT = "oneseek.io/flipped-at"  # on the Service: when its selector last moved

# Requests: annotations that ask for one thing to be done once. What became of it stands in status.request. Each is an
# RBAC verb too, which the admission policy wants of whoever sets the annotation.
ACKNOWLEDGE_VERB = "acknowledge-ledger"  # value: the head of the ledger that is to go on in place of the witnessed one
REQUEST_VERBS = ("rollback", "promote", "release", "reset", ACKNOWLEDGE_VERB)  # on a OneSeekModel
RETRY_VERB = "retry"  # on a TrainingRun
TRAIN_VERB = "train"  # RBAC verb on a OneSeekModel: to have a run made over HTTP, or by an annotation of a window below
# A window of the records service is closed and asks for its run: the annotation's value is its number, and the
# operator takes it off once the run is there. No request: what becomes of it is told by the run.
WINDOW_MICRO = "oneseek.io/micro-window"
WINDOW_MAJOR = "oneseek.io/major-window"
ANNOTATION_REQUESTED_BY = "oneseek.io/requested-by"  # who asks; an admission policy makes it the caller's own name
SIDECAR_ACCOUNT_PREFIX = "oneseek-sidecar-"  # then the model's name; the admission policy knows sidecars by it
TOKEN_AUDIENCE = "oneseek"  # noqa: S105 - of clients' tokens: one that leaks opens nothing at the API server
PREVIOUS = "previous"  # value of rollback: the version that answered before
BASE = "base"  # value of rollback: the base model
CANDIDATE = "candidate"  # value of promote: the version that waits
ALL = "all"  # value of release: everything in quarantine
RESET_WORD = "RESET"  # the only value of reset that does anything


def request_annotation(verb: str) -> str:
    """The annotation that asks for `verb`."""
    return f"{GROUP}/{verb}"


def window_run(model: str, kind: str, number: int, digest: str = "") -> str:
    """Name of the run for a window of the records service; `kind` is micro or major. Known before the run exists.

    With `digest`: that of a window whose number another one had before.
    """
    apart = [digest.removeprefix("sha256:")[:8]] if digest else []
    return object_name(model, kind, str(number), *apart, limit=50)


def sidecar_account(model: str) -> str:
    """The service account of a model's sidecars."""
    return f"{SIDECAR_ACCOUNT_PREFIX}{model}"


def serving_name(model: str, namespace: str, uid: str) -> str:
    """What the certificate of a model's serving pods names. They are called by address, so no name server knows it."""
    return f"serving.{model}.{namespace}.{uid}.oneseek.internal"


def records_host(model: str, namespace: str) -> str:
    """The host of a model's records Service, and what its certificate names."""
    return f"{model}-records.{namespace}.svc"


# The fixed mount (old readers have it written into marker files) and what lies below it.
MODELS_ROOT = "/app/models"
BASE_DIR = "basemodeller"
CERTIFIED_DIR = "oneseek-certified"
STAGING_DIR = ".staging"
OWNER_MARKER = ".oneseek-owner.json"
INCOMING_PREFIX = ".incoming-"
IMPORT_PREFIX = ".import-"  # half-made like the former, but an import's: a run's certify Job leaves it alone
BASE_MANIFEST = "oneseek-base.json"  # beside the base model's files: their digests, made at import
QUARANTINE_FILE = ".quarantine.json"  # beside the versions: which may not answer, for a model that is made again
MANIFEST = "manifest.json"  # in a certified folder: a SHA-256 per file
WANTED_FILE = "wanted.json"  # key of a HotSwap colour's ConfigMap: the version it answers with
VERIFIED_MARKS = ".verified"  # beside the verified copies: a file per DNA, written once the copy is whole
TERMINATION_PATH = "/dev/termination-log"
TERMINATION_LIMIT = 3072  # bytes; the kubelet cuts at 4096 for all containers together
HUB_TOKEN_ENV = "HF_TOKEN"  # noqa: S105 - a variable; taken out of the process's own environment before any library could read it
REQUEST_ENV = "ONESEEK_REQUEST"  # a job's arguments: one JSON object, a request of `jobs`
API_ACCESS_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # token and ca.crt of the sidecar's own account
SERVING_ENV = "ONESEEK_SERVING"  # the sidecar's and engine's settings: one JSON object
# Where a sidecar hands its answered questions over: the service, and the folder that keeps them until then.
TRUSTED_PROXIES_ENV = "ONESEEK_TRUSTED_PROXIES"  # networks, separated by commas
ALLOWED_ORIGINS_ENV = "ONESEEK_ALLOWED_ORIGINS"  # origins, separated by commas
CONCURRENT_ENV = "ONESEEK_CONCURRENT_PER_CLIENT"
EXTERNAL_MODELS_ENV = "ONESEEK_EXTERNAL_MODELS"  # a JSON list of `serving.settings.ExternalEndpoint`
RECORDS_URL_ENV = "ONESEEK_RECORDS_URL"
ACCESS_VOLUME = "access"  # of a pod that talks to the model's others: with a ConfigMap in it, over TLS
ACCESS_VOLUME_BEFORE = "records-token"  # the same of the release before: no TLS, and one token for all
ACCESS_ENV = "ONESEEK_ACCESS"  # a folder: the token of the pod's role, whom it trusts, a server's certificate
SPOOL_ENV = "ONESEEK_SPOOL"

PORT_PUBLIC = 8080  # the legacy and OpenAI API
PORT_INTERNAL = 8081  # state and orders, and what serving pods ask each other: a token of its role; readiness is open
PORT_ENGINE = 8000  # OpenAI API on the pod's loopback
PORT_RECORDS = 8082  # the records service without TLS: where there is none, or for pods that know none
PORT_RECORDS_TLS = 8084  # the records service
PORT_VERIFY = 8083  # the watching verifier's verdict, on the pod's loopback

SPOOL_SECONDS = 600  # so long a pod that stops goes on handing its answered questions to the records service

USER_ID = 10001  # every pod runs as this user and group; fsGroup opens the claim to it

# Condition types.
READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"
BASE_MODEL_IMPORTED = "BaseModelImported"
VERIFIED = "Verified"  # condition: what serves is what was certified, looked at on an interval
RECORDS_AVAILABLE = "RecordsAvailable"  # condition: transitions reach the ledger
TOKENS_ACCEPTED = "TokensAccepted"  # condition: the routes that change things can tell who asks
AUTHORS_CHECKED = "AuthorsChecked"  # False while nobody holds those who write objects to what they may do; else absent
IMPORTED = "Imported"  # condition: every entry of spec.imports lies on the claim as a version; also its reason
CANDIDATE_READY = "CandidateReady"  # there is a candidate, and whether it has proved itself
APPLIED = "Applied"  # False while the API server refuses something that the operator applies; else absent
CURRENT_PUBLISHED = "CurrentPublished"  # the CURRENT link on the claim points at what answers

# Reasons of what is refused: objects that the operator applies, and pods that a Job, ReplicaSet or StatefulSet makes.
QUOTA_EXCEEDED = "QuotaExceeded"  # a ResourceQuota of the namespace
POD_SECURITY_VIOLATION = "PodSecurityViolation"  # the namespace's Pod Security Standard
POLICY_DENIED = "PolicyDenied"  # an admission webhook or a ValidatingAdmissionPolicy
WEBHOOK_FAILED = "AdmissionWebhookFailed"  # an admission webhook that does not answer
FORBIDDEN = "Forbidden"  # RBAC, a LimitRange, a namespace that is being deleted; the message says which
INVALID = "Invalid"  # the API server does not take the object as it is
FAILED_CREATE = "FailedCreate"  # a controller cannot make a pod, for a reason of none of these kinds
NAME_TAKEN = "NameTaken"  # what stands under a name that is needed is somebody else's, and was not touched
BEING_REMOVED = "BeingRemoved"  # what stands there is a deleted namesake's and has not gone yet
LIST_TOO_LARGE = "ListTooLarge"  # the namespace holds more objects of a kind than the operator reads
REFUSED_REASONS = (
    QUOTA_EXCEEDED,
    POD_SECURITY_VIOLATION,
    POLICY_DENIED,
    WEBHOOK_FAILED,
    FORBIDDEN,
    INVALID,
    FAILED_CREATE,
    NAME_TAKEN,
    BEING_REMOVED,
    LIST_TOO_LARGE,
)

# Those that no waiting mends; they end a run, which holds its model's place, after a while. A quota frees itself and a webhook
# comes back, and the model's next run would meet the same. INVALID ends it at once: the same object is never taken.
LASTING_REASONS = (POD_SECURITY_VIOLATION, POLICY_DENIED, FORBIDDEN, INVALID, NAME_TAKEN)

# Reasons of a model.
BASE_IMPORTING = "BaseModelImporting"  # the base Job is at work
BASE_FAILED = "BaseModelFailed"  # the base Job failed in a way nothing below names better
BASE_UNAVAILABLE = "BaseModelUnavailable"  # the source could not be reached or does not exist
BASE_INVALID = "BaseModelInvalid"  # what was fetched is no model folder we can load
BASE_DIGEST_DIFFERS = "BaseModelDigestDiffers"  # the fetched bytes are not what spec.baseModel.digest pins
CLAIM_NOT_FOUND = "ClaimNotFound"  # spec.storage.claimName names no claim in this namespace
CLAIM_NOT_BOUND = "ClaimNotBound"  # the claim waits for a volume that does not come
CLAIM_IN_USE = "ClaimInUse"  # the claim carries another model's marker
STORAGE_FULL = "StorageFull"  # the volume has no room for what was to be written
MAKING_KEYS = "MakingKeys"  # the signing keys, or the list of trusted ones, are being written
PUBLIC_KEY_LOST = "PublicKeyLost"  # the signing Secret is there, the ConfigMap with its public half is not
STARTING_ENGINE = "EngineStarting"  # a colour's pods are not ready yet
ENGINE_FAILED = "EngineFailed"  # a colour's pod crashes
BASE_SERVING = "BaseModelServing"  # no certified version yet: the base model answers
SERVING = "Serving"  # the sidecar reported the DNA in status.current
HANDING_OVER = "HandingOver"  # it is not certain yet that what took over answers every new request
POD_NOT_TOLD = "PodNotTold"  # Event: a pod that could not be told who answers now is deleted
ROLLING_OUT = "RollingOut"  # a candidate's colour is being started and probed
SCALED_TO_ZERO = "ScaledToZero"  # spec.serving.replicas is 0
GATE_MISSING = "GateMissing"  # nothing has measured a version that clients asked for: it waits for a person
GATE_MISSED = "GateMissed"  # the scores are below promotion.gate
PROBE_FAILED = "ProbeFailed"  # the candidate's preview did not answer as it must

# Reasons of a strategy: why the newest version took over the way it did (status.strategy).
STRATEGY_ASKED = "Asked"  # promotion.strategy names it
STRATEGY_FIRST = "FirstChoice"  # Auto begins with BlueGreen
NO_ROOM = "NoRoom"  # the new version's own pod found no node, or no volume, for a minute
GOING_BACK = "GoingBack"  # the fastest way back that stops nothing
NOTHING_ANSWERS = "NothingAnswers"  # stopping the old colour takes nothing from anybody
MORE_THAN_ONE_REPLICA = "MoreThanOneReplica"  # HotSwap changes one pod
CANNOT_SWAP = "CannotSwap"  # the pod that answers is of another template, or not ready

# Reasons around versions that people choose.
WAITING_FOR_PROMOTION = "WaitingForPromotion"  # promotion.mode is Manual and a candidate has proved itself
PINNED_VERSION_UNKNOWN = "PinnedVersionUnknown"  # spec.version names no certified version of this model
PINNED_VERSION_QUARANTINED = "PinnedVersionQuarantined"  # a safe version answers instead of the pinned one
PINNED_VERSION_REJECTED = "PinnedVersionRejected"  # the pinned version missed the gate or failed its preview
QUARANTINE_FULL = "QuarantineFull"  # nothing is promoted by itself any more; release what may answer again
ROLLED_BACK = "RolledBack"  # in quarantine because a person went back from it
WATCH_FAILED = "WatchFailed"  # it answered, and failed while it was watched
RESETTING = "Resetting"  # a reset is under way

# Reasons of requests: why one was refused, or how it ended.
REQUESTED = "Requested"  # accepted and under way
DONE = "Done"
REQUEST_IN_MANIFEST = "RequestInManifest"  # a manifest carries it: it would repeat for ever
NO_SUCH_VERSION = "NoSuchVersion"
NO_PREVIOUS_VERSION = "NoPreviousVersion"
NO_CANDIDATE = "NoCandidate"
VERSION_QUARANTINED = "VersionQuarantined"
VERSION_REJECTED = "VersionRejected"
VERSION_DELETED = "VersionDeleted"
ALREADY_CURRENT = "AlreadyCurrent"
NOT_QUARANTINED = "NotQuarantined"
PINNED_BY_GIT = "PinnedByGit"  # spec.version names a version: change it there
NOT_CONFIRMED = "NotConfirmed"  # reset without the word RESET
REQUEST_PENDING = "RequestPending"  # another request is under way
LEDGER_NOT_ROLLED_BACK = "LedgerNotRolledBack"  # acknowledge-ledger where the ledger goes on from what was witnessed
NO_SUCH_HEAD = "NoSuchHead"  # acknowledge-ledger of another head than the one that was found
NOT_FINISHED = "NotFinished"  # retry of a run that has not failed
WINDOW_TAKEN = "WindowTaken"  # Event: a run was made for a window that clients filled
WINDOW_REFUSED = "WindowRefused"  # Event: an annotation that asks for no window's run
MODEL_RESET = "ModelReset"  # a reset stopped the run

REVIEW_ALLOWED = "TokenReviewAllowed"  # the sidecars may ask the API server whose a token is
REVIEW_FORBIDDEN = "TokenReviewForbidden"  # the operator has no cluster-scoped rights, so no sidecar may ask
NO_ADMISSION_POLICY = "NoAdmissionPolicy"  # the chart was installed without its admission policies
RECORDS_UNAVAILABLE = "RecordsUnavailable"  # the ledger cannot be written; promotions wait, serving does not
LEDGER_ROLLED_BACK = "LedgerRolledBack"  # the ledger is not the one that was witnessed, nor goes on from it
TRANSITION_REFUSED = "TransitionRefused"  # the ledger will not take one; it stays in status.outbox
OUTBOX_FULL = "OutboxFull"  # more happened while the ledger was away than status.outbox holds
ANSWERS_NOT_RECORDED = "AnswersNotRecorded"  # a pod ended before the records service took all it had answered

# Reasons of a run.
QUEUED = "Queued"  # another run of the same model is under way
SUSPENDED = "Suspended"  # spec.suspend
MODEL_NOT_FOUND = "ModelNotFound"  # spec.modelRef names no OneSeekModel in this namespace
MODEL_NOT_READY = "ModelNotReady"  # the model's base is not imported yet
MODEL_DELETED = "ModelDeleted"  # the model went away while the run was under way
PREPARING = "Preparing"
TRAINING = "Training"
EVALUATING = "Evaluating"
CERTIFYING = "Certifying"
CERTIFIED = "Certified"
ALREADY_CERTIFIED = "AlreadyCertified"  # the claim holds a version this very run made before
DATASET_NOT_FOUND = "DatasetNotFound"  # the source names nothing
DATASET_UNAVAILABLE = "DatasetUnavailable"  # the source could not be reached
DATASET_INVALID = "DatasetInvalid"  # not JSONL, empty, or a row without usable fields; the message names the line
ROWS_LEFT_OUT = "RowsLeftOut"  # Event: rows that were not trained, or whose answer was cut
DATASET_DIGEST_DIFFERS = "DatasetDigestDiffers"  # the fetched bytes are not what the spec pins
DIVERGED = "Diverged"  # the loss became NaN or infinite
OUT_OF_MEMORY = "OutOfMemory"  # the kernel killed the pod at its memory limit
UNSCHEDULABLE = "Unschedulable"  # no node takes the pod; the message is the scheduler's
NOT_ATTACHED = "VolumeNotAttached"  # a pod has its node, but its volumes do not come
IMAGE_UNAVAILABLE = "ImageUnavailable"  # the kubelet cannot pull an image
JOB_VANISHED = "JobVanished"  # somebody deleted a Job whose outcome was not in status yet
DEADLINE_EXCEEDED = "DeadlineExceeded"  # spec.activeDeadlineSeconds
JOB_FAILED = "JobFailed"  # the pod ended with an error that names itself in the message
TARGET_MODULES_NOT_FOUND = "TargetModulesNotFound"  # spec.lora.targetModules names no layer of the base model
BAD_REQUEST = "BadRequest"  # a job's arguments do not parse: operator and image are of different versions
INTERRUPTED = "Interrupted"  # the pod was told to stop; training goes on from its checkpoint
ARTIFACT_INVALID = "ArtifactInvalid"  # what training left is no adapter that may be certified
SIGNING_KEY_INVALID = "SigningKeyInvalid"  # a key of the signing Secret is missing, damaged or of another kind
SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a reason; a Secret that the spec names holds no token: more than one word, or none

# Reasons of the verifier: why a certified folder or a base model is refused. BASE_DIGEST_DIFFERS is one of them too.
ARTIFACT_VERIFIED = "Verified"
UNVERIFIED = "Unverified"  # the watching verifier's first round is under way
ARTIFACT_MISSING = "ArtifactMissing"  # there is no such folder
ARTIFACT_UNREADABLE = "ArtifactUnreadable"  # the volume gives errors, or the folder is no folder
FILE_NOT_PLAIN = "FileNotPlain"  # a symlink, hard link, socket, device or pipe
FILE_NAME_INVALID = "FileNameInvalid"  # a name that leaves the folder, or that nobody could type
FILE_UNKNOWN = "FileUnknown"  # a file that the manifest does not list, or that no version has
FILE_MISSING = "FileMissing"  # a file that the manifest lists, or that every version has
FILE_CHANGED = "FileChanged"  # bytes that are not those in the manifest
MANIFEST_INVALID = "ManifestInvalid"  # no manifest, or one that we would not have written
ARTIFACT_DIGEST_DIFFERS = "ArtifactDigestDiffers"  # another folder of the same name: its manifest is not the pinned one
DNA_DIFFERS = "DnaDiffers"  # folder name, metadata, weights or time do not fit the DNA
SIGNATURE_MISSING = "SignatureMissing"
SIGNATURE_INVALID = "SignatureInvalid"  # damaged, forged, or of another folder
SIGNATURE_UNTRUSTED = "SignatureUntrusted"  # made with a key that is not among the trusted ones
TRUSTED_KEYS_INVALID = "TrustedKeysInvalid"  # there is no public key to check signatures with
LEDGER_PROOF_INVALID = "LedgerProofInvalid"
PROVENANCE_INVALID = "ProvenanceInvalid"
METADATA_INVALID = "MetadataInvalid"
PICKLE_FOUND = "PickleFound"  # a pickle where none may be
CODE_FOUND = "CodeFound"  # auto_map: the configuration brings code of its own
CONFIG_INVALID = "AdapterConfigInvalid"
WEIGHTS_INVALID = "WeightsInvalid"  # a damaged or hostile safetensors header, or tensors that are no LoRA
RANK_DIFFERS = "RankDiffers"  # configuration, metadata, tensors or request name another rank
BASE_DIFFERS = "BaseModelDiffers"  # the version was trained on another base model

# Reasons of imports; what is wrong with a version itself has one of the verifier's reasons.
IMPORTING = "Importing"
FAMILY_DIFFERS = "FamilyDiffers"  # a version of another family than the model's
IMPORT_INVALID = "ImportInvalid"  # the source holds no version, or several, or may not be read
IMPORT_FAILED = "ImportFailed"  # the Job failed in a way nothing names better

# What a Job's termination message may give as its reason; any other one is JOB_FAILED. It becomes a condition's.
JOB_REASONS = frozenset({
    ARTIFACT_DIGEST_DIFFERS, ARTIFACT_INVALID, ARTIFACT_MISSING, ARTIFACT_UNREADABLE, BAD_REQUEST, BASE_DIFFERS,
    BASE_DIGEST_DIFFERS, BASE_INVALID, BASE_UNAVAILABLE, CLAIM_IN_USE, CODE_FOUND, CONFIG_INVALID, DATASET_DIGEST_DIFFERS,
    DATASET_INVALID, DATASET_NOT_FOUND, DATASET_UNAVAILABLE, DIVERGED, DNA_DIFFERS, ENGINE_FAILED, FAMILY_DIFFERS,
    FILE_CHANGED, FILE_MISSING, FILE_NAME_INVALID, FILE_NOT_PLAIN, FILE_UNKNOWN, IMPORT_INVALID, INTERRUPTED, JOB_FAILED,
    LEDGER_PROOF_INVALID, MANIFEST_INVALID, METADATA_INVALID, OUT_OF_MEMORY, PICKLE_FOUND, PROVENANCE_INVALID,
    RANK_DIFFERS, SECRET_INVALID, SIGNATURE_INVALID, SIGNATURE_MISSING, SIGNATURE_UNTRUSTED, SIGNING_KEY_INVALID,
    STORAGE_FULL, TARGET_MODULES_NOT_FOUND, TRUSTED_KEYS_INVALID, WEIGHTS_INVALID,
})  # fmt: skip

# Why a row was left out of training (status.data.leftOut).
LEFT_OUT_HELD_OUT = "HeldOutQuestion"  # clients asked what the held-out set asks
LEFT_OUT_NO_ANSWER = "NoAnswer"  # clients sent a question without an answer
LEFT_OUT_TOO_LONG = "PromptTooLong"  # what comes before the answer fills maximumLength
LEFT_OUT_TEMPLATE = "TemplateRefused"  # the base model's chat template does not take these roles or their order
LEFT_OUT_SPECIAL = "SpecialTokens"  # it spells a control token, and the vocabulary has no other way to write it

# States of a version.
STATE_CERTIFIED = "Certified"
STATE_REJECTED = "Rejected"
STATE_CANDIDATE = "Candidate"
STATE_CURRENT = "Current"
STATE_PREVIOUS = "Previous"
STATE_QUARANTINED = "Quarantined"
STATE_DELETED = "Deleted"  # by retention; the line stays while the run that made it does


class ExitCode(IntEnum):
    """How a job's process ends. 10-19: trying again cannot help. 20-29: it may."""

    OK = 0
    INTERNAL = 1  # a defect of ours; the log has the traceback
    BAD_REQUEST = 10  # the request itself cannot be parsed
    BAD_INPUT = 11  # dataset or base model unusable
    DIVERGED = 12
    DIGEST_DIFFERS = 13
    CLAIM_IN_USE = 14
    BAD_ARTIFACT = 15
    UNAVAILABLE = 20  # a source could not be reached
    STORAGE_FULL = 21
    INTERRUPTED = 22  # SIGTERM: a checkpoint is written, the same Job may go on


FINAL_EXIT_CODES = tuple(int(code) for code in ExitCode if 10 <= code < 20)


def short_hash(*parts: str, length: int = 8) -> str:
    """The first `length` hex digits of the SHA-256 of the parts, joined so that no two lists collide."""
    text = "\x00".join(parts)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def object_name(*parts: str, limit: int = 63) -> str:
    """Join parts to a DNS label; a name that would be too long is cut and made unique by a hash."""
    name = "-".join(parts)
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9].rstrip('-.')}-{short_hash(name)}"


_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def label_value(text: str) -> str:
    """`text` itself where it is a legal label value, else a digest of it."""
    return text if _LABEL.fullmatch(text) else f"sha-{short_hash(text, length=16)}"
