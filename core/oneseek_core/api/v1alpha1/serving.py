"""spec.serving of a OneSeekModel: with which engine a version answers, whom, and beside which models elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, Name, cel, list_map
from oneseek_core.api.v1alpha1.common import ImageReference, Resources, SecretKey, StringMap, Toleration

__all__ = ["Auth", "Cors", "Engine", "ExternalModel", "RateLimits", "Serving"]


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
    """The legacy API's limits per client address and minute, and how much of an engine one client may have."""

    enabled: bool = Field(
        default=True, description="false: no route refuses with 429; for load tests and trusted networks."
    )
    concurrent_per_client: int = Field(
        default=64,
        ge=1,
        le=1024,
        description="Questions of one client that a pod's engine has at the same time; those beyond wait their turn.",
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


class Cors(ApiModel):
    """Pages of other origins. Each may ask questions and read the answers, as with the old service."""

    allowed_origins: list[
        Annotated[
            str,
            Field(
                max_length=253,
                pattern=r"^(\*|https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?)$",
            ),
        ]
    ] = Field(
        default=[],
        max_length=16,
        description="Origins, such as https://front.example.org, whose pages may also read what other people asked and who"
        " asked for changes, and (with a token, or in mode Legacy) train, reset and set the current version. `*`: every"
        " page may read, none may change anything.",
    )


class Auth(ApiModel):
    """Who may train, reset and set the current version over HTTP. Reads and questions are open."""

    mode: Literal["Token", "Legacy"] = Field(
        default="Token",
        description="Token: a Kubernetes token of audience oneseek whose owner has the verb promote, reset or train."
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
    maximum_per_hour: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Questions that each serving pod sends there in an hour, whoever asks: what others may spend of the key.",
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
    cors: Cors = Cors()
    external_models: list[ExternalModel] = Field(
        default=[],
        max_length=8,
        description="Models elsewhere that /api/oqt/multi-model-query asks beside those loaded, with includeExternal.",
        json_schema_extra=list_map("name"),
    )
