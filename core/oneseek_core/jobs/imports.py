"""What the Job of one entry of `spec.imports` is told, and which version it took in."""

from __future__ import annotations

from pydantic import Field

from oneseek_core import names
from oneseek_core.api.base import ApiModel, DigestText, DnaText
from oneseek_core.api.v1alpha1.versions import Import
from oneseek_core.jobs.common import CertifiedVersion


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
