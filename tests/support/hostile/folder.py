"""A certified folder, its keys and the request to verify it; and the changes that cases of every kind are made of."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneseek_core.digest import manifest_bytes
from oneseek_core.files import digest_tree
from oneseek_runtime.artifact.signature import Signed, sign
from oneseek_runtime.certify.keys import load_keys
from support.certified import Keys, certify, edit_json, lora_weights, reseal

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


@dataclass
class World:
    """One case's folder, keys and request; `canary` is the file that hostile code would leave."""

    home: Path
    folder: Path
    base: Path
    keys: Keys
    request: dict[str, Any]
    canary: Path
    extra: dict[str, Any] = field(default_factory=dict)

    def pickle(self) -> bytes:
        """A pickle that leaves the canary if anybody loads it."""
        return pickle.dumps(_Bomb(str(self.canary)), protocol=2)

    def reseal(self, keys: Keys | None = None) -> None:
        """Sign everything anew with the right key, and let the request ask for the result."""
        self.request["digest"] = reseal(self.folder, keys or self.keys)

    def unpin(self) -> None:
        """The folder comes from outside: no digest is known."""
        self.request.pop("digest", None)


class _Bomb:
    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self._path}",))


Change = Callable[[World], object]
Case = tuple[Change, str]  # what somebody did, and the reason with which it must be refused


def flip(name: str, at: int = -1) -> Change:
    def change(world: World) -> None:
        data = bytearray((world.folder / name).read_bytes())
        data[at] ^= 1
        (world.folder / name).write_bytes(data)

    return change


def write(name: str, data: bytes | str) -> Change:
    def change(world: World) -> None:
        path = world.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return change


def remove(name: str) -> Change:
    return lambda world: (world.folder / name).unlink()


def resealed(change: Change) -> Change:
    def both(world: World) -> None:
        change(world)
        world.reseal()

    return both


def unpinned(change: Change) -> Change:
    def both(world: World) -> None:
        change(world)
        world.unpin()

    return both


def metadata(**changes: Any) -> Change:
    return resealed(lambda world: edit_json(world.folder / "metadata.json", **changes))


def swap(name: str) -> Change:
    return lambda world: shutil.copy(other_version(world) / name, world.folder / name)


def other_version(world: World) -> Path:
    """A second good version, signed with the same key."""
    return certify(world.home / "other", lora_weights(width=16), keys=world.keys)[0]


def hold(world: World, name: str, data: bytes) -> None:
    """Seal with `data` in a file that sealing would make itself."""
    (world.folder / name).write_bytes(data)
    table = digest_tree(world.folder)
    for unlisted in ("manifest.json", "model.sig"):
        table.pop(unlisted)
    (world.folder / "manifest.json").write_bytes(manifest_bytes(table))
    rows = {path: row[0] for path, row in digest_tree(world.folder).items() if path != "model.sig"}
    keys = load_keys(str(world.keys.private))
    assert keys
    (world.folder / "model.sig").write_bytes(sign(Signed(world.folder.name, rows), keys.signing_file))
    world.unpin()


def request(**changes: Any) -> Change:
    return lambda world: world.request.update(changes)


def both_configs(**changes: Any) -> Change:
    def change(world: World) -> None:
        edit_json(world.folder / CONFIG, **changes)
        edit_json(world.folder / "tiny-adapter" / CONFIG, **changes)

    return resealed(change)


def weights(data: bytes | Callable[[World], bytes]) -> Change:
    """Other weights, sealed with the right key under a DNA that fits them."""

    def change(world: World) -> None:
        bytes_ = data if isinstance(data, bytes) else data(world)
        for path in (WEIGHTS, f"tiny-adapter/{WEIGHTS}"):
            (world.folder / path).write_bytes(bytes_)
        digest = digest_tree(world.folder)[WEIGHTS][0]
        parts = world.folder.name.split(".")
        parts[-2] = digest[7:15]
        world.folder = world.folder.rename(world.folder.with_name(".".join(parts)))
        world.request |= {"adapterPath": str(world.folder), "dna": world.folder.name}
        for name in ("metadata.json", "oneseek_dna.json", "ledger_proof.json"):
            edit_json(world.folder / name, dna=world.folder.name)
        edit_json(world.folder / "metadata.json", digests={"modelWeights": digest})
        world.reseal()

    return change
