"""[I/O] The border of training: request in, progress lines and checkpoints while it runs, adapter and report out."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import AutoStopped
from oneseek_core.digest import canonical_json, digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.files import digest_file, read_json
from oneseek_core.jobs.messages import parse_request
from oneseek_core.jobs.train import CurvePoint, LeftOut, TrainProgress, TrainReport, TrainRequest
from oneseek_core.names import ExitCode
from oneseek_runtime.prepared import read_prepared
from oneseek_runtime.train import lora, weights
from oneseek_runtime.train.data import lessons_of
from oneseek_runtime.train.model import can_pack, cpu_limit, device_name, load_base, load_tokenizer
from oneseek_runtime.train.parent import read_parent
from oneseek_runtime.train.recipe import Settings, State, fine_tune, make_optimiser, recipe_of
from oneseek_runtime.train.schedule import Plan

__all__ = ["run"]

REPORT = "training_report.json"
FINISHED = ".finished.json"  # written last: which request the folder answers
CHECKPOINT_SECONDS = 60.0  # at least this often
EPOCH_CHECKPOINT_SECONDS = 5.0  # and where an epoch ends, unless the last one is younger: a small model's take no time
PROGRESS_SECONDS = 1.0
TOLD_LOSSES = 40  # epochs' losses that the termination message has room for; the file has more
PACK_TOKENS = {"cpu": 2048, "cuda": 16384}  # bounds the memory of activations and logits


def run(env: Mapping[str, str]) -> TrainReport:
    """Train as the request in `env` says; returns the report that also lies beside the adapter.

    A killed run goes on from its checkpoint when started again; a finished one answers at once.

    Raises:
        JobError: the request, the data or the base model cannot be used; the loss diverged; the volume is full;
            SIGTERM came (a checkpoint is written first).
    """
    arrived = time.monotonic()
    request = parse_request(env.get(names.REQUEST_ENV), TrainRequest)
    output = Path(request.output_path)
    fingerprint = _fingerprint(request)
    if report := _finished_report(output, fingerprint):
        return _told(report, output)
    rows = _read_rows(Path(request.data_path) / "train.jsonl", request.data_digest)
    terminated: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, _frame: terminated.append(number))
    try:
        return _told(_train(request, rows, terminated, arrived), output)
    except torch.OutOfMemoryError as error:
        sentence = "the device has too little memory for this run; lower batchSize or maximumLength"
        raise JobError(names.OUT_OF_MEMORY, sentence, ExitCode.BAD_INPUT) from error
    finally:
        signal.signal(signal.SIGTERM, previous)


def _train(request: TrainRequest, rows: list[dict[str, Any]], terminated: list[int], arrived: float) -> TrainReport:
    output, base, fingerprint = Path(request.output_path), Path(request.base_path), _fingerprint(request)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(cpu_limit())
    lessons = lessons_of(rows, load_tokenizer(base, request.base_digest), request.maximum_length)
    examples = lessons.examples

    notes = weights.checkpoint_notes(output)
    if notes is not None and notes.get("fingerprint") != fingerprint:
        notes = None  # of another request: not ours to go on from
    parent = read_parent(Path(request.parent_path), request.parent_digest) if request.parent_path else None
    settings_of_lora = request.lora if parent is None else parent.lora
    wanted = notes["precision"] if notes else request.precision
    model, precision = load_base(base, device, wanted, request.base_digest)
    packs = can_pack(model, examples, request.maximum_length)
    model = lora.add_adapter(model, settings_of_lora, base_name=base.name, seed=request.seed)
    if parent is not None:
        lora.load_weights(model, parent.weights)
    parameters = lora.adapter_parameters(model)
    optimiser = make_optimiser(parameters)
    settings = Settings(
        plan=Plan(request.epochs, -(-len(examples) // request.batch_size), request.learning_rate),
        batch_size=request.batch_size,
        seed=request.seed,
        pack_tokens=PACK_TOKENS[device.type] if packs else 0,
        auto_stop=request.auto_stop,
    )
    state = State.from_json(notes["state"]) if notes else State()
    started_at = notes["startedAt"] if notes else _timestamp()
    earlier_seconds = notes["seconds"] if notes else 0.0
    resumed_from = state.step if notes else None
    if notes:
        weights.load_checkpoint(output, parameters, optimiser, state.step)

    def checkpoint() -> None:
        weights.save_checkpoint(
            output,
            parameters,
            optimiser,
            {
                "fingerprint": fingerprint,
                "precision": precision,
                "startedAt": started_at,
                "seconds": earlier_seconds + time.monotonic() - arrived,
                "state": state.to_json(),
            },
        )

    saved = told = time.monotonic()
    first = True
    for epoch_ended in fine_tune(model, optimiser, examples, settings, state):
        now = time.monotonic()
        last = state.step == settings.plan.steps or state.stopped is not None
        if first or last or now - told >= PROGRESS_SECONDS:
            _say(_progress(state, settings.plan))
            first, told = False, now
        if terminated and not last:
            checkpoint()
            raise _interrupted(state.step, settings.plan.steps)
        due = EPOCH_CHECKPOINT_SECONDS if epoch_ended else CHECKPOINT_SECONDS
        if not last and now - saved >= due:
            checkpoint()
            saved = time.monotonic()

    weights_digest = weights.save_adapter(model, output)
    report = TrainReport(
        steps=state.step,
        epochs=len(state.epoch_losses),
        samples=lessons.rows,
        left_out=[LeftOut(reason=reason, rows=count) for reason, count in sorted(lessons.left_out.items())],
        cut=lessons.cut,
        micro_steps=len(lessons.micro_steps),
        final_loss=state.epoch_losses[-1],
        epoch_losses=state.epoch_losses[-100:],
        label_tokens=state.label_tokens,
        tokens_per_second=state.label_tokens / state.seconds,
        duration_seconds=earlier_seconds + time.monotonic() - arrived,
        started_at=started_at,
        ended_at=_timestamp(),
        precision=precision,
        device=device_name(device),
        auto_stopped=AutoStopped(step=state.step, reason=state.stopped) if state.stopped else None,
        resumed_from_step=resumed_from,
        weights_digest=weights_digest,
        lora=parent.lora if parent is not None else None,
        recipe=recipe_of(settings.plan),
    )
    weights.store(output / REPORT, canonical_json(report.to_wire()) + b"\n", what="the report")
    weights.store(output / FINISHED, canonical_json({"request": fingerprint}) + b"\n", what="the report")
    shutil.rmtree(output / weights.CHECKPOINT_DIR, ignore_errors=True)
    return report


def _told(report: TrainReport, output: Path) -> TrainReport:
    """The report as the operator needs it: a termination message has little room, and certify reads the file.

    By the digest certify can tell that the file is still the one that this Job wrote.
    """
    digest, _size = digest_file(output / REPORT)
    told = {"recipe": None, "report_digest": digest, "epoch_losses": report.epoch_losses[-TOLD_LOSSES:]}
    return report.model_copy(update=told)


def _fingerprint(request: TrainRequest) -> str:
    """Digest of all that decides the result; two requests with the same one would train the same adapter."""
    deciding = request.model_dump(
        mode="json", exclude={"run", "data_path", "output_path", "parent_path", "base_digest"}
    )
    return digest_bytes(canonical_json(deciding))


def _finished_report(output: Path, fingerprint: str) -> TrainReport | None:
    """The report of this very request, if the folder holds its whole result."""
    finished = read_json(output / FINISHED)
    if finished is None or finished.get("request") != fingerprint:
        return None
    try:
        report = TrainReport.from_wire((output / REPORT).read_bytes())
        digest, _size = digest_file(output / weights.ADAPTER_WEIGHTS)
    except (OSError, ValidationError):
        return None
    return report if digest == report.weights_digest else None


def _read_rows(path: Path, digest: str) -> list[dict[str, Any]]:
    """The prepared rows, proved to be those that were validated.

    Raises:
        JobError: the file is missing or other bytes than the prepare job left.
    """
    data = read_prepared(path, digest, what="the prepared data")
    try:
        return [dict(json.loads(line)) for line in data.splitlines() if line.strip()]
    except (ValueError, TypeError) as error:
        sentence = "the prepared data is not one JSON object per line; run again, so that prepare writes it anew"
        raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT) from error


def _progress(state: State, plan: Plan) -> TrainProgress:
    pace = state.seconds / state.step
    return TrainProgress(
        percent=100 if state.stopped else 100 * state.step // plan.steps,
        step=state.step,
        steps=plan.steps,
        epoch=min(-(-state.step // plan.steps_per_epoch), plan.epochs),
        epochs=plan.epochs,
        loss=round(sum(state.recent) / len(state.recent), 6),
        tokens_per_second=round(state.label_tokens / state.seconds, 2),
        eta_seconds=0 if state.stopped else round(pace * (plan.steps - state.step)),
        curve=[CurvePoint(step=step, loss=round(loss, 6)) for step, loss in state.curve.points],
    )


def _say(progress: TrainProgress) -> None:
    sys.stdout.write(json.dumps(progress.to_wire(), separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _interrupted(step: int, steps: int) -> JobError:
    sentence = (
        f"training was asked to stop at step {step} of {steps}; a checkpoint is written and the next start goes on"
    )
    return JobError(names.INTERRUPTED, sentence, ExitCode.INTERRUPTED)


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
