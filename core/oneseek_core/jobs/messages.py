"""How a request reaches a Job and a report comes back, whatever they hold.

A request travels as one JSON object in the environment (`names.REQUEST_ENV`). A report is the pod's termination
message, at most `names.TERMINATION_LIMIT` bytes: either `{"report": {...}}` or `{"reason": ..., "message": ...}`.
"""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import Field, ValidationError

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.errors import JobError, places
from oneseek_core.names import ExitCode
from oneseek_core.secret import redacted

Report = TypeVar("Report", bound=ApiModel)


class Failure(ApiModel):
    """How a job says that it ends in failure."""

    reason: str = Field(max_length=256)
    message: str = Field(max_length=2048)


def success_message(report: ApiModel) -> str:
    """The termination message of a job that did its work."""
    return json.dumps({"report": report.to_wire()}, ensure_ascii=False, separators=(",", ":"))


def failure_message(reason: str, message: str) -> str:
    """The termination message of a job that failed; the sentence is cut so that the whole fits.

    Half characters (file names may hold them) become `?`: the message must be UTF-8. Secret values are taken out first.
    """
    message = redacted(message)
    data = message.encode(errors="replace")
    text = data.decode() if len(data) <= 1900 else data[:1900].decode(errors="ignore") + "…"
    whole = json.dumps({"reason": reason, "message": text}, ensure_ascii=False, separators=(",", ":"))
    if len(whole.encode()) <= names.TERMINATION_LIMIT:
        return whole
    return failure_message(reason, message[: len(message) // 2])  # control characters take six bytes each in JSON


def parse_report(text: str, kind: type[Report]) -> Report | None:
    """The report in a termination message; None where there is none (a killed pod leaves nothing)."""
    try:
        value = json.loads(text)
        return kind.model_validate(value["report"], extra="ignore")
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def parse_failure(text: str) -> Failure | None:
    """The failure in a termination message, if it holds one; its reason is one that Jobs have, whatever stands there."""
    try:
        found = Failure.from_wire(text)
    except ValidationError:
        return None
    return found if found.reason in names.JOB_REASONS else found.model_copy(update={"reason": names.JOB_FAILED})


def parse_request(text: str | None, kind: type[Report]) -> Report:
    """A job's arguments.

    Raises:
        JobError: they are missing or wrong; the operator and the image do not fit together.
    """
    if not text:
        raise JobError(
            names.BAD_REQUEST,
            f"{names.REQUEST_ENV} is not set; this program is started by the operator",
            ExitCode.BAD_REQUEST,
        )
    try:
        return kind.from_wire(text)
    except ValidationError as error:
        raise JobError(
            names.BAD_REQUEST,
            f"{names.REQUEST_ENV} does not fit {kind.__name__}: {places(error)}",
            ExitCode.BAD_REQUEST,
        ) from error
