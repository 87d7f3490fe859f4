"""[I/O] The evaluate Job, top to bottom. Run again it writes the same bytes: decoding is greedy, no clock is read."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from oneseek_core import names
from oneseek_core.digest import canonical_json, digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.files import copy_hashing, write_atomic
from oneseek_core.jobs.evaluate import EvaluatedWith, EvaluateReport, EvaluateRequest, ScoresFile
from oneseek_core.jobs.messages import parse_request
from oneseek_core.names import ExitCode
from oneseek_runtime.engine.errors import EngineStartError
from oneseek_runtime.engine.loading import Parts, load_parts
from oneseek_runtime.evaluate.generate import answers_of, losses_of
from oneseek_runtime.evaluate.scoring import Measured, bounded_answers, scores_of
from oneseek_runtime.log import say
from oneseek_runtime.prepare.heldout import HeldoutRow, parse_heldout
from oneseek_runtime.prepare.rows import RowError
from oneseek_runtime.prepared import read_prepared
from oneseek_runtime.train.model import cpu_limit, device_name
from oneseek_runtime.train.weights import ADAPTER_CONFIG, ADAPTER_WEIGHTS

__all__ = ["SCORES", "run"]

HELDOUT = "heldout.jsonl"
SCORES = "scores.json"
_REASONS = {
    ExitCode.BAD_ARTIFACT: names.ARTIFACT_INVALID,
    ExitCode.DIGEST_DIFFERS: names.BASE_DIGEST_DIFFERS,
}


def run(environment: Mapping[str, str]) -> EvaluateReport:
    """Answer every held-out question with the adapter, and leave `scores.json` in the output folder.

    Raises:
        JobError: the held-out set is missing or not the one that prepare checked; base or adapter cannot be loaded;
            the model's output or loss is no number; the device has too little memory.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), EvaluateRequest)
    rows = _read_rows(Path(request.heldout_path) / HELDOUT, request.heldout_digest)
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="adapter-") as own:
            weights_digest = _copied(Path(request.adapter_path), Path(own))
            parts = _load(request, Path(own))
        loaded = time.monotonic()
        answers = answers_of(parts, rows, request.maximum_new_tokens)
        answered = time.monotonic()
        losses = losses_of(parts, rows, request.maximum_length)
    except torch.OutOfMemoryError as error:
        sentence = "the device has too little memory to answer the held-out questions; give the run more"
        raise JobError(names.OUT_OF_MEMORY, sentence, ExitCode.BAD_INPUT) from error
    measured = [Measured(*item) for item in zip(rows, answers, losses, strict=True)]
    scores = scores_of(measured)
    file = ScoresFile(
        **dict(scores),
        evaluated_with=EvaluatedWith(
            heldout_digest=request.heldout_digest,
            weights_digest=weights_digest,
            maximum_new_tokens=request.maximum_new_tokens,
            maximum_length=request.maximum_length,
            precision=str(parts.model.dtype).removeprefix("torch."),
            device=device_name(parts.model.device),
        ),
        answers=bounded_answers(measured),
    )
    data = canonical_json(file.to_wire()) + b"\n"
    write_atomic(Path(request.output_path) / SCORES, data)
    say(
        "evaluated",
        questions=scores.questions,
        factsContained=scores.facts_contained,
        exact=scores.exact,
        loss=scores.loss,
        loadSeconds=round(loaded - start, 3),
        answerSeconds=round(answered - loaded, 3),
        lossSeconds=round(time.monotonic() - answered, 3),
    )
    return EvaluateReport(scores=scores, digest=digest_bytes(data))


def _read_rows(path: Path, digest: str) -> list[HeldoutRow]:
    """The held-out questions, proved to be those that were checked and kept from training."""
    data = read_prepared(path, digest, what="the held-out set")
    rows = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            row = parse_heldout(number, line)
        except RowError as error:  # prepare of another version let it pass
            sentence = f"line {number} of the held-out set: it {error}"
            raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT) from error
        if row is not None:
            rows.append(row)
    if not rows:
        raise JobError(names.DATASET_INVALID, "the held-out set holds no questions", ExitCode.BAD_INPUT)
    return rows


def _copied(adapter: Path, own: Path) -> str:
    """Copy the adapter to a folder that nobody else can write; the result is the SHA-256 of the weights that are measured.

    Training's own code wrote the folder: a link could lead anywhere.
    """
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        path = adapter / name
        if path.is_symlink() or not path.is_file():
            sentence = f"training left no plain file {name}, so there is no adapter to measure"
            raise JobError(names.ARTIFACT_INVALID, sentence, ExitCode.BAD_ARTIFACT)
        digest, _size = copy_hashing(path, own / name)
    return digest


def _load(request: EvaluateRequest, adapter: Path) -> Parts:
    base = Path(request.base_path)
    try:
        return load_parts(
            base=base,
            base_name=base.name,
            adapter=adapter,
            precision=request.precision,
            threads=cpu_limit(),
            base_digest=request.base_digest,
        )
    except EngineStartError as error:
        reason = _REASONS.get(error.exit_code, names.BASE_INVALID)
        raise JobError(reason, str(error), error.exit_code) from error
