"""What the documents of several Jobs name: an object of the cluster, and a certified folder."""

from __future__ import annotations

from oneseek_core.api.base import ApiModel, DigestText, DnaText, Timestamp
from oneseek_core.api.v1alpha1.common import Scores


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
