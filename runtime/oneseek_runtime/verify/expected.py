"""What a folder is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from oneseek_core.jobs.verify import VerifyRequest
from oneseek_runtime.verify.trust import TrustedKeys

__all__ = ["Expected"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the asker knows; None is not compared. Without `dna` the folder's name must be one."""

    dna: str | None = None
    digest: str | None = None
    trusted: TrustedKeys = TrustedKeys()  # noqa: RUF009 - frozen
    require_signature: bool = True
    rank: int | None = None
    base_name: str | None = None
    base_digest: str | None = None

    @classmethod
    def of(cls, request: VerifyRequest, trusted: TrustedKeys) -> Expected:
        """What a request asks for."""
        return cls(
            dna=request.dna,
            digest=request.digest,
            trusted=trusted,
            require_signature=request.require_signature,
            rank=request.rank,
            base_name=request.base_name,
            base_digest=request.base_digest,
        )
