"""A base model that is not the one that was trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import manifest_bytes
from oneseek_core.files import digest_tree
from support.artifacts import model_folder
from support.hostile.folder import Case, Change, World, both_configs, request, resealed


def base(change: Callable[[Path], object]) -> Change:
    return lambda world: change(world.base)


def other_base(world: World) -> None:
    shutil.rmtree(world.base)
    model_folder(world.base, fill=2)
    (world.base / names.BASE_MANIFEST).write_bytes(manifest_bytes(digest_tree(world.base)))


CASES: dict[str, Case] = {
    "base-name-changed": (both_configs(base_model_name_or_path="/other"), names.BASE_DIFFERS),
    "base-other-than-asked": (request(baseName="mistral-7b"), names.BASE_DIFFERS),
    "trained-on-another-base": (
        resealed(lambda w: w.request.update(baseDigest="sha256:" + "e" * 64, basePath=None)), names.BASE_DIFFERS
    ),
    "base-file-flipped": (
        base(lambda b: (b / "model.safetensors").write_bytes((b / "model.safetensors").read_bytes()[:-1] + b"\0")),
        names.FILE_CHANGED,
    ),
    "base-file-missing": (base(lambda b: (b / "tokenizer.json").unlink()), names.FILE_MISSING),
    "base-file-a-link": (
        base(lambda b: [(b / "config.json").rename(b.parent / "c"), (b / "config.json").symlink_to("../c")]),
        names.FILE_NOT_PLAIN,
    ),
    "base-extra-adapter": (base(lambda b: (b / "adapter_config.json").write_text("{}")), names.FILE_UNKNOWN),
    "base-extra-weights": (base(lambda b: (b / "model-2.safetensors").write_text("x")), names.FILE_UNKNOWN),
    "base-another-with-its-own-manifest": (other_base, names.BASE_DIGEST_DIFFERS),
    "base-without-manifest": (base(lambda b: (b / names.BASE_MANIFEST).unlink()), names.MANIFEST_INVALID),
    "base-gone": (base(shutil.rmtree), names.ARTIFACT_MISSING),
}  # fmt: skip
