"""What the operator tells a serving pod's engine and sidecar when it makes them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oneseek_core import names
from oneseek_core.api.base import ApiModel, DigestText, DnaText


class ServingSettings(ApiModel):
    """What a colour's engine and sidecar are told."""

    model: str = Field(description="Name of the OneSeekModel.")
    namespace: str
    family: str
    base_name: str
    base_path: str
    base_digest: DigestText | None = Field(
        default=None, description="Of the base model's manifest, as it was imported."
    )
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
    requests: Literal["Refused"] | None = Field(
        default=None, description="Refused: the sidecars' account may not patch the model, so they can ask for nothing."
    )
    accepted: dict[str, str] = Field(
        default={}, description="Who may use the internal port: digests of tokens, by role (`oneseek_core.roles`)."
    )
    tls_name: str | None = Field(
        default=None, description="The internal port and the records service speak TLS: what the certificate names."
    )


class ExternalEndpoint(ApiModel):
    """One model elsewhere that a sidecar may ask; the key is in a file, never here."""

    name: str
    url: str
    model: str
    key_path: str | None = None
    timeout_seconds: int
    maximum_per_hour: int = 100
