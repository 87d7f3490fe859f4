from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oneseek_core.ledger import to_copy
from oneseek_runtime.plugin.__main__ import VERBS, main
from support.ledgers import checkpoint, lines_of
from support.plugin_objects import TWO, Cluster, condition, ledger, model


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A model, and beside us a clean and a tampered ledger."""
    monkeypatch.chdir(tmp_path)
    blocks = ledger()
    clean = to_copy(lines_of(blocks))
    Path("clean.jsonl").write_bytes(clean)
    Path("bad.jsonl").write_bytes(clean.replace(b"FileChanged", b"FileDeleted", 1))
    Path("cut.jsonl").write_bytes(to_copy(lines_of(blocks)[:-3]))
    Path("empty.jsonl").write_bytes(b"")
    Path("saved").write_text(checkpoint(blocks, len(blocks)).text() + "\n")
    Path("folder").mkdir()
    refused = [condition("Verified", "False", "FileChanged", "adapter_config.json does not hold the bytes")]
    made = Cluster(tmp_path, capsys)
    made.objects = [model(), model("tampered", conditions=refused), model("silent", conditions=[])]
    return made


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param("list", 0, "", id="list"),
        pytest.param("status demo", 0, "", id="status"),
        pytest.param("verify demo", 0, "", id="verified"),
        pytest.param("verify osm/demo", 0, "", id="verified, by kind and name"),
        pytest.param("history --file clean.jsonl", 0, "", id="history"),
        pytest.param("history --file clean.jsonl --at 2026-03-03", 0, "", id="history at a time"),
        pytest.param("audit clean.jsonl --checkpoint saved", 0, "", id="clean"),
        pytest.param("audit clean.jsonl", 0, "no checkpoint was given", id="clean, as far as can be told"),
        pytest.param("verify tampered", 1, "", id="refused"),
        pytest.param("verify tampered -o json", 1, "", id="refused, in json"),
        pytest.param(
            "history --file bad.jsonl", 1, "the ledger does not hold: Hash mismatch", id="history of a tampered one"
        ),
        pytest.param("history --file bad.jsonl --at 2026-03-03", 1, "does not hold", id="the same at a time"),
        pytest.param("audit bad.jsonl", 1, "", id="tampered"),
        pytest.param("audit cut.jsonl --checkpoint saved", 1, "", id="cut"),
        pytest.param("audit cut.jsonl --own saved", 1, "", id="cut, by its own checkpoint"),
        pytest.param("", 2, "usage: kubectl oneseek", id="no verb"),
        pytest.param("demote demo", 2, "invalid choice: 'demote'", id="unknown verb"),
        pytest.param("list --at now", 2, "unrecognized arguments: --at now", id="unknown flag"),
        pytest.param("list -o wide", 2, "invalid choice: 'wide'", id="unknown output"),
        pytest.param("status", 2, "arguments are required: MODEL", id="no model"),
        pytest.param("status nobody", 2, 'oneseekmodels.oneseek.io "nobody" not found', id="unknown model"),
        pytest.param("verify silent", 2, "no verifier of silent has given a verdict yet", id="no verdict"),
        pytest.param("verify folder", 2, "no key to check the signature with", id="folder without keys"),
        pytest.param("verify ./gone --key saved", 2, "gone is no folder", id="no folder"),
        pytest.param("verify folder --key saved", 2, "is no public key in PEM form", id="no key"),
        pytest.param("verify folder --key gone", 2, "gone cannot be read: No such file", id="no key file"),
        pytest.param("verify folder --deep", 2, "--deep is for a model", id="deep of a folder"),
        pytest.param("verify demo --key saved", 2, "are for a folder", id="keys of a model"),
        pytest.param("verify demo --deep", 2, "no pod of demo is running", id="deep without pods"),
        pytest.param("history demo", 2, '"statefulset/demo-records" not found', id="no records"),
        pytest.param("history", 2, "name a MODEL, or a copy", id="history of nothing"),
        pytest.param("history clean.jsonl", 2, "write --file clean.jsonl", id="a file as a model"),
        pytest.param("history --file clean.jsonl --at noon", 2, "'noon' is no time", id="no time"),
        pytest.param("history --file clean.jsonl --at 2099-01-01", 2, "lies ahead", id="a time ahead"),
        pytest.param("history --file clean.jsonl --at 2026-02-01", 2, "the ledger begins at", id="before the ledger"),
        pytest.param("audit empty.jsonl", 2, "empty.jsonl is empty", id="empty file"),
        pytest.param("audit gone.jsonl", 2, "gone.jsonl cannot be read: No such file", id="no file"),
        pytest.param("audit folder", 2, "folder cannot be read: Is a directory", id="a folder as a ledger"),
        pytest.param(
            "audit clean.jsonl --checkpoint bad.jsonl", 2, "bad.jsonl holds no checkpoint", id="no checkpoint"
        ),
        pytest.param("audit clean.jsonl --key nonsense", 2, "is not an Ed25519 verifier key", id="no verifier key"),
        pytest.param("audit clean.jsonl --save copy", 2, "--save is for a model", id="save a file"),
    ],
)
def test_exit_codes_can_be_trusted_and_errors_are_sentences(
    cluster: Cluster, arguments: str, code: int, said: str
) -> None:
    found, out, err = cluster(*arguments.split())
    assert (found, "Traceback" in err) == (code, False), err
    assert said in err
    assert bool(out) == (code != 2)
    if not said:
        assert err == ""


def test_a_cluster_that_cannot_be_reached_is_a_sentence(cluster: Cluster, tmp_path: Path) -> None:
    program = tmp_path / "away"
    klog = 'E1123 11:55:48.1 1 memcache.go:265] "Unhandled Error" err="couldn\'t get current server API group list"'
    program.write_text(
        f"#!/bin/sh\necho '{klog.replace(chr(39), '')}' >&2\necho 'Unable to connect: timeout' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    assert main(["list"], {**os.environ, "KUBECTL": str(program)}) == 2
    assert cluster.capture.readouterr().err == "kubectl oneseek: Unable to connect: timeout\n"


@pytest.mark.parametrize(
    ("program", "sentence"),
    [("/nowhere/kubectl --fast", "/nowhere/kubectl cannot be run"), ('"k3s', "KUBECTL is no command")],
    ids=["not there", "unbalanced quote"],
)
def test_a_kubectl_that_cannot_be_run_is_a_sentence(
    capsys: pytest.CaptureFixture[str], program: str, sentence: str
) -> None:
    assert main(["list"], {"KUBECTL": program}) == 2
    assert sentence in capsys.readouterr().err


def test_a_defect_of_ours_is_no_verdict(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("boo")

    monkeypatch.setattr("oneseek_runtime.plugin.verbs.audit.audit", broken)
    code, out, err = cluster("audit", "clean.jsonl")
    assert (code, out) == (2, "")
    assert err == "kubectl oneseek: a defect of the plugin: ZeroDivisionError: boo (ONESEEK_DEBUG=1 shows where)\n"


def test_the_installed_program_keeps_its_verdict_when_nobody_reads_on(cluster: Cluster, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("kubectl-oneseek")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [program, "audit", "bad.jsonl"], check=False, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE
        )
    finally:
        os.close(writer)
    assert (done.returncode, b"Error" in done.stderr) == (1, False)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [program, "audit", "clean.jsonl"], check=False, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 2
    assert b"the answer cannot be written: No space left on device" in done.stderr


def test_notes_never_mix_with_a_document(cluster: Cluster) -> None:
    _, out, err = cluster("audit", "clean.jsonl", "-o", "json")
    assert json.loads(out)["clean"] is True
    assert err.startswith("kubectl oneseek: no checkpoint was given")


def test_the_condition_of_what_serves_is_told_with_its_version(cluster: Cluster) -> None:
    found = cluster.json("verify", "tampered")
    assert (found["verified"], found["reason"], found["dna"]) == (False, "FileChanged", TWO)
    assert cluster("verify", "tampered")[1].startswith("NOT VERIFIED   tampered   for ")


def test_every_verb_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in VERBS:
        assert main([verb, "--help"], {}) == 0
        assert "Exit codes: 0 shown, verified, clean" in " ".join(capsys.readouterr().out.split())


def test_the_help_says_what_a_request_leaves_behind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "--help"], {}) == 0
    assert "What is left goes into quarantine" in " ".join(capsys.readouterr().out.split())
