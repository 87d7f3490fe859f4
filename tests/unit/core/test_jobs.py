from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.jobs.certify import CertifyReport
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.messages import failure_message, parse_failure, parse_report, parse_request, success_message
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_core.jobs.train import TrainProgress, TrainReport
from oneseek_core.jobs.tree import TreeRequest
from support.artifacts import CREATED_AT, DATA_DIGEST

KUBELET_LIMIT = 4096  # bytes of a termination message that the kubelet keeps


@given(st.text(), st.integers(1, 4000))
def test_every_failure_message_fits_and_is_read_back(text: str, times: int) -> None:
    message = failure_message(names.JOB_FAILED, text * times)
    assert len(message.encode()) <= names.TERMINATION_LIMIT
    failure = parse_failure(message)
    assert failure is not None
    assert failure.reason == names.JOB_FAILED


def test_half_characters_of_file_names_do_not_break_the_message() -> None:
    failure = parse_failure(failure_message(names.JOB_FAILED, "cannot read \udce5.txt"))
    assert failure is not None
    assert failure.message == "cannot read ?.txt"


@pytest.mark.parametrize(
    "reason", ["Certified", "a sentence, with\nlines", "x" * 200, "", "JobFailed\u001b[31m"], ids=range(5)
)
def test_a_reason_that_no_job_has_is_a_failed_job(reason: str) -> None:
    failure = parse_failure(json.dumps({"reason": reason, "message": "what it said"}))
    assert failure is not None
    assert (failure.reason, failure.message) == (names.JOB_FAILED, "what it said")


def reasons_in_the_runtime() -> set[str]:
    """The constants that a JobError or RefusedError of the runtime begins with."""
    found = set()
    for path in sorted((Path(__file__).parents[3] / "runtime" / "oneseek_runtime").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("JobError", "RefusedError", "refusing"):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Attribute) and first.attr.isupper():
                    found.add(first.attr)
    return found


@pytest.mark.parametrize("constant", sorted(reasons_in_the_runtime()))
def test_every_reason_of_the_runtimes_jobs_is_known(constant: str) -> None:
    assert getattr(names, constant) in names.JOB_REASONS


PROGRESS = {
    "percent": 1,
    "step": 1,
    "steps": 9,
    "epoch": 1,
    "epochs": 1,
    "loss": 1.5,
    "tokensPerSecond": 2.0,
    "etaSeconds": 3,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loss", float("nan")),
        ("loss", float("inf")),
        ("tokensPerSecond", float("nan")),
        ("tokensPerSecond", -1),
        ("percent", 101),
        ("percent", -1),
        ("step", 10**30),
        ("step", -1),
        ("etaSeconds", -1),
        ("curve", [{"step": 10**30, "loss": 1.0}]),
        ("curve", [{"step": 1, "loss": float("nan")}]),
    ],
)
def test_progress_that_no_status_can_hold_is_none(field: str, value: object) -> None:
    assert TrainProgress.from_wire(json.dumps(PROGRESS)).step == 1
    with pytest.raises(ValidationError):
        TrainProgress.from_wire(json.dumps(PROGRESS | {field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("finalLoss", float("nan")),
        ("durationSeconds", float("inf")),
        ("samples", 10**30),
        ("steps", -1),
        ("microSteps", 10**30),
        ("device", "x" * 65),
        ("leftOut", [{"reason": f"r{n}", "rows": 1} for n in range(9)]),
        ("leftOut", [{"reason": "r", "rows": 10**30}]),
        ("epochLosses", [1.0, float("nan")]),
    ],
)
def test_a_train_report_that_no_status_can_hold_is_none(field: str, value: object) -> None:
    good = {
        "steps": 1,
        "epochs": 1,
        "samples": 1,
        "finalLoss": 1.0,
        "labelTokens": 1,
        "tokensPerSecond": 1.0,
        "durationSeconds": 1.0,
        "startedAt": CREATED_AT,
        "endedAt": CREATED_AT,
        "precision": "fp32",
        "device": "cpu",
        "weightsDigest": DATA_DIGEST,
    }
    assert parse_report(json.dumps({"report": good}), TrainReport) is not None
    assert parse_report(json.dumps({"report": good | {field: value}}), TrainReport) is None


def test_a_report_is_read_back() -> None:
    report = CertifyReport(version=CertifiedVersion(dna="x", digest=DATA_DIGEST, created_at=CREATED_AT))
    assert parse_report(success_message(report), CertifyReport) == report
    assert parse_report("", CertifyReport) is None
    assert parse_report('{"reason":"x","message":"y"}', CertifyReport) is None


def test_the_largest_prepare_report_is_kept_whole_by_the_kubelet() -> None:
    datasets = [{"name": "n" * 96, "digest": DATA_DIGEST, "rows": 10_000_000} for _ in range(16)]
    report = PrepareReport.model_validate(
        {"datasets": datasets, "dataDigest": DATA_DIGEST, "samples": 10**8, "language": "ensv", "tags": ["T" * 16] * 12}
    )
    assert len(success_message(report).encode()) <= KUBELET_LIMIT


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(None, "ONESEEK_REQUEST is not set", id="missing"),
        pytest.param("{}", "does not fit TreeRequest", id="empty"),
        pytest.param('{"family":"F","remove":[1]}', "remove", id="another-type"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(text: str | None, sentence: str) -> None:
    with pytest.raises(JobError, match=sentence) as raised:
        parse_request(text, TreeRequest)
    assert raised.value.exit_code == names.ExitCode.BAD_REQUEST


def test_a_tree_job_is_told_that_nothing_is_current() -> None:
    request = TreeRequest(family="F", current=None)
    assert parse_request(json.dumps(request.to_wire()), TreeRequest) == request
