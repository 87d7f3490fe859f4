"""`verify MODEL|DIR`: is what answers, or what lies in a folder, what was certified?

DIR is verified here, by the very code that verifies in pods. Of MODEL the watching verifier's last word is told
(condition Verified); `--deep` has every pod that answers verify again, now, and believes nothing older.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.jobs.verify import VerifyReport
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.text import printable, table
from oneseek_runtime.plugin.times import age
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.folder import verdict, verify_folder
from oneseek_runtime.verify.trust import TrustedKeys, trusted_keys

__all__ = ["add_arguments", "judge_condition", "judge_pods", "keys_of", "run"]

_CONTAINER = "watch"


def add_arguments(parser: ArgumentParser) -> None:
    """What `verify` takes."""
    parser.add_argument(
        "what", metavar="MODEL|DIR", help="a OneSeekModel (osm/NAME is always one), or a certified folder"
    )
    parser.add_argument("--deep", action="store_true", help="MODEL: have every pod that answers verify again, now")
    parser.add_argument(
        "--key", action="append", default=[], metavar="PEM", help="DIR: a trusted public key, or a folder of them"
    )
    parser.add_argument("--model", metavar="MODEL", help="DIR: trust this model's keys, and pin the digest it knows")
    parser.add_argument("--digest", help="DIR: the digest (sha256:...) that the folder's manifest must have")


def run(call: Call) -> Answer:
    """Verify a folder or a model.

    Raises CannotTellError: there is nothing to verify, nothing to verify it with, or no verdict yet.
    """
    arguments = call.arguments
    if reading.is_path(arguments.what):
        if arguments.deep:
            raise CannotTellError(f"--deep is for a model; {arguments.what} is a folder and always read in full")
        return _folder(call, Path(arguments.what))
    if arguments.key or arguments.model or arguments.digest:
        raise CannotTellError("--key, --model and --digest are for a folder; a model's verifier has its own")
    model = reading.read_model(call.kubectl, arguments.what)
    return judge_pods(model, _ask_pods(call, model)) if arguments.deep else judge_condition(model, call)


def _folder(call: Call, path: Path) -> Answer:
    arguments = call.arguments
    if not path.is_dir():
        raise CannotTellError(f"{path} is no folder")
    path = path.resolve()
    keys, digest = _keys(arguments.key), arguments.digest
    if arguments.model:
        model = reading.read_model(call.kubectl, arguments.model)
        keys = _with(keys, keys_of(call, model))
        known = next((item.digest for item in model.status.versions if item.dna == path.name), None)
        if known is None:
            raise CannotTellError(f"{model.metadata.name} knows no version {path.name}; give --key instead of --model")
        digest = digest or known
    if not keys.signing:
        raise CannotTellError("no key to check the signature with: give --key PEM (EC P-256) or --model MODEL")
    report = verdict(lambda: verify_folder(path, Expected(digest=digest, trusted=keys)))
    document = {"folder": str(path), "verified": report.ok, **report.to_wire()}
    return Answer(document, _report_text(str(path), report), Exit.OK if report.ok else Exit.REFUSED)


def _report_text(what: str, report: VerifyReport) -> str:
    head = f"{'verified' if report.ok else 'NOT VERIFIED'}   {what}"
    lines = [head, f"{report.reason}: {report.message}"]
    if report.ok:
        lines.append(f"{report.files} files, {report.bytes} bytes, manifest {report.digest}")
        lines.append(f"signed by {report.signed_by}")
    return "\n".join(map(printable, lines))


def _keys(paths: Sequence[str]) -> TrustedKeys:
    """The keys in files and folders, read as pods read theirs: the verifier knows folders only."""
    found = TrustedKeys()
    with TemporaryDirectory() as home:
        for path in paths:
            if Path(path).is_dir():
                found = _with(found, trusted_keys(path))
            else:
                (Path(home) / f"{Path(path).name}.pub").write_bytes(reading.read_file(path))
                found = _with(found, trusted_keys(home))
    return found


def keys_of(call: Call, model: OneSeekModel) -> TrustedKeys:
    """The public keys that the model's own verifiers trust. Raises CannotTellError: they cannot be read."""
    name, namespace = f"{model.metadata.name}-trusted-keys", model.metadata.namespace
    found = call.kubectl.get(f"configmap/{name}", f"--namespace={namespace}").get("data", {})
    with TemporaryDirectory() as home:
        for index, text in enumerate(found.values()):
            (Path(home) / f"{index}.pub").write_text(text, encoding="utf-8")
        return trusted_keys(home)


def _with(left: TrustedKeys, right: TrustedKeys) -> TrustedKeys:
    """The keys of both, each once."""
    signing, ledger = dict.fromkeys((*left.signing, *right.signing)), dict.fromkeys((*left.ledger, *right.ledger))
    return TrustedKeys(tuple(signing), tuple(ledger))


def judge_condition(model: OneSeekModel, call: Call) -> Answer:
    """What the watching verifier said last, as the operator wrote it down.

    Raises CannotTellError: it has said nothing yet.
    """
    name, told = model.metadata.name, lenient.condition(model, names.VERIFIED)
    if told is None or told.status not in ("True", "False"):
        raise CannotTellError(f"no verifier of {name} has given a verdict yet; {reading.state_of(model)}")
    verified = told.status == "True"
    current = model.status.current
    document = {
        "model": name,
        "namespace": model.metadata.namespace,
        "verified": verified,
        "reason": told.reason,
        "message": told.message,
        "since": told.last_transition_time,
        "dna": current.dna if current else None,
        "digest": current.digest if current else None,
    }
    serves = current.dna if current else f"base model {model.spec.base_model.name}"
    since = age(told.last_transition_time, call.now)
    head = f"{'verified' if verified else 'NOT VERIFIED'}   {name}   for {since}"
    text = "\n".join(map(printable, [head, f"{told.reason}: {told.message}", serves]))
    return Answer(document, text, Exit.OK if verified else Exit.REFUSED)


def _ask_pods(call: Call, model: OneSeekModel) -> dict[str, VerifyReport]:
    """A fresh verdict of each pod of the live colour.

    Raises CannotTellError: no pod answers, or one cannot be asked.
    """
    namespace = model.metadata.namespace
    return {
        pod: _parse(pod, call.kubectl.execute(f"pod/{pod}", _CONTAINER, ["verify"], namespace=namespace))
        for pod in reading.running_pods(call.kubectl, model)
    }


def _parse(pod: str, data: bytes) -> VerifyReport:
    try:
        return VerifyReport.from_wire(data.splitlines()[-1])
    except (IndexError, ValidationError) as error:
        raise CannotTellError(f"the verifier in {pod} gave no verdict: {error}") from error


def judge_pods(model: OneSeekModel, reports: Mapping[str, VerifyReport]) -> Answer:
    """Verified only if every pod says so, and of the version that the status names."""
    judged = {pod: _against_status(model, report) for pod, report in reports.items()}
    verified = all(report.ok for report in judged.values())
    document = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "verified": verified,
        "pods": [{"pod": pod, **report.to_wire()} for pod, report in judged.items()],
    }
    rows = [
        [pod, "yes" if report.ok else "NO", report.reason, report.dna or "(base model)", report.message]
        for pod, report in judged.items()
    ]
    head = f"{'verified' if verified else 'NOT VERIFIED'}   {model.metadata.name}   now, by {len(judged)} {'pod' if len(judged) == 1 else 'pods'}"
    text = f"{printable(head)}\n{table(['POD', 'VERIFIED', 'REASON', 'VERSION', 'MESSAGE'], rows)}"
    return Answer(document, text, Exit.OK if verified else Exit.REFUSED)


def _against_status(model: OneSeekModel, report: VerifyReport) -> VerifyReport:
    """The report, refused where a pod verified another version than the one that ought to answer."""
    current = model.status.current
    wanted = (current.dna, current.digest) if current else (None, None)
    if not report.ok or (report.dna, report.digest) == wanted:
        return report
    sentence = (
        f"the pod holds {report.dna or 'the base model'} ({report.digest}), status.current is {wanted[0]} ({wanted[1]})"
    )
    return report.model_copy(update={"ok": False, "reason": names.ARTIFACT_DIGEST_DIFFERS, "message": sentence})
