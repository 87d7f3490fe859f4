"""Every hostile artifact is refused by an import too, with the same reason, and nothing of it is left on the claim."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_runtime import __main__ as program
from support.artifacts import BASE_DIGEST, environment
from support.certified import certify, shared_keys, verify_request
from support.hostile import CASES
from support.hostile.folder import World

# What these cases change is not in the version's folder, or not part of an import's request.
_NOT_OURS = (
    "another-dna-asked",
    "rank-other-than-asked",
    "base-file",
    "base-extra",
    "base-without",
    "base-gone",
    "base-another",
)
FOLDER_CASES = [case for case in CASES if not case.startswith(_NOT_OURS)]
# A file where the folder ought to be is no folder that was put there.
OTHER_REASONS = {"folder-is-a-file": names.ARTIFACT_MISSING}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify(tmp_path_factory.mktemp("sealed"), keys=shared_keys())[0]


@pytest.fixture
def world(sealed: Path, tmp_path: Path) -> World:
    folder = tmp_path / "oneseek-certified" / sealed.name
    shutil.copytree(sealed, folder)
    digest = digest_bytes((folder / names.MANIFEST).read_bytes())
    request = verify_request(
        folder, shared_keys(), dna=folder.name, digest=digest, baseName="tiny", baseDigest=BASE_DIGEST
    )
    return World(tmp_path, folder, tmp_path / "tiny", shared_keys(), request, tmp_path / "canary")


def take_in(world: World) -> tuple[int, dict[str, Any], Path]:
    """Have the Job import the world's folder from `from/`: exit code, termination message, the claim's versions."""
    (world.home / "oneseek-certified").rename(world.home / "from")
    certified = world.home / "oneseek-certified"
    certified.mkdir()
    asked = world.request
    request = {
        "modelsRoot": str(world.home),
        "source": {"path": f"from/{Path(asked['adapterPath']).name}"},
        "trustedKeys": asked["trustedKeys"],
        "family": "OneSeek-7B-Zero",
        "baseName": asked["baseName"],
        "baseDigest": asked["baseDigest"],
        "known": {asked["dna"]: asked["digest"]} if "digest" in asked else {},
    }
    path = world.home / "termination"
    code = program.main(["import"], environment(request, **{program.TERMINATION_ENV: str(path)}))
    return code, json.loads(path.read_text()), certified


def test_the_folder_that_is_attacked_is_a_good_one(world: World) -> None:
    code, message, certified = take_in(world)
    assert code == 0, message
    assert sorted(item.name for item in certified.iterdir()) == [world.folder.name, "ledger_proof.json"]


def test_there_are_enough_cases() -> None:
    assert len(FOLDER_CASES) >= 100


@pytest.mark.parametrize("case", FOLDER_CASES)
def test_a_hostile_import_is_refused_with_its_reason_and_leaves_nothing(world: World, case: str) -> None:
    change, reason = CASES[case]
    change(world)
    code, message, certified = take_in(world)
    assert (message.get("reason"), bool(code)) == (OTHER_REASONS.get(case, reason), True), message
    assert message["message"]
    assert list(certified.iterdir()) == []
    assert not world.canary.exists()
