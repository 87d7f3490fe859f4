from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.digest import digest_bytes, manifest_digest
from oneseek_core.errors import ArtifactError, JobError
from oneseek_core.files import digest_tree
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.names import ExitCode
from oneseek_runtime.basemodel import job
from support.artifacts import (
    BASE_DIGEST,
    MODEL,
    environment,
    model_folder,
    safetensors,
    tree_of,
)


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    (tmp_path / "claim").mkdir()
    return tmp_path / "claim"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What an image source's init container left."""
    return model_folder(tmp_path / "import")


def request(claim: Path, source: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {"model": MODEL, "modelsRoot": str(claim), "baseName": "tiny", "source": source} | changes


def from_image(claim: Path, image: Path, **changes: object) -> BaseImportReport:
    asked = request(claim, {"image": "registry/tiny:1"}, importPath=str(image), **changes)
    return job.run(environment(asked))


def refusal(call: Callable[[], ApiModel]) -> JobError:
    with pytest.raises(JobError) as raised:
        call()
    return raised.value


def test_an_image_is_copied_described_and_leaves_the_skeleton(claim: Path, image: Path) -> None:
    report = from_image(claim, image)
    home = claim / "basemodeller" / "tiny"
    table = digest_tree(image)
    assert report == BaseImportReport(
        digest=manifest_digest(table), files=3, size_bytes=sum(size for _, size in table.values())
    )
    assert report.digest == digest_bytes((home / names.BASE_MANIFEST).read_bytes())
    assert {name: data for name, data in tree_of(home).items() if name != names.BASE_MANIFEST} == tree_of(image)
    assert sorted(child.name for child in claim.iterdir()) == [
        ".oneseek-owner.json", ".staging", "basemodeller", "oneseek-certified",
    ]  # fmt: skip
    assert json.loads((claim / ".oneseek-owner.json").read_text()) == {"namespace": "team", "name": "demo"}


def test_importing_again_changes_nothing_and_gives_the_same_report(claim: Path, image: Path) -> None:
    first = from_image(claim, image)
    before = tree_of(claim)
    (image / "model.safetensors").unlink()  # the source is not asked again
    assert from_image(claim, image) == first
    assert tree_of(claim) == before


def test_pickles_code_and_other_formats_stay_behind(claim: Path, image: Path) -> None:
    for name in ("pytorch_model.bin", "modeling.py", "consolidated.safetensors", ".hidden.json"):
        (image / name).write_bytes(b"x")
    (image / "onnx").mkdir()
    (image / "onnx" / "config.json").write_text("{}")
    (image / "LICENSE").write_text("Apache-2.0")
    from_image(claim, image)
    assert set(tree_of(claim / "basemodeller" / "tiny")) == {
        "LICENSE", "config.json", "model.safetensors", "tokenizer.json", names.BASE_MANIFEST,
    }  # fmt: skip


def test_an_adapter_beside_the_weights_is_no_part_of_the_base(claim: Path, image: Path) -> None:
    plain = digest_tree(image)
    (image / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "another/model"}')
    (image / "adapter_model.safetensors").write_bytes(safetensors({"lora": (2, 2)}))
    report = from_image(claim, image)
    assert report.digest == manifest_digest(plain)
    assert not [name for name in tree_of(claim / "basemodeller" / "tiny") if name.startswith("adapter")]


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "adapter_model.safetensors", "adapter_model-00001-of-2.safetensors"]
)
def test_an_adapter_beside_a_model_that_lies_where_it_belongs_is_refused(claim: Path, name: str) -> None:
    (model_folder(claim / "basemodeller" / "tiny") / name).write_text("{}")
    error = refusal(lambda: job.run(environment(request(claim, {"path": "basemodeller/tiny"}))))
    assert error.reason == names.BASE_INVALID
    assert f"holds {name} beside the model: an adapter is no part of a base model; remove it" in error.message


def test_a_check_of_the_small_files_comes_before_the_weights_are_moved(claim: Path, image: Path) -> None:
    def refuse(folder: Path) -> None:
        assert sorted(path.name for path in folder.iterdir()) == ["config.json", "tokenizer.json"]
        raise ArtifactError("it is of a kind that cannot be trained")

    asked = request(claim, {"image": "registry/tiny:1"}, importPath=str(image))
    error = refusal(lambda: job.run(environment(asked), job.Checks(small_files=refuse)))
    assert (error.reason, error.exit_code) == (names.BASE_INVALID, ExitCode.BAD_INPUT)
    assert error.message == "image registry/tiny:1 is no usable model: it is of a kind that cannot be trained"
    assert list((claim / "basemodeller").iterdir()) == []


def test_a_check_of_the_weights_comes_before_the_model_has_its_name(claim: Path, image: Path) -> None:
    def refuse(folder: Path) -> None:
        assert (folder / "model.safetensors").exists()
        raise ArtifactError("a tensor is missing")

    asked = request(claim, {"image": "registry/tiny:1"}, importPath=str(image))
    error = refusal(lambda: job.run(environment(asked), job.Checks(weights=refuse)))
    assert error.message == "image registry/tiny:1 is no usable model: a tensor is missing"
    assert list((claim / "basemodeller").iterdir()) == []


def test_a_model_of_the_same_name_finds_its_own_claim(claim: Path, image: Path) -> None:
    first = from_image(claim, image)
    assert from_image(claim, image, model=MODEL | {"uid": "another-uid"}) == first


def test_a_claim_of_another_model_is_refused_and_untouched(claim: Path, image: Path) -> None:
    from_image(claim, image)
    before = tree_of(claim)
    error = refusal(lambda: from_image(claim, image, model=MODEL | {"name": "other"}))
    assert (error.reason, error.exit_code) == (names.CLAIM_IN_USE, ExitCode.CLAIM_IN_USE)
    assert "belongs to the OneSeekModel team/demo" in error.message
    assert "team/other its own claim" in error.message
    assert tree_of(claim) == before


def test_a_marker_that_cannot_be_read_is_nobodys_to_take(claim: Path, image: Path) -> None:
    (claim / names.OWNER_MARKER).write_bytes(b"")
    error = refusal(lambda: from_image(claim, image))
    assert error.reason == names.CLAIM_IN_USE
    assert "if it is team/demo's, delete that file" in error.message


def test_the_marker_is_made_without_hard_links_too(claim: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    from_image(claim, image)
    assert json.loads((claim / ".oneseek-owner.json").read_text()) == {"namespace": "team", "name": "demo"}
    assert refusal(lambda: from_image(claim, image, model=MODEL | {"name": "b"})).reason == names.CLAIM_IN_USE


def test_a_folder_on_the_claim_is_copied(claim: Path) -> None:
    source = model_folder(claim / "uploads" / "my model")
    report = job.run(environment(request(claim, {"path": "uploads/my model"})))
    assert report.digest == manifest_digest(digest_tree(source))
    assert (claim / "basemodeller" / "tiny" / "config.json").exists()


def test_a_folder_that_lies_where_it_belongs_is_digested_in_place(claim: Path) -> None:
    home = model_folder(claim / "basemodeller" / "tiny")
    (home / "pytorch_model.bin").write_bytes(b"kept for its owner, not part of the model")
    asked = environment(request(claim, {"path": "basemodeller/tiny"}))
    report = job.run(asked)
    assert report.files == 3
    assert report.digest == digest_bytes((home / names.BASE_MANIFEST).read_bytes())
    assert job.run(asked) == report


def broken(change: Callable[[Path], object]) -> Callable[[Path], object]:
    return change


INVALID = {
    "no-config": (lambda f: (f / "config.json").unlink(), "there is no config.json"),
    "config-no-json": (lambda f: (f / "config.json").write_text("{"), "config.json is no JSON"),
    "config-a-list": (lambda f: (f / "config.json").write_text("[]"), "config.json is no JSON object"),
    "no-model-type": (lambda f: (f / "config.json").write_text("{}"), "config.json has no model_type"),
    "only-pickles": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "there is no *.safetensors file; pickled weights (.bin, .pt) are never loaded: convert them",
    ),
    "cut-weights": (
        lambda f: (f / "model.safetensors").write_bytes(safetensors({"x": (2, 2)})[:-1]),
        "model.safetensors cannot be used: its tensors take 16 bytes but 15 follow",
    ),
    "shard-missing": (
        lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"x": "model-2.safetensors"}}'),
        "names model-2.safetensors, which is missing",
    ),
    "weights-of-another-name": (
        lambda f: (f / "model.safetensors").rename(f / "weights.safetensors"),
        "its weights are in weights.safetensors, but neither model.safetensors nor model.safetensors.index.json is there",
    ),
    "only-an-adapter": (
        lambda f: (f / "model.safetensors").rename(f / "adapter_model.safetensors"),
        "there is no *.safetensors file",
    ),
    "weights-are-a-pointer": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "model.safetensors is git-lfs's pointer to the file, not the file: run `git lfs pull`",
    ),
    "tokenizer-is-a-pointer": (
        lambda f: (f / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "tokenizer.json is git-lfs's pointer to the file",
    ),
    "no-tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "there is no tokenizer file (one of tokenizer.json"),
}


@pytest.mark.parametrize(("change", "sentence"), INVALID.values(), ids=INVALID.keys())
def test_what_is_no_usable_model_is_refused_and_leaves_nothing(
    claim: Path, image: Path, change: Callable[[Path], object], sentence: str
) -> None:
    change(image)
    error = refusal(lambda: from_image(claim, image))
    assert (error.reason, error.exit_code) == (names.BASE_INVALID, ExitCode.BAD_INPUT)
    assert error.message.startswith("image registry/tiny:1 is no usable model: ")
    assert sentence in error.message
    assert list((claim / "basemodeller").iterdir()) == []


def link_out(claim: Path) -> str:
    (claim / "out").symlink_to("/")
    return "out/etc"


def linked_file(claim: Path) -> str:
    (model_folder(claim / "linked") / "generation_config.json").symlink_to("/etc/passwd")
    return "linked"


@pytest.mark.parametrize(
    ("make", "reason", "sentence"),
    [
        pytest.param(lambda _: "nowhere", names.BASE_UNAVAILABLE, "the claim holds no folder nowhere", id="missing"),
        pytest.param(link_out, names.BASE_INVALID, "leads out of the claim", id="link-out"),
        pytest.param(linked_file, names.BASE_INVALID, "generation_config.json in linked is a link", id="linked-file"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused(
    claim: Path, make: Callable[[Path], str], reason: str, sentence: str
) -> None:
    path = make(claim)
    error = refusal(lambda: job.run(environment(request(claim, {"path": path}))))
    assert error.reason == reason
    assert sentence in error.message


def test_an_image_that_left_nothing_is_refused(claim: Path, tmp_path: Path) -> None:
    error = refusal(lambda: from_image(claim, tmp_path / "nothing"))
    assert error.reason == names.BASE_INVALID
    assert "image registry/tiny:1 left no files: it must hold the model under /models" in error.message


def test_a_pinned_digest_is_checked_before_and_after_the_import(claim: Path, image: Path) -> None:
    error = refusal(lambda: from_image(claim, image, digest=BASE_DIGEST))
    actual = manifest_digest(digest_tree(image))
    assert (error.reason, error.exit_code) == (names.BASE_DIGEST_DIFFERS, ExitCode.DIGEST_DIFFERS)
    assert BASE_DIGEST in error.message
    assert actual in error.message
    assert list((claim / "basemodeller").iterdir()) == []
    assert from_image(claim, image, digest=actual).digest == actual
    assert refusal(lambda: from_image(claim, image, digest=BASE_DIGEST)).reason == names.BASE_DIGEST_DIFFERS


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(lambda f: model_folder(f, fill=2), "model.safetensors differs", id="other-bytes-same-size"),
        pytest.param(lambda f: (f / "config.json").unlink(), "config.json is missing", id="missing"),
        pytest.param(lambda f: (f / "extra.json").write_text("{}"), "extra.json is new", id="new"),
    ],
)
def test_an_imported_model_that_was_changed_is_noticed(
    claim: Path, image: Path, change: Callable[[Path], object], sentence: str
) -> None:
    from_image(claim, image)
    change(claim / "basemodeller" / "tiny")
    error = refusal(lambda: from_image(claim, image))
    assert error.reason == names.BASE_INVALID
    assert sentence in error.message
    assert "remove the folder to import it again" in error.message


def test_a_folder_of_that_name_which_was_not_imported_is_not_taken(claim: Path, image: Path) -> None:
    model_folder(claim / "basemodeller" / "tiny")
    error = refusal(lambda: from_image(claim, image))
    assert error.reason == names.BASE_INVALID
    assert "use it with source.path: basemodeller/tiny" in error.message


def test_a_half_made_import_is_removed_and_done_again(claim: Path, image: Path) -> None:
    half = claim / "basemodeller" / ".incoming-some-older-uid"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    from_image(claim, image)
    assert [child.name for child in (claim / "basemodeller").iterdir()] == ["tiny"]


@pytest.mark.parametrize("step", range(1, 10))
def test_an_error_at_any_fsync_leaves_no_model_and_a_rerun_succeeds(
    claim: Path, image: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    real, count = os.fsync, iter(range(1, 100))

    def failing(handle: int) -> None:
        if next(count) == step:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="No space"):
        from_image(claim, image)
    base = claim / "basemodeller"
    # the last one is that of the parent: by then the import is whole, only its name not surely on the disk
    assert not base.exists() or [child.name for child in base.iterdir()] == (["tiny"] if step == 9 else [])
    monkeypatch.setattr(os, "fsync", real)
    assert from_image(claim, image).files == 3
