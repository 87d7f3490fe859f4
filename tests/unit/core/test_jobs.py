from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.jobs.certify import CertifyReport
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.messages import failure_message, parse_failure, parse_report, parse_request, success_message
from oneseek_core.jobs.prepare import PrepareReport
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
