"""[I/O] The init verifier: base model and version are proved, and the version copied, before an engine starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.errors import JobError, places
from oneseek_core.files import empty_folder, is_full
from oneseek_core.jobs.messages import parse_request
from oneseek_core.jobs.verify import VerifyReport, VerifyRequest
from oneseek_core.names import ExitCode
from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.log import say
from oneseek_runtime.verify.copies import Copies
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.folder import verify_base, verify_folder
from oneseek_runtime.verify.refusal import RefusedError
from oneseek_runtime.verify.trust import trusted_keys

__all__ = ["run", "verify"]

_DIGEST_REASONS = (names.BASE_DIGEST_DIFFERS, names.ARTIFACT_DIGEST_DIFFERS, names.DNA_DIFFERS, names.BASE_DIFFERS)


def run(environment: Mapping[str, str]) -> VerifyReport:
    """Verify what the request names; afterwards the target holds what may be loaded, and nothing else.

    Raises:
        JobError: with the verifier's reason; exit code 13 where it is another model, 15 where it is a damaged one.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), VerifyRequest)
    try:
        report = verify(request)
    except RefusedError as error:
        code = ExitCode.DIGEST_DIFFERS if error.reason in _DIGEST_REASONS else ExitCode.BAD_ARTIFACT
        raise JobError(error.reason, error.message, code) from error
    except OSError as error:
        if is_full(error):
            raise JobError.storage_full("the verified copy", str(error.filename)) from error
        raise
    say("verified", dna=report.dna, digest=report.digest, base=report.base_digest, signedBy=report.signed_by)
    return report


def verify(request: VerifyRequest) -> VerifyReport:
    """What `run` does, refusals as they are raised.

    Raises:
        RefusedError: with the reason; the request's own reason where it asks for nothing.
    """
    wanted = _wanted(request)
    if wanted is None and request.adapter_path is None and (request.base_path is None or request.base_digest is None):
        raise RefusedError(names.BAD_REQUEST, "the request names neither a version nor a base model with its digest")
    target = Path(request.target_path) if request.target_path else None
    if target is not None:
        empty_folder(target)  # whatever is refused below, nothing may be loaded from there
    base = None
    if request.base_path is not None and request.base_digest is not None:
        base = verify_base(Path(request.base_path), request.base_digest)
        if request.adapter_path is None and (wanted is None or wanted.dna is None):
            return base
    if wanted is not None:
        report = _copied(request, wanted)
    else:
        expected = Expected.of(request, trusted_keys(request.trusted_keys))
        report = verify_folder(Path(str(request.adapter_path)), expected, target)
    if base is None:
        return report
    both = {"files": report.files + base.files, "bytes": report.bytes + base.bytes}
    return report.model_copy(update={"base_digest": base.base_digest, **both})


def _wanted(request: VerifyRequest) -> WantedVersion | None:
    """The version that a HotSwap pod starts with: no part of its template, but of its ConfigMap."""
    if request.wanted_path is None:
        return None
    try:
        return WantedVersion.from_wire(Path(request.wanted_path).read_bytes())
    except (OSError, ValidationError) as error:
        why = places(error) if isinstance(error, ValidationError) else error.strerror
        raise RefusedError(names.BAD_REQUEST, f"{request.wanted_path} names no version: {why}") from error


def _copied(request: VerifyRequest, wanted: WantedVersion) -> VerifyReport:
    """The version proved, its copy marked; nothing where the base model is wanted."""
    if wanted.dna is None or request.certified_path is None or request.verified_path is None:
        return VerifyReport(ok=True, reason=names.ARTIFACT_VERIFIED, message="the base model is wanted")
    report = Copies(request, Path(request.certified_path), Path(request.verified_path)).make(wanted)
    if not report.ok:
        raise RefusedError(report.reason, report.message)
    return report
