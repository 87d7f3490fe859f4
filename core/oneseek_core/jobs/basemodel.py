"""What the base Job is told, and what it found on the claim."""

from __future__ import annotations

from pydantic import Field

from oneseek_core import names
from oneseek_core.api.base import ApiModel, DigestText, DnaText
from oneseek_core.api.v1alpha1.model import BaseModelSource
from oneseek_core.api.v1alpha1.model_status import Quarantined
from oneseek_core.jobs.common import CertifiedVersion, Ref


class BaseImportRequest(ApiModel):
    """Bring the base model to `basemodeller/<name>/` and make the skeleton of the tree."""

    model: Ref
    models_root: str = names.MODELS_ROOT
    base_name: str
    source: BaseModelSource
    import_path: str = Field(default="/import", description="Where an image source's init container left the files.")
    digest: DigestText | None = None


class BaseImportReport(ApiModel):
    """What lies on the claim after the import; `versions` are the newest certified ones found (a re-created model).

    `current` answered last, and those in `quarantine` may not, as the model that was there before left it written.
    """

    digest: DigestText
    size_bytes: int
    files: int
    versions: list[CertifiedVersion] = []
    current: DnaText | None = None
    quarantine: list[Quarantined] = []
