"""[I/O] The certify Job, top to bottom: check → copy while hashing → describe → sign → seal.

Everything that is written follows from the request, the staged files and the keys, so a second run gives the same
folder; only model.sig would differ, and a folder that was sealed before keeps its own.
Checks read the very bytes that are written: nobody can swap them in between.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import ArtifactError, JobError
from oneseek_core.files import write_synced
from oneseek_core.jobs.certify import CertifyReport, CertifyRequest
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.evaluate import ScoresFile
from oneseek_core.jobs.messages import parse_request
from oneseek_core.jobs.train import TrainReport
from oneseek_core.names import ExitCode
from oneseek_runtime.artifact import verify_integrity
from oneseek_runtime.artifact.adapter import check_config, check_tensors, parse_report
from oneseek_runtime.artifact.adapter_config import AdapterConfig
from oneseek_runtime.artifact.index import write_index
from oneseek_runtime.artifact.layout import (
    CONFIG,
    DNA,
    INTEGRITY,
    METADATA,
    PROOF,
    PROVENANCE,
    REPORT,
    RESULTS,
    WEIGHTS,
    adapter_folder,
)
from oneseek_runtime.artifact.ledger_proof import dna_file, ledger_proof
from oneseek_runtime.artifact.metadata import dna_of, metadata_of, scores_of, training_results
from oneseek_runtime.artifact.provenance import envelope, statement
from oneseek_runtime.artifact.publish import fresh_folder, seal
from oneseek_runtime.artifact.signature import SigningKeys
from oneseek_runtime.certify.keys import load_keys
from oneseek_runtime.certify.staged import read_scores, read_small
from oneseek_runtime.certify.weights import FileTable, copy_weights
from oneseek_runtime.log import say

__all__ = ["run"]


@dataclass(frozen=True, slots=True)
class _Staged:
    """What was read from staging, checked."""

    config: AdapterConfig
    report: TrainReport
    scores: tuple[ScoresFile, str] | None


def run(environment: Mapping[str, str]) -> CertifyReport:
    """Seal the run's adapter as `<certified_path>/<DNA>`, and list it in the index.

    Raises:
        JobError: ArtifactInvalid, with what is wrong with what training left; SigningKeyInvalid.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), CertifyRequest)
    keys = load_keys(request.signing_keys_path)
    try:
        return _certify(request, keys)
    except ArtifactError as error:
        sentence = f"run {request.run.name} left nothing that may be certified: {error}"
        raise JobError(names.ARTIFACT_INVALID, sentence, ExitCode.BAD_ARTIFACT) from error


def _certify(request: CertifyRequest, keys: SigningKeys | None) -> CertifyReport:
    staging, certified = Path(request.staging_path), Path(request.certified_path)
    staged = _Staged(
        config=check_config(read_small(staging / "adapter" / CONFIG), request),
        report=parse_report(read_small(staging / "adapter" / REPORT), request),
        scores=read_scores(staging, request.scores_digest),
    )
    incoming = fresh_folder(certified, request.run.uid)
    try:
        version = _fill_and_seal(request, staged, incoming, keys)
    except (ArtifactError, OSError):
        shutil.rmtree(incoming, ignore_errors=True)  # weights are large, and the volume may just have become full
        raise
    write_index(certified)
    say("certified", dna=version.dna, digest=version.digest)
    return CertifyReport(version=version, signed=keys is not None)


def _fill_and_seal(
    request: CertifyRequest, staged: _Staged, incoming: Path, keys: SigningKeys | None
) -> CertifiedVersion:
    table = _copy_weights(request, staged, incoming)
    evaluated = staged.scores[0] if staged.scores else None
    if evaluated and evaluated.evaluated_with.weights_digest != table[WEIGHTS][0]:
        raise ArtifactError("the scores were measured on other weights than those that training left")
    dna = dna_of(request, table[WEIGHTS][0])
    proof = ledger_proof(request, dna, table, keys.ledger if keys else None)
    for path, data in _descriptions(request, staged, table, proof).items():
        _write(incoming, path, data, table)
    _write(incoming, PROOF, proof, table)
    if keys:
        value = statement(request, staged.report, dna, table, staged.scores)
        _write(incoming, PROVENANCE, envelope(value, keys.signing), table)
    digest = digest_bytes(seal(incoming, str(dna), table, keys))
    return CertifiedVersion(
        dna=str(dna),
        digest=digest,
        created_at=request.created_at,
        run=request.run.name,
        parent=request.parent,
        scores=scores_of(evaluated),
    )


def _copy_weights(request: CertifyRequest, staged: _Staged, incoming: Path) -> FileTable:
    source = Path(request.staging_path) / "adapter" / WEIGHTS
    check = partial(check_tensors, config=staged.config)
    folder = adapter_folder(request.base_name) if request.legacy_layout else None
    table = copy_weights(source, incoming, folder, check)
    found, report = table[WEIGHTS][0], staged.report
    reported = request.weights_digest or report.weights_digest  # a run trained by the release before has it there alone
    if found != reported or found != report.weights_digest:
        raise ArtifactError(f"{WEIGHTS} has the digest {found}, but training reported {reported}: it was changed after")
    return table


def _descriptions(request: CertifyRequest, staged: _Staged, table: FileTable, proof: bytes) -> dict[str, bytes]:
    weights = table[WEIGHTS][0]
    evaluated = staged.scores[0] if staged.scores else None
    dna = dna_of(request, weights)
    config = staged.config.to_bytes()
    doubled = {f"{adapter_folder(request.base_name)}/{CONFIG}": config} if request.legacy_layout else {}
    return {
        CONFIG: config,
        **doubled,
        METADATA: metadata_of(request, staged.report, dna, weights, evaluated).canonical_bytes(),
        RESULTS: training_results(request, staged.report, dna, json.loads(proof)["immutable_hash"]),
        DNA: dna_file(request, dna),
        INTEGRITY: Path(verify_integrity.__file__).read_bytes(),
    }


def _write(incoming: Path, path: str, data: bytes, table: FileTable) -> None:
    write_synced(incoming / path, data)
    table[path] = (digest_bytes(data), len(data))
