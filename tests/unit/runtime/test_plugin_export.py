"""`kubectl oneseek export`: what is written is proved, complete, always the same, and an image to ordinary tools."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from support.artifacts import BASE_DIGEST, tree_of
from support.certified import certify, edit_json, reseal, shared_keys
from support.exports import Layout, base_layout, serving
from support.plugin_objects import ONE, Cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return certify(tmp_path / "claim", keys=shared_keys(), scores={"exact": 0.5})[0]


@pytest.fixture
def cluster(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cluster:
    monkeypatch.chdir(tmp_path)
    return serving(Cluster(tmp_path, capsys), folder)


def blob(layout: Path, digest: str) -> bytes:
    """A blob, which must be what its digest says."""
    data = (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert digest_bytes(data) == digest
    return data


def read(layout: Path) -> tuple[Layout, Layout, Layout]:
    """Index entry, manifest and configuration of the one image, everything in it checked by digest and size."""
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_bytes())
    (entry,) = index["manifests"]
    manifest = json.loads(blob(layout, entry["digest"]))
    config = json.loads(blob(layout, manifest["config"]["digest"]))
    for described in (manifest["config"], *manifest["layers"]):
        assert len(blob(layout, described["digest"])) == described["size"]
    reached = {item["digest"][7:] for item in (entry, manifest["config"], *manifest["layers"])}
    assert {path.name for path in (layout / "blobs" / "sha256").iterdir()} == reached, "no blob that nothing names"
    return entry, manifest, config


def unpack(layer: Path, target: Path) -> Path:
    with tarfile.open(layer) as archive:
        archive.extractall(target, filter="data")
    return target


def test_a_version_becomes_an_image_with_the_folder_under_models(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    code, out, err = cluster("export", "demo", folder.name, "--to", "layout")
    assert (code, out.splitlines()[0]) == (0, f"exported   {folder.name}")
    assert "the image has no `cp`" in err
    entry, manifest, config = read(tmp_path / "layout")
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer["digest"]]}
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    annotations = manifest["annotations"]
    assert annotations["oneseek.io/dna"] == annotations["org.opencontainers.image.title"] == folder.name
    assert annotations["oneseek.io/digest"] == digest_bytes((folder / names.MANIFEST).read_bytes())
    assert annotations["oneseek.io/base-model-digest"] == BASE_DIGEST
    assert annotations["org.opencontainers.image.created"] == "2026-08-23T10:11:12.345Z"
    tag = entry["annotations"]["org.opencontainers.image.ref.name"]
    assert tag == "-".join(["v1.0", *folder.name.rsplit(".", 2)[1:]])
    root = unpack(tmp_path / "layout" / "blobs" / "sha256" / layer["digest"][7:], tmp_path / "out")
    assert tree_of(root) == {f"models/{folder.name}/{path}": data for path, data in tree_of(folder).items()}
    verified = cluster("verify", str(root / "models" / folder.name), "--model", "demo")
    assert verified[0] == 0


def test_the_same_version_gives_the_same_bytes_wherever_it_is_exported(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        assert cluster("export", "demo", "current", "--to", name)[0] == 0
        assert cluster("export", "demo", folder.name, "--to", f"{name}.tar")[0] == 0
    assert tree_of(tmp_path / "a") == tree_of(tmp_path / "b")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert tree_of(unpack(tmp_path / "a.tar", tmp_path / "unpacked")) == tree_of(tmp_path / "a")
    assert not list(tmp_path.glob(".oneseek-export-*"))


def test_the_document_names_what_the_next_tool_needs(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    found = cluster.json("export", "demo", folder.name, "--to", "layout", "--platform", "linux/arm64")
    entry, manifest, config = read(tmp_path / "layout")
    assert (found["exported"], found["form"], found["to"]) == (True, "oci", "layout")
    assert (found["image"], found["layer"]) == (entry["digest"], manifest["layers"][0]["digest"])
    assert config["architecture"] == "arm64"
    assert found["signedBy"] == hashlib.sha256((shared_keys().trusted / "signing.pub").read_bytes()).hexdigest()


def flip(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def link(folder: Path) -> None:
    (folder / "metadata.json").unlink()
    (folder / "metadata.json").symlink_to("/etc/hostname")


def sealed_anew(folder: Path) -> None:
    edit_json(folder / "training_results.json", status="other")
    reseal(folder, shared_keys())


@pytest.mark.parametrize(
    ("change", "reason"),
    [(flip, names.FILE_CHANGED), (link, names.FILE_MISSING), (sealed_anew, names.ARTIFACT_DIGEST_DIFFERS)],
    ids=["flipped", "a link", "sealed anew"],
)
def test_a_version_that_does_not_verify_is_not_written(
    cluster: Cluster, folder: Path, tmp_path: Path, change: Any, reason: str
) -> None:
    change(folder)
    before = {path.name for path in tmp_path.iterdir()}
    code, out, _ = cluster("export", "demo", folder.name, "--to", "layout")
    assert (code, f"{reason}: " in out, out.startswith("NOT EXPORTED")) == (1, True, True), out
    assert {path.name for path in tmp_path.iterdir()} - before <= {
        "cluster.json",
        "cluster.json.calls",
        "kubectl",
        "kubectl.py",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", ONE, "--to", "layout"], f"demo knows no version {ONE}"),
        (["nobody", "current", "--to", "layout"], '"nobody" not found'),
        (["demo", "current", "--to", "claim"], "claim exists already and is not overwritten"),
        (["demo", "current", "--to", "kubectl.tar"], "kubectl.tar exists already"),
        (["demo", "current", "--to", "gone/layout"], "gone is no folder"),
        (["demo", "current", "--to", "x", "--base", "claim"], "claim is no OCI image layout"),
        (["demo", "current", "--to", "x", "--platform", "arm"], "'arm' is no platform"),
        (["demo", "current"], "arguments are required: --to"),
    ],
    ids=["version", "model", "target", "archive", "parent", "base", "platform", "no target"],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    cluster: Cluster, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "kubectl.tar").touch()
    code, out, err = cluster("export", *arguments)
    assert (code, out, said in err) == (2, "", True), err
    assert not (tmp_path / "x").exists()


def test_no_pod_and_a_broken_stream_are_sentences(cluster: Cluster, folder: Path) -> None:
    cluster.containers["pod/one/sidecar"] = {"says": "no tar"}
    assert "what pod one sent broke off" in cluster("export", "demo", "current", "--to", "x")[2]
    shutil.rmtree(folder)
    serving = {"model": "demo", "namespace": "team", "family": "x", "baseName": "tiny", "basePath": "/x"}
    told = {names.SERVING_ENV: json.dumps({**serving, "certifiedPath": str(folder.parent)})}
    cluster.containers["pod/one/sidecar"] = {"environment": told}
    assert f"the claim holds no certified version {folder.name}" in cluster("export", "demo", "current", "--to", "x")[2]
    cluster.objects.pop()
    assert "no pod of demo is running" in cluster("export", "demo", "current", "--to", "x")[2]


def test_a_bases_layers_come_first_and_its_configuration_is_kept(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    base_layout(tmp_path / "base")
    code, _, err = cluster("export", "demo", folder.name, "--to", "layout", "--base", "base")
    assert (code, err) == (0, "")
    _, manifest, config = read(tmp_path / "layout")
    _, below, _ = read(tmp_path / "base")
    assert [layer["digest"] for layer in manifest["layers"][:-1]] == [below["layers"][0]["digest"]]
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert len(config["history"]) == 2
    assert config["config"]["Env"] == ["PATH=/bin"]
    assert (config["config"]["Labels"]["a"], config["config"]["Labels"]["oneseek.io/dna"]) == ("b", folder.name)


def test_of_a_base_for_several_platforms_the_one_that_is_asked_for_is_taken(cluster: Cluster, tmp_path: Path) -> None:
    base_layout(tmp_path / "base", platforms=("amd64", "arm64"))
    for number, (platform, architecture) in enumerate((([], "amd64"), (["--platform", "linux/arm64"], "arm64"))):
        assert cluster("export", "demo", "current", "--to", f"l{number}", "--base", "base", *platform)[0] == 0
        assert read(tmp_path / f"l{number}")[2]["architecture"] == architecture
    refused = cluster("export", "demo", "current", "--to", "x", "--base", "base", "--platform", "linux/s390x")
    assert (refused[0], "base holds no image for linux/s390x" in refused[2]) == (2, True)


def test_a_damaged_base_is_not_built_upon(cluster: Cluster, tmp_path: Path) -> None:
    base = base_layout(tmp_path / "base")
    _, manifest, _ = read(base)
    (base / "blobs" / "sha256" / manifest["layers"][0]["digest"][7:]).write_bytes(b"other")
    code, _, err = cluster("export", "demo", "current", "--to", "layout", "--base", "base")
    assert (code, "has other bytes" in err) == (2, True)
    assert not (tmp_path / "layout").exists()
