from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.digest import digest_bytes
from oneseek_core.jobs.verify import VerifyReport
from oneseek_runtime.plugin.verbs.verify import judge_pods
from oneseek_runtime.verify import job
from support.artifacts import environment
from support.certified import certify, make_keys, shared_keys, verify_request
from support.plugin_objects import DIGESTS, ONE, TWO, Cluster, colour, model, pod


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cluster:
    return Cluster(tmp_path, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home, _ = certify(tmp_path, keys=shared_keys())
    return home


def test_a_certified_folder_is_verified_with_a_key(cluster: Cluster, folder: Path) -> None:
    key = str(shared_keys().trusted / "signing.pub")
    code, out, err = cluster("verify", str(folder), "--key", key)
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [
        f"verified   {folder}",
        f"Verified: {folder.name} is the version that was certified",
    ]
    found = cluster.json("verify", str(folder), "--key", str(shared_keys().trusted))
    assert (found["verified"], found["dna"]) == (True, folder.name)


def _flip(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def _add(folder: Path) -> None:
    (folder / "more.txt").write_text("more")


def _unsign(folder: Path) -> None:
    (folder / "model.sig").unlink()


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (_flip, names.FILE_CHANGED, "adapter_model.safetensors"),
        (_add, names.FILE_UNKNOWN, "more.txt"),
        (_unsign, names.FILE_MISSING, "model.sig"),
    ],
    ids=["flipped", "added", "unsigned"],
)
def test_a_changed_folder_is_refused_naming_the_file(
    cluster: Cluster, folder: Path, change: Any, reason: str, said: str
) -> None:
    change(folder)
    code, out, _ = cluster("verify", str(folder), "--key", str(shared_keys().trusted))
    assert (code, out.startswith("NOT VERIFIED")) == (1, True)
    assert said in out
    assert cluster.json("verify", str(folder), "--key", str(shared_keys().trusted))["reason"] in (
        reason,
        names.SIGNATURE_MISSING,
    )


def test_another_key_or_another_digest_refuses(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    other = str(make_keys(tmp_path / "other").trusted)
    assert cluster("verify", str(folder), "--key", other)[0] == 1
    key = str(shared_keys().trusted)
    assert cluster("verify", str(folder), "--key", key, "--digest", DIGESTS[ONE])[0] == 1


def test_a_folder_is_verified_with_a_models_keys_and_the_digest_it_knows(cluster: Cluster, folder: Path) -> None:
    digest = digest_bytes((folder / names.MANIFEST).read_bytes())
    keys = {path.name: path.read_text() for path in shared_keys().trusted.iterdir()}
    meta = {"name": "demo-trusted-keys", "namespace": "team"}
    known = {"dna": folder.name, "digest": digest, "state": "Current", "createdAt": ""}
    cluster.objects = [model(versions=[known]), {"kind": "ConfigMap", "metadata": meta, "data": keys}]
    assert cluster("verify", str(folder), "--model", "demo")[0] == 0
    cluster.objects[0] = model(versions=[known | {"digest": DIGESTS[ONE]}])
    assert cluster.json("verify", str(folder), "--model", "demo")["reason"] == names.ARTIFACT_DIGEST_DIFFERS
    cluster.objects[0] = model(versions=[])
    assert cluster("verify", str(folder), "--model", "demo")[0] == 2


def test_deep_verifies_again_in_every_pod_that_answers(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    request = verify_request(folder, shared_keys(), dna=folder.name, targetPath=str(tmp_path / "target"))
    digest = job.run(environment(request)).digest
    inside = environment(request | {"digest": digest})
    cluster.objects = [
        model(current={"dna": folder.name, "digest": digest, "since": ""}),
        colour("1a2b3c4d", folder.name),
        pod("one", "1a2b3c4d"),
        pod("left", "99ffee00"),
    ]
    cluster.containers["pod/one/watch"] = {"environment": inside}
    code, out, err = cluster("verify", "demo", "--deep")
    assert (code, err) == (0, "")
    assert out.startswith("verified   demo   now, by 1 pod\n")
    _flip(folder)
    code, out, _ = cluster("verify", "demo", "--deep", "-o", "json")
    found = json.loads(out)
    assert (code, found["verified"], found["pods"][0]["reason"]) == (1, False, names.FILE_CHANGED)


GOOD = VerifyReport(ok=True, reason="Verified", message="fine", dna=TWO, digest=DIGESTS[TWO])


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        pytest.param([GOOD, GOOD], 0, id="all"),
        pytest.param([GOOD, GOOD.model_copy(update={"ok": False})], 1, id="one refuses"),
        pytest.param([GOOD, GOOD.model_copy(update={"dna": ONE})], 1, id="another version"),
        pytest.param([GOOD.model_copy(update={"digest": DIGESTS[ONE]})], 1, id="another folder"),
        pytest.param([GOOD.model_copy(update={"dna": None, "digest": None})], 1, id="the base model"),
    ],
)
def test_deep_needs_every_pod_and_the_very_version_of_the_status(reports: list[VerifyReport], code: int) -> None:
    answer = judge_pods(
        lenient.read(OneSeekModel, model()), {f"pod-{index}": item for index, item in enumerate(reports)}
    )
    assert answer.code == code


@pytest.mark.parametrize("says", ["", "no JSON\n", json.dumps({"ok": True}) + "\n", '{"ok": "perhaps"}\n'], ids=repr)
def test_a_pod_that_gives_no_verdict_is_no_verdict(cluster: Cluster, says: str) -> None:
    cluster.objects = [model(), pod("one", "1a2b3c4d")]
    cluster.containers["pod/one/watch"] = {"says": says}
    code, out, err = cluster("verify", "demo", "--deep")
    assert (code, out, "the verifier in one gave no verdict" in err) == (2, "", True)
