"""What a verifier is told to compare, and its verdict.

The same request starts it as a Job, before a serving pod's engine, and beside it, where it looks again and again.
"""

from __future__ import annotations

from pydantic import Field

from oneseek_core import names
from oneseek_core.api.base import ApiModel, DigestText, DnaText, ReasonText, Timestamp


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
    reason: ReasonText
    message: str
    dna: DnaText | None = None
    digest: DigestText | None = None
    signed_by: str | None = Field(default=None, description="Hex SHA-256 of the public key that the signature fits.")
    base_digest: DigestText | None = None
    files: int = 0
    bytes: int = 0
    checked_at: Timestamp | None = Field(default=None, description="When a watching verifier ended this round.")
