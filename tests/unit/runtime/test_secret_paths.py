"""Every way in which a secret value comes into a process, with values that are none: nothing of them comes out again."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names, secret
from oneseek_core.api.v1alpha1.common import Dataset
from oneseek_core.names import ExitCode
from oneseek_core.serving.settings import ExternalEndpoint
from oneseek_runtime.access import Access
from oneseek_runtime.artifact.layout import LEDGER_KEY, SIGNING_KEY
from oneseek_runtime.basemodel import job as basemodel_job
from oneseek_runtime.certify.keys import load_keys
from oneseek_runtime.plugin.inpod import ledger
from oneseek_runtime.prepare import job as prepare_job
from oneseek_runtime.prepare.window import fetch_window
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.sidecar.cluster.client import KubeClient
from oneseek_runtime.sidecar.engine.external import ExternalModels
from oneseek_runtime.sidecar.records.client import RecordsClient
from support.artifacts import MODEL, RUN, SPEC_DIGEST, environment
from support.sessions import connected

REPOSITORY = Path(__file__).parents[3]
NOWHERE = "http://127.0.0.1:9"  # nobody listens on the discard port
VALUES = {
    "line-end": "hf_CANARYone\nCANARYtwo",
    "header-illegal": "hf_CANARY\x07CANARYé",
    "pem": "-----BEGIN PRIVATE KEY-----\nCANARYgEAMBMGByqGSM49CANARY\nCANARYEHBG0wawIBAQQgCANARY\n-----END PRIVATE KEY-----\n",
}


def hub_of_a_base_model(tmp: Path, value: str) -> object:
    source = {"huggingFace": {"repo": "owner/tiny", "tokenSecret": {"name": "any"}}}
    asked = {"model": MODEL, "modelsRoot": str(tmp), "baseName": "tiny", "source": source}
    return basemodel_job.run(environment(asked, HF_ENDPOINT=NOWHERE, HF_TOKEN=value))


def hub_of_a_dataset(tmp: Path, value: str) -> object:
    source = {"huggingFace": {"repo": "owner/rows", "file": "rows.jsonl", "tokenSecret": {"name": "any"}}}
    dataset = {"dataset": {"name": "rows", "source": source}}
    (tmp / ".staging").mkdir()
    asked = {"run": RUN, "specDigest": SPEC_DIGEST, "modelsRoot": str(tmp), "datasets": [dataset], "language": "auto"}
    return prepare_job.run(environment(asked, HF_ENDPOINT=NOWHERE, HF_TOKEN=value))


def stored(tmp: Path, value: str, name: str = "token") -> Path:
    (tmp / name).write_text(value, encoding="utf-8")
    return tmp / name


def run(work: Coroutine[Any, Any, object]) -> object:
    return asyncio.run(work)


def key_of_a_model_elsewhere(tmp: Path, value: str) -> object:
    path = str(stored(tmp, value))
    endpoint = ExternalEndpoint(name="other", url=NOWHERE, model="m", key_path=path, timeout_seconds=5)

    async def ask() -> object:
        async with connected(ExternalModels, [endpoint]) as models:
            return await models.complete(endpoint, {"messages": []})

    return run(ask())


def token_that_a_sidecar_sends_to_records(tmp: Path, value: str) -> object:
    async def ask() -> object:
        async with connected(RecordsClient, NOWHERE, Access(stored(tmp, value, "token").parent)) as client:
            return await client.stats()

    return run(ask())


def token_that_prepare_sends_to_records(tmp: Path, value: str) -> object:
    dataset = Dataset.from_wire(json.dumps({"name": "w", "source": {"records": {"window": 1}}}))
    told = {names.RECORDS_URL_ENV: NOWHERE, names.ACCESS_ENV: str(stored(tmp, value, "token").parent)}
    return fetch_window(dataset, 1, told, tmp / "lessons")


def token_that_the_plugin_sends_to_records(tmp: Path, value: str) -> object:
    told = {"model": "m", "namespace": "n", "dataPath": str(tmp), "accepted": {}, "port": 9, "host": "127.0.0.1"}
    folder = str(stored(tmp, value, "token").parent)
    return list(ledger.whole({"ONESEEK_RECORDS": json.dumps(told), names.ACCESS_ENV: folder}))


def token_of_the_service_account(tmp: Path, value: str) -> object:
    stored(tmp, value)

    async def ask() -> object:
        async with connected(KubeClient, NOWHERE, namespace="n", model="m", access=tmp) as client:
            return await client.model()

    return run(ask())


def keys_that_sign_versions(tmp: Path, value: str) -> object:
    for name in (SIGNING_KEY, LEDGER_KEY):
        stored(tmp, value, name)
    return load_keys(str(tmp))


def key_that_signs_checkpoints(tmp: Path, value: str) -> object:
    return Signer.from_file("origin", stored(tmp, value))


def credentials_of_firestore(tmp: Path, value: str) -> object:
    connection = pytest.importorskip("oneseek_runtime.records.firestore.connection")
    settings = connection.FirestoreSettings(project_id="p", credentials_file=str(stored(tmp, value)))
    return connection.Connection(settings).client()


PATHS: list[Callable[[Path, str], object]] = [
    hub_of_a_base_model,
    hub_of_a_dataset,
    key_of_a_model_elsewhere,
    token_that_a_sidecar_sends_to_records,
    token_that_prepare_sends_to_records,
    token_that_the_plugin_sends_to_records,
    token_of_the_service_account,
    keys_that_sign_versions,
    key_that_signs_checkpoints,
    credentials_of_firestore,
]


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in VALUES.items()])
@pytest.mark.parametrize("path", [pytest.param(path, id=path.__name__) for path in PATHS])
def test_no_way_in_is_a_way_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], path: Callable[[Path, str], object], value: str
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - each path has its own kind
        path(tmp_path, value)
    assert "CANARY" not in str(raised.value)
    assert str(raised.value)
    assert "CANARY" not in secret.redacted("".join(traceback.format_exception(raised.value)))
    printed = capfd.readouterr()
    assert "CANARY" not in printed.out + printed.err


def in_a_process(tmp_path: Path, command: str, asked: dict[str, object], token: str) -> tuple[int, str]:
    """Exit code and everything that a Job's process leaves: message, log, files."""
    (tmp_path / "claim" / ".staging").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "oneseek_runtime", command],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPOSITORY}/core:{REPOSITORY}/runtime",
            "ONESEEK_TERMINATION_PATH": str(tmp_path / "termination"),
            "HF_ENDPOINT": NOWHERE,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": token,
            names.REQUEST_ENV: json.dumps(asked),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    files = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    return done.returncode, "\n".join([done.stdout, done.stderr, *files])


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in VALUES.items()])
def test_a_secret_that_is_no_token_ends_the_job_with_a_sentence(tmp_path: Path, value: str) -> None:
    source = {"huggingFace": {"repo": "owner/rows", "file": "rows.jsonl", "tokenSecret": {"name": "any"}}}
    asked = {
        "run": RUN,
        "specDigest": SPEC_DIGEST,
        "modelsRoot": str(tmp_path / "claim"),
        "datasets": [{"dataset": {"name": "rows", "source": source}}],
        "language": "auto",
    }
    code, left = in_a_process(tmp_path, "prepare", asked, value)
    assert code == ExitCode.BAD_INPUT
    assert json.loads((tmp_path / "termination").read_text()) == {
        "reason": "SecretInvalid",
        "message": "the hub's token (the key that tokenSecret names) is not one word of printable ASCII: store the"
        " token, and nothing else, there",
    }
    assert "CANARY" not in left


def test_a_library_that_quotes_a_good_token_is_not_repeated(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from oneseek_core import secret\n"
        "from oneseek_runtime import __main__ as program\n"
        "def job(environment):\n"
        "    assert 'HF_TOKEN' not in os.environ\n"
        "    token = environment['HF_TOKEN']\n"
        "    print('using', token)\n"
        "    raise ValueError(f'Illegal header value {(\"Bearer \" + token).encode()!r}')\n"
        "program._load = lambda entry: job\n"
        "secret.redact_output()\n"
        "sys.exit(program.main(['tree'], secret.withdraw(os.environ, 'HF_TOKEN')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPOSITORY}/core:{REPOSITORY}/runtime",
            "ONESEEK_TERMINATION_PATH": str(tmp_path / "termination"),
            "HF_TOKEN": "hf_CANARY123",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    message = json.loads((tmp_path / "termination").read_text())
    assert message["reason"] == names.JOB_FAILED
    assert message["message"].startswith("the tree Job ended with ValueError in ")
    assert "Illegal header value b'Bearer [secret]'" in done.stderr
    assert done.stdout == "using [secret]\n"
    assert "CANARY" not in done.stdout + done.stderr + str(message)
