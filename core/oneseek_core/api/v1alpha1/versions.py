"""What a OneSeekModel wants of its certified versions: whose signatures count, which come from elsewhere, how many stay."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from oneseek_core.api.base import ApiModel, Name, cel
from oneseek_core.api.v1alpha1.common import ImageReference, PathOnClaim

__all__ = ["Certification", "Import", "Retention"]


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
