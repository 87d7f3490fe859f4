from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.api.v1alpha1.model_status import Quarantined
from oneseek_core.errors import JobError
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.messages import success_message
from oneseek_runtime.basemodel import job
from oneseek_runtime.basemodel.report import fitted
from oneseek_runtime.certify import job as certify_job
from oneseek_runtime.tree import job as tree_job
from support.artifacts import (
    BASE_DIGEST,
    MODEL,
    certify_request,
    environment,
    model_folder,
    stage_adapter,
)


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    (tmp_path / "claim").mkdir()
    return tmp_path / "claim"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What an image source's init container left."""
    return model_folder(tmp_path / "import")


def request(claim: Path, source: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {"model": MODEL, "modelsRoot": str(claim), "baseName": "tiny", "source": source} | changes


def from_image(claim: Path, image: Path, **changes: object) -> BaseImportReport:
    asked = request(claim, {"image": "registry/tiny:1"}, importPath=str(image), **changes)
    return job.run(environment(asked))


def refusal(call: Callable[[], ApiModel]) -> JobError:
    with pytest.raises(JobError) as raised:
        call()
    return raised.value


def test_versions_and_current_of_a_model_created_again_are_reported(claim: Path, image: Path, tmp_path: Path) -> None:
    from_image(claim, image)
    certified = claim / "oneseek-certified"
    made = []
    for major in range(1, 13):
        stage_adapter(tmp_path / "staging")
        asked = certify_request(tmp_path / "staging", certified, major=major)
        made.append(certify_job.run(environment(asked)).version)
    (certified / "OneSeek-7B-Zero-CURRENT").symlink_to(made[0].dna)
    (certified / ".incoming-x").mkdir()
    (certified / "OneSeek-7B-Zero.v9.0.sv.dsQA.00000000.00000000").mkdir()  # no metadata: not a version
    report = from_image(claim, image)
    *newest, last = report.versions
    assert newest == made[::-1][: len(newest)]
    assert 5 <= len(newest) <= 10
    assert (report.current, last) == (made[0].dna, made[0]), "what answered last is told, however old it is"
    assert len(success_message(report).encode()) <= names.TERMINATION_LIMIT


def test_a_model_created_again_is_told_which_versions_may_not_answer(claim: Path, image: Path, tmp_path: Path) -> None:
    from_image(claim, image)
    certified = claim / "oneseek-certified"
    stage_adapter(tmp_path / "staging")
    first, second = (
        certify_job.run(environment(certify_request(tmp_path / "staging", certified, major=major))).version
        for major in (1, 2)
    )
    held = {"dna": second.dna, "reason": "RolledBack", "message": "ada " * 60, "since": "2026-01-01T00:00:00Z"}
    gone = held | {"dna": "OneSeek-7B-Zero.v9.0.sv.dsQA.00000000.00000000"}
    order = {"modelsRoot": str(claim), "family": "OneSeek-7B-Zero", "current": first.dna}
    tree_job.run(environment(order | {"quarantine": [gone, held]}))
    report = from_image(claim, image)
    assert (report.current, report.versions) == (first.dna, [second, first])
    assert [(item.dna, item.reason, item.since) for item in report.quarantine] == [
        (second.dna, "RolledBack", "2026-01-01T00:00:00Z")
    ]
    tree_job.run(environment(order))
    assert from_image(claim, image).quarantine, "who says nothing of the quarantine changes nothing of it"
    tree_job.run(environment(order | {"quarantine": []}))
    assert from_image(claim, image).quarantine == []
    assert not (certified / names.QUARANTINE_FILE).exists()


def test_a_version_is_never_told_without_its_quarantine() -> None:
    versions = [
        CertifiedVersion(
            dna=f"F{number:02}" + "x" * 100, digest=BASE_DIGEST, created_at="2026-01-01T00:00:00.000Z", run="r" * 100
        )
        for number in range(10)
    ]
    quarantine = [
        Quarantined(dna=item.dna, reason="RolledBack", message="m" * 96, since="2026-01-01T00:00:00Z")
        for item in versions[:9]
    ]
    report = fitted(
        BaseImportReport(
            digest=BASE_DIGEST,
            size_bytes=1,
            files=1,
            versions=versions,
            current=versions[9].dna,
            quarantine=quarantine,
        )
    )
    assert len(success_message(report).encode()) <= names.TERMINATION_LIMIT
    told = [item.dna for item in report.versions]
    assert told[-1] == versions[9].dna, "the one that may answer"
    assert [item.dna for item in report.quarantine] == told[:-1]
    assert len(told) >= 3


def test_a_quarantine_that_cannot_be_read_says_nothing(claim: Path, image: Path) -> None:
    from_image(claim, image)
    (claim / "oneseek-certified" / names.QUARANTINE_FILE).write_text("[{}")
    assert from_image(claim, image).quarantine == []


def test_the_oldest_versions_are_dropped_to_fit_the_message() -> None:
    dna = "F" + "x" * 252
    versions = [
        CertifiedVersion(
            dna=dna, digest=BASE_DIGEST, created_at=f"2026-01-{day:02}T00:00:00.000Z", run="r" * 253, parent=dna
        )
        for day in range(10, 0, -1)
    ]
    report = fitted(BaseImportReport(digest=BASE_DIGEST, size_bytes=1, files=1, versions=versions, current=dna))
    assert len(success_message(report).encode()) <= names.TERMINATION_LIMIT
    assert report.versions == versions[: len(report.versions)]
    assert report.versions
