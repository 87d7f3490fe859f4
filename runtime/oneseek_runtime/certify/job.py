"""[I/O] The certify Job, top to bottom: check → copy while hashing → describe → seal.

Everything that is written follows from the request and the staged files, so a second run gives the same folder.
Checks read the copy that is going to be sealed, or the very bytes that are written: nobody can swap them in between.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import ArtifactError, JobError
from oneseek_core.files import copy_hashing, read_tensors, write_synced
from oneseek_core.job_contract import CertifiedVersion, CertifyReport, CertifyRequest, TrainReport, parse_request
from oneseek_core.names import ExitCode
from oneseek_runtime.certify.adapter import CONFIG, REPORT, WEIGHTS, check_config, check_tensors, parse_report
from oneseek_runtime.certify.metadata import adapter_folder, dna_of, metadata_of, training_results
from oneseek_runtime.certify.seal import fresh_folder, seal
from oneseek_runtime.log import say

__all__ = ["run"]

_LARGEST_TEXT = 16 * 1024 * 1024  # bytes of a JSON file that training leaves


def run(environment: Mapping[str, str]) -> CertifyReport:
    """Seal the run's adapter as `<certified_path>/<DNA>`.

    Raises:
        JobError: ArtifactInvalid, with what is wrong with what training left.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), CertifyRequest)
    try:
        return _certify(request)
    except ArtifactError as error:
        sentence = f"run {request.run.name} left nothing that may be certified: {error}"
        raise JobError(names.ARTIFACT_INVALID, sentence, ExitCode.BAD_ARTIFACT) from error


def _certify(request: CertifyRequest) -> CertifyReport:
    staged = Path(request.staging_path) / "adapter"
    config = check_config(_text(staged / CONFIG), request)
    report = parse_report(_text(staged / REPORT))
    incoming = fresh_folder(Path(request.certified_path), request.run.uid)
    try:
        return _fill_and_seal(request, staged, incoming, config, report)
    except (ArtifactError, OSError):
        shutil.rmtree(incoming, ignore_errors=True)  # weights are large, and the volume may just have become full
        raise


def _fill_and_seal(
    request: CertifyRequest, staged: Path, incoming: Path, config: bytes, report: TrainReport
) -> CertifyReport:
    weights = _copy_weights(staged, incoming, report, request.lora.rank)
    dna = dna_of(request, weights[0])
    folder = adapter_folder(request)
    table = {WEIGHTS: weights, f"{folder}/{WEIGHTS}": copy_hashing(incoming / WEIGHTS, incoming / folder / WEIGHTS)}
    for path, data in {
        CONFIG: config,
        f"{folder}/{CONFIG}": config,
        "metadata.json": metadata_of(request, report, dna, weights[0]).canonical_bytes(),
        "training_results.json": training_results(request, report, dna),
    }.items():
        write_synced(incoming / path, data)
        table[path] = (digest_bytes(data), len(data))
    digest = digest_bytes(seal(incoming, str(dna), table))
    say("certified", dna=str(dna), digest=digest)
    return CertifyReport(
        version=CertifiedVersion(
            dna=str(dna), digest=digest, created_at=request.created_at, run=request.run.name, parent=request.parent
        )
    )


def _copy_weights(staged: Path, incoming: Path, report: TrainReport, rank: int) -> tuple[str, int]:
    """Copy the weights and check the copy: (digest, size in bytes)."""
    source = staged / WEIGHTS
    if source.is_symlink() or not source.is_file():
        raise ArtifactError(f"there is no file {WEIGHTS} in its staging")
    weights = copy_hashing(source, incoming / WEIGHTS)
    if weights[0] != report.weights_digest:
        raise ArtifactError(
            f"{WEIGHTS} has the digest {weights[0]}, but training reported {report.weights_digest}: it was changed after"
        )
    try:
        tensors = read_tensors(incoming / WEIGHTS)
    except ArtifactError as error:
        raise ArtifactError(f"{WEIGHTS} cannot be used: {error}") from error
    check_tensors(tensors, rank)
    return weights


def _text(path: Path) -> bytes:
    """A small file of the staging. Links are refused: training's code could let them point at another mount."""
    if path.is_symlink() or not path.is_file():
        raise ArtifactError(f"there is no file {path.name} in its staging")
    with path.open("rb") as handle:
        data = handle.read(_LARGEST_TEXT + 1)
    if len(data) > _LARGEST_TEXT:
        raise ArtifactError(f"{path.name} is larger than {_LARGEST_TEXT // 1024**2} MiB")
    return data
