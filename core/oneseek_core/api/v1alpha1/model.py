"""OneSeekModel: a family of versions that grow from one base model, and which of them answers.

The spec says what a team wants and is written by people and Git only; the status says what is, and is written by
the operator only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oneseek_core.api.base import (
    ApiModel,
    DigestText,
    Name,
    ObjectMeta,
    cel,
    list_map,
)
from oneseek_core.api.v1alpha1.common import (
    HuggingFaceSource,
    ImageReference,
    PathOnClaim,
    Quantity,
    Resources,
    SecretKey,
    StringMap,
    Toleration,
)
from oneseek_core.api.v1alpha1.model_status import (
    BaseModelStatus,
    CandidateRef,
    Counters,
    ImportOutcome,
    LedgerHead,
    OneSeekModelStatus,
    Quarantined,
    StrategyUse,
    Version,
    VersionRef,
)
from oneseek_core.api.v1alpha1.promotion import Gate, Promotion
from oneseek_core.api.v1alpha1.training import Training

__all__ = [
    "Auth",
    "BaseModelSource",
    "BaseModelStatus",
    "CandidateRef",
    "Counters",
    "ExternalModel",
    "Gate",
    "Import",
    "ImportOutcome",
    "LedgerHead",
    "OneSeekModel",
    "OneSeekModelSpec",
    "OneSeekModelStatus",
    "Promotion",
    "Quarantined",
    "StrategyUse",
    "Version",
    "VersionRef",
]


class BaseModelSource(ApiModel):
    """Where the base model comes from: exactly one of the three."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "[has(self.huggingFace), has(self.image), has(self.path)].filter(set, set).size() == 1",
                "set exactly one of huggingFace, image and path",
            )
        )
    }

    hugging_face: HuggingFaceSource | None = Field(default=None, description="Fetched from a hub.")
    image: ImageReference | None = Field(
        default=None,
        description="An image that holds the model under /models and has a `cp` (KServe's modelcar layout).",
    )
    path: PathOnClaim | None = Field(default=None, description="A folder that already lies on the claim.")


class BaseModelSpec(ApiModel):
    """The model that every version adapts."""

    name: str = Field(
        max_length=96,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Folder name under basemodeller/, and the model's name in answers while no version is certified.",
    )
    source: BaseModelSource
    digest: DigestText | None = Field(
        default=None,
        description="Digest the imported folder must have; see status.baseModel.digest of a trusted import.",
    )


class Storage(ApiModel):
    """The claim that holds base model, staging and certified versions."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "has(self.claimName) != has(self.size)",
                "set exactly one of claimName (a claim of yours) and size (one made for the model)",
            ),
            (
                "!has(self.claimName) || !has(self.storageClassName)",
                "storageClassName goes with size; a claim of yours has its own class",
            ),
        )
    }

    claim_name: Name | None = Field(default=None, description="A PersistentVolumeClaim in the model's namespace.")
    size: Quantity | None = Field(default=None, description="Size of the claim to make, such as 20Gi.")
    storage_class_name: Name | None = Field(
        default=None, description="Class of the claim to make; the cluster's default if unset."
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        default="ReadWriteOnce", description="With ReadWriteOnce every pod of the model runs on one node."
    )
    reclaim_policy: Literal["Retain", "Delete"] = Field(
        default="Retain", description="What becomes of a claim made for the model when the model is deleted."
    )


class Engine(ApiModel):
    """What loads the weights and generates."""

    type: Literal["Transformers"] = Field(
        default="Transformers", description="OneSeek's own engine over transformers and peft."
    )
    image: ImageReference | None = Field(
        default=None,
        description="An engine of your own in place of the operator's runtime image. It is started with the argument"
        " `engine` and ONESEEK_SERVING as ours is, and must answer on port 8000 as ours does.",
    )
    resources: Resources = Field(default=Resources(), description="Compute resources of the engine container.")
    node_selector: StringMap = Field(default={}, max_length=16)
    tolerations: list[Toleration] = Field(default=[], max_length=16)
    runtime_class_name: Name | None = None


class RateLimits(ApiModel):
    """The legacy API's limits per client address and minute."""

    enabled: bool = Field(
        default=True, description="false: no route refuses with 429; for load tests and trusted networks."
    )
    trusted_proxies: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[],
        max_length=16,
        description="Networks (CIDR) of proxies whose X-Forwarded-For names the client; unset: all callers behind a"
        " proxy are counted as one.",
        json_schema_extra=cel(
            (
                "self.all(network, isCIDR(network))",
                "trustedProxies are networks in CIDR form, such as 10.0.0.0/8 or fd00::/8",
            )
        ),
    )


class Auth(ApiModel):
    """Who may train, reset and set the current version over HTTP. Reads and questions are open."""

    mode: Literal["Token", "Legacy"] = Field(
        default="Token",
        description="Token: a Kubernetes token of audience oneseek whose owner may patch the model or create runs."
        " Legacy: anybody, as the old service had it.",
    )


class ExternalModel(ApiModel):
    """A model elsewhere that multi-model queries ask too, when their client wants it."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                r"self.url.matches('^https?://[A-Za-z0-9.:\\[\\]-]+(/[A-Za-z0-9._~/-]*)?$')",
                (
                    "url is the base of an OpenAI-compatible API, such as https://api.example.org/v1, with no user, query"
                    " or fragment; a key goes into keySecret"
                ),
            )
        )
    }

    name: str = Field(
        min_length=1,
        max_length=63,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$",
        description="Its name in answers and records.",
    )
    url: str = Field(
        max_length=512,
        description="Base of an OpenAI-compatible API; `/chat/completions` is added. Questions of clients are sent there.",
    )
    model: str = Field(
        max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$", description="The model's name in that API."
    )
    key_secret: SecretKey | None = Field(
        default=None,
        description="Secret with the API's key, sent as a bearer token; mounted into the sidecar alone and read anew for"
        " each question.",
    )
    timeout_seconds: int = Field(
        default=30, ge=1, le=120, description="After so long the answer is given without this model."
    )


class Serving(ApiModel):
    """How a version answers."""

    replicas: int = Field(default=1, ge=0, le=100, description="Pods of the colour that serves.")
    engine: Engine = Engine()
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="Type of the Service named like the model."
    )
    rate_limits: RateLimits = RateLimits()
    auth: Auth = Auth()
    external_models: list[ExternalModel] = Field(
        default=[],
        max_length=8,
        description="Models elsewhere that /api/oqt/multi-model-query asks beside those loaded, with includeExternal.",
        json_schema_extra=list_map("name"),
    )


PublicKey = Annotated[
    str, Field(max_length=1024, pattern=r"^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n?$")
]


class Certification(ApiModel):
    """How versions are signed, and whose signatures are believed."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "!has(self.signingKeySecret) || (has(self.trustedKeys) && self.trustedKeys.size() > 0)",
                "signingKeySecret needs trustedKeys: the public half of your key, so that pods can verify without it",
            )
        )
    }

    signing_key_secret: Name | None = Field(
        default=None,
        description="Secret with signing.key (EC P-256, PEM) and ledger.key (Ed25519, PEM); made for the model if unset.",
    )
    trusted_keys: list[PublicKey] = Field(
        default=[], max_length=8, description="Public keys, PEM, that are believed beside the one made for the model."
    )
    legacy_layout: bool = Field(
        default=True,
        description="Also write what the old service's readers want (adapter_model.bin, the doubled adapter folder).",
    )
    verify_interval_seconds: int = Field(
        default=300, ge=5, le=86400, description="How often a serving version is verified again."
    )


class Import(ApiModel):
    """A certified version from elsewhere: exactly one of the two. Verified against `certification.trustedKeys` first."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            ("has(self.image) != has(self.path)", "set exactly one of image and path"),
            (
                "!has(self.path) || !(self.path + '/').startsWith('oneseek-certified/')",
                "path lies in oneseek-certified, where versions are put by OneSeek alone; put the folder elsewhere on the claim",
            ),
        )
    }

    image: ImageReference | None = Field(
        default=None,
        description="An image with the version's folder under /models, as `kubectl oneseek export` makes it.",
    )
    path: PathOnClaim | None = Field(default=None, description="A certified folder that lies on the model's claim.")

    @property
    def source(self) -> str:
        """The entry in words; it is what tells entries apart."""
        return f"image {self.image}" if self.image else f"path {self.path}"


class Retention(ApiModel):
    """How many versions stay on the claim."""

    keep_versions: int | None = Field(
        default=None,
        ge=1,
        le=32,
        description="Newest versions to keep; older ones are deleted, but never what answers, answered before or is on its way,"
        " nor a parent of those. Unset: all stay.",
    )


class EmbeddedRecords(ApiModel):
    """Records in a small service of the model's own."""

    size: Quantity = Field(default="1Gi", description="Size of its claim.")
    storage_class_name: Name | None = None


class FirestoreRecords(ApiModel):
    """Records in a Firestore database of a Google Cloud project; this model's alone."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "has(self.credentialsSecret) != has(self.emulatorHost)",
                "set exactly one of credentialsSecret (a service account's key) and emulatorHost (for tests)",
            )
        )
    }

    project_id: str = Field(
        alias="projectID",
        max_length=63,
        pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$",
        description="Id of the Google Cloud project. Immutable.",
    )
    database: str = Field(
        default="(default)",
        max_length=63,
        pattern=r"^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$",
        description="The database, in Native mode; it holds the records of no other model. Immutable.",
    )
    credentials_secret: Name | None = Field(
        default=None,
        description="Secret whose key credentials.json is a service account's key with roles/datastore.user; read anew when"
        " it changes.",
    )
    emulator_host: str | None = Field(
        default=None,
        max_length=260,
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="host:port of the Firestore emulator, for development and tests: what it holds is lost when it ends.",
    )


class Records(ApiModel):
    """Where queries, provenance and the ledger are kept: in a volume of the model's own, unless firestore is set."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(("!has(self.embedded) || !has(self.firestore)", "set one of embedded and firestore"))
    }

    embedded: EmbeddedRecords | None = None
    firestore: FirestoreRecords | None = None

    @property
    def volume(self) -> EmbeddedRecords:
        """The claim of records that lie on one."""
        return self.embedded or EmbeddedRecords()


class OneSeekModelSpec(ApiModel):
    """What a team wants of a model."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                (
                    "!has(self.promotion) || !has(self.promotion.gate)"
                    " || (has(self.training) && has(self.training.evaluation))"
                ),
                "promotion.gate needs training.evaluation.dataset: without a held-out set there are no scores to judge",
            )
        )
    }

    family: str = Field(
        default="OneSeek-7B-Zero",
        max_length=63,
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="First part of every DNA. Immutable.",
        json_schema_extra=cel(
            ("self == oldSelf", "family is immutable: it is part of every DNA; make another OneSeekModel")
        ),
    )
    version: str = Field(
        default="auto",
        max_length=253,
        pattern=r"^(auto|[A-Za-z][A-Za-z0-9_-]*\.v[0-9]+\.[0-9]+\..+)$",
        description="The pin, for Git: the DNA that answers. auto: the newest certified version that passes.",
    )
    suspend: bool = Field(
        default=False, description="Scale to zero and start nothing; the version that answered is kept."
    )
    base_model: BaseModelSpec = Field(
        json_schema_extra=cel(
            (
                "self == oldSelf",
                "baseModel is immutable: every version is an adapter of it; make another OneSeekModel",
            )
        )
    )
    storage: Storage = Field(
        json_schema_extra=cel(
            ("self == oldSelf", "storage is immutable: the versions lie there; make another OneSeekModel")
        )
    )
    training: Training = Training()
    certification: Certification = Certification()
    promotion: Promotion = Promotion()
    imports: list[Import] = Field(
        default=[], max_length=8, description="Certified versions to bring in from another cluster or folder."
    )
    records: Records = Field(
        default=Records(),
        json_schema_extra=cel(
            (
                (
                    "has(self.firestore) == has(oldSelf.firestore) && (!has(self.firestore)"
                    " || (self.firestore.projectID == oldSelf.firestore.projectID"
                    " && self.firestore.database == oldSelf.firestore.database))"
                ),
                "records stay where they are, for the ledger lies there; make another OneSeekModel",
            )
        ),
    )
    retention: Retention = Retention()
    serving: Serving = Serving()


class OneSeekModel(ApiModel):
    """One family of versions and the one that answers."""

    model_config = ApiModel.model_config | {"extra": "ignore"}

    metadata: ObjectMeta
    spec: OneSeekModelSpec
    status: OneSeekModelStatus = OneSeekModelStatus()
