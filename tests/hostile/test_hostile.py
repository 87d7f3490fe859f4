"""Every hostile artifact is refused with its reason and a non-zero exit; nothing of it is run, nothing is left."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes, manifest_bytes
from oneseek_core.files import digest_tree
from oneseek_runtime import __main__ as program
from support.artifacts import environment, model_folder
from support.certified import certify, shared_keys, verify_request
from support.hostile import CASES
from support.hostile.folder import World

ENOUGH = 60
_unpickled: list[str] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("pickle.find_class", "os.system"):
        _unpickled.append(f"{event} {arguments}")


sys.addaudithook(_listen)  # cannot be removed: it only remembers


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model and a version trained on it, made once."""
    root = tmp_path_factory.mktemp("sealed")
    base = model_folder(root / "tiny")
    manifest = manifest_bytes(digest_tree(base))
    (base / names.BASE_MANIFEST).write_bytes(manifest)
    certify(root, keys=shared_keys(), baseDigest=digest_bytes(manifest))
    return root


@pytest.fixture
def world(sealed: Path, tmp_path: Path) -> Iterator[World]:
    (original,) = (path for path in (sealed / "oneseek-certified").iterdir() if path.is_dir())
    folder = tmp_path / "oneseek-certified" / original.name
    base = tmp_path / "tiny"
    shutil.copytree(original, folder)
    shutil.copytree(sealed / "tiny", base)
    target = tmp_path / "target"
    target.mkdir()
    (target / "left-by-a-container-that-was-killed").write_text("x")
    keys = shared_keys()
    base_digest = digest_bytes((base / names.BASE_MANIFEST).read_bytes())
    request = verify_request(
        folder,
        keys,
        dna=folder.name,
        digest=digest_bytes((folder / "manifest.json").read_bytes()),
        rank=4,
        baseName="tiny",
        basePath=str(base),
        baseDigest=base_digest,
        targetPath=str(target),
    )
    _unpickled.clear()
    yield World(tmp_path, folder, base, keys, request, tmp_path / "canary")
    assert not (tmp_path / "canary").exists()
    assert _unpickled == []


def verify(world: World) -> tuple[int, dict[str, Any]]:
    """The exit code and the termination message of the init verifier."""
    path = world.home / "termination"
    code = program.main(["verify"], environment(world.request, **{program.TERMINATION_ENV: str(path)}))
    return code, json.loads(path.read_text())


def test_the_folder_that_is_attacked_is_a_good_one(world: World) -> None:
    code, message = verify(world)
    assert code == 0, message
    assert message["report"]["ok"]
    assert {path.name for path in (world.home / "target").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
        "metadata.json",
    }


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= ENOUGH


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_artifact_is_refused_with_its_reason_and_leaves_nothing(world: World, case: str) -> None:
    change, reason = CASES[case]
    change(world)
    code, message = verify(world)
    assert (message.get("reason"), bool(code)) == (reason, True), message
    assert message["message"]
    assert list((world.home / "target").iterdir()) == []
