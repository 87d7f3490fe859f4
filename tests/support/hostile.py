"""Hostile artifacts: what somebody could do to a certified folder, and the reason with which it must be refused.

Three kinds of attacker: one who can write to the volume (the pinned digest stands), one from whom a folder comes
without a pinned digest, and one who has a signing key as well (a faulty or bribed certifier): the last must still not
get code run, nor a version served as another. `reseal` plays the last.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneseek_core import names
from oneseek_core.digest import canonical_json, manifest_bytes
from oneseek_core.files import digest_tree
from oneseek_runtime.certify.keys import load_keys
from oneseek_runtime.certify.signature import Signed, sign
from support.artifacts import model_folder, raw_safetensors
from support.certified import Keys, certify, edit_json, lora_weights, make_keys, reseal

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


def link_to(name: str, target: str) -> Change:
    def change(world: World) -> None:
        (world.folder / name).unlink(missing_ok=True)
        (world.folder / name).symlink_to(target)

    return change


def link_to_same_bytes(world: World) -> None:
    outside = world.home / "outside.safetensors"
    (world.folder / WEIGHTS).rename(outside)
    (world.folder / WEIGHTS).symlink_to(outside)


def folder_link(world: World) -> None:
    (world.folder / "tiny-adapter").rename(world.home / "elsewhere")
    (world.folder / "tiny-adapter").symlink_to(world.home / "elsewhere")


def root_link(world: World) -> None:
    real = world.home / "real"
    world.folder.rename(real)
    world.folder.symlink_to(real)


def hard_link(world: World) -> None:
    (world.home / "other-name").hardlink_to(world.folder / WEIGHTS)


def fifo(world: World) -> None:
    (world.folder / CONFIG).unlink()
    os.mkfifo(world.folder / CONFIG)


def listening_socket(world: World) -> None:
    here = Path.cwd()
    os.chdir(world.folder)  # a socket's path may be 107 bytes long
    try:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind("s")
        listening.close()
    finally:
        os.chdir(here)


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


def manifest_rows(change: Callable[[list[dict[str, Any]]], object]) -> Change:
    """Another manifest, without a pinned digest; the signature no longer fits, but names are looked at before."""

    def both(world: World) -> None:
        path = world.folder / "manifest.json"
        value = json.loads(path.read_bytes())
        change(value["files"])
        value["files"].sort(key=lambda row: str(row["path"]))
        path.write_bytes(canonical_json(value) + b"\n")
        world.unpin()

    return both


def named(path: str) -> Change:
    digest = "sha256:" + "0" * 64
    return manifest_rows(lambda rows: rows.append({"path": path, "digest": digest, "size": 1}))


def both_configs(**changes: Any) -> Change:
    def change(world: World) -> None:
        edit_json(world.folder / CONFIG, **changes)
        edit_json(world.folder / "tiny-adapter" / CONFIG, **changes)

    return resealed(change)


def metadata(**changes: Any) -> Change:
    return resealed(lambda world: edit_json(world.folder / "metadata.json", **changes))


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


NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


def header(entries: dict[str, Any] | list[Any], size: int = 256, **more: Any) -> bytes:
    """Safetensors of any header over `size` bytes of data."""
    return raw_safetensors(entries | more if isinstance(entries, dict) else entries, bytes(size))


def tensor(begin: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


A, B = NAME.format("A"), NAME.format("B")
GOOD_A, GOOD_B = tensor(0, 128, [4, 8]), tensor(128, 256, [8, 4])
PAIR = {A: GOOD_A, B: GOOD_B}


def twice(world: World) -> bytes:
    text = json.dumps({B: GOOD_B})[1:-1]
    raw = ("{" + f'"{A}": {json.dumps(GOOD_A)}, {text}, "{A}": {json.dumps(GOOD_A)}' + "}").encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(256)


def hide_in_torch(world: World) -> None:
    (world.folder / "adapter_model.bin").write_bytes(world.pickle())


def other_version(world: World) -> Path:
    """A second good version, signed with the same key."""
    return certify(world.home / "other", lora_weights(width=16), keys=world.keys)[0]


def swap(name: str) -> Change:
    return lambda world: shutil.copy(other_version(world) / name, world.folder / name)


def other_key(world: World) -> None:
    world.reseal(make_keys(world.home / "attacker"))


def rename_folder(world: World) -> None:
    other = world.folder.name.replace(".v1.0.", ".v9.0.")
    world.request["adapterPath"] = str(world.folder.rename(world.folder.with_name(other)))


def signature(change: Callable[[dict[str, Any]], object]) -> Change:
    def both(world: World) -> None:
        path = world.folder / "model.sig"
        value = json.loads(path.read_bytes())
        change(value)
        path.write_text(json.dumps(value))

    return both


def forge_payload(value: dict[str, Any]) -> None:
    statement = json.loads(base64.b64decode(value["dsseEnvelope"]["payload"]))
    statement["subject"][0]["name"] = "OneSeek-7B-Zero.v9.9.sv.dsQA.00000000.00000000"
    value["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()


def proof(**changes: Any) -> Change:
    """ledger_proof.json changed, and all around it sealed anew, but not the proof itself."""

    def both(world: World) -> None:
        edit_json(world.folder / "ledger_proof.json", **changes)
        kept = (world.folder / "ledger_proof.json").read_bytes()
        world.reseal()
        hold(world, "ledger_proof.json", kept)

    return both


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


def provenance_of_another(world: World) -> None:
    hold(world, "provenance.intoto.json", (other_version(world) / "provenance.intoto.json").read_bytes())


def request(**changes: Any) -> Change:
    return lambda world: world.request.update(changes)


def no_keys(world: World) -> None:
    (world.home / "none").mkdir()
    world.request["trustedKeys"] = str(world.home / "none")


def private_key_among_trusted(world: World) -> None:
    keys = make_keys(world.home / "mine")
    shutil.copy(keys.private / "signing.key", keys.trusted / "signing.pem")
    world.request["trustedKeys"] = str(keys.trusted)


def base(change: Callable[[Path], object]) -> Change:
    return lambda world: change(world.base)


def other_base(world: World) -> None:
    shutil.rmtree(world.base)
    model_folder(world.base, fill=2)
    (world.base / names.BASE_MANIFEST).write_bytes(manifest_bytes(digest_tree(world.base)))


def undecodable(world: World) -> None:
    (Path(os.fsdecode(os.fsencode(world.folder) + b"/\xff\xfe"))).write_text("x")


CASES: dict[str, tuple[Change, str]] = {
    # bytes
    "weights-byte-flipped": (flip(WEIGHTS), names.FILE_CHANGED),
    "weights-header-flipped": (flip(WEIGHTS, 20), names.FILE_CHANGED),
    "old-readers-weights-flipped": (flip("adapter_model.bin"), names.FILE_CHANGED),
    "nested-weights-flipped": (flip(f"tiny-adapter/{WEIGHTS}", 100), names.FILE_CHANGED),
    "config-flipped": (flip(CONFIG, 5), names.FILE_CHANGED),
    "metadata-flipped": (flip("metadata.json", 9), names.FILE_CHANGED),
    "script-changed": (write("verify_integrity.py", "import os"), names.FILE_CHANGED),
    "weights-cut": (lambda w: os.truncate(w.folder / WEIGHTS, 100), names.FILE_CHANGED),
    "weights-grown": (lambda w: os.truncate(w.folder / WEIGHTS, 4096), names.FILE_CHANGED),
    "weights-swapped-with-another-version": (swap(WEIGHTS), names.FILE_CHANGED),
    "manifest-of-another-version": (swap("manifest.json"), names.ARTIFACT_DIGEST_DIFFERS),
    "manifest-flipped": (flip("manifest.json", 30), names.ARTIFACT_DIGEST_DIFFERS),
    "resealed-with-the-key-but-not-pinned": (
        lambda w: [edit_json(w.folder / "metadata.json", status="failed"), reseal(w.folder, w.keys)],
        names.ARTIFACT_DIGEST_DIFFERS,
    ),
    # files
    "extra-file": (write("extra.txt", "x"), names.FILE_UNKNOWN),
    "extra-dot-file": (write(".hidden", "x"), names.FILE_UNKNOWN),
    "extra-gitattributes": (write(".gitattributes", "x"), names.FILE_UNKNOWN),
    "extra-git-folder": (write(".git/hooks/post-checkout", "x"), names.FILE_UNKNOWN),
    "extra-github-folder": (write(".github/x", "x"), names.FILE_UNKNOWN),
    "extra-empty-folder": (lambda w: (w.folder / "empty").mkdir(), names.FILE_UNKNOWN),
    "extra-python": (write("modeling_evil.py", "x"), names.FILE_UNKNOWN),
    "extra-nested": (write("tiny-adapter/tokenizer_config.json", "{}"), names.FILE_UNKNOWN),
    "extra-file-listed-and-signed": (resealed(write("tokenizer_config.json", "{}")), names.FILE_UNKNOWN),
    "missing-weights": (remove(WEIGHTS), names.FILE_MISSING),
    "missing-config": (remove(CONFIG), names.FILE_MISSING),
    "missing-old-readers-weights": (remove("adapter_model.bin"), names.FILE_MISSING),
    # layouts: old readers' files are all there or none is, even for somebody with the key
    "old-readers-weights-left-out": (resealed(remove("adapter_model.bin")), names.FILE_MISSING),
    "nested-weights-left-out": (resealed(remove(f"tiny-adapter/{WEIGHTS}")), names.FILE_MISSING),
    "nested-config-left-out": (resealed(remove(f"tiny-adapter/{CONFIG}")), names.FILE_MISSING),
    "nested-folder-left-out": (resealed(lambda w: shutil.rmtree(w.folder / "tiny-adapter")), names.FILE_MISSING),
    "nested-folder-of-another-name": (
        resealed(lambda w: (w.folder / "tiny-adapter").rename(w.folder / "other-adapter")),
        names.FILE_MISSING,
    ),
    "nested-folder-twice": (
        resealed(lambda w: shutil.copytree(w.folder / "tiny-adapter", w.folder / "other-adapter")),
        names.FILE_UNKNOWN,
    ),
    "old-readers-files-not-announced": (metadata(adapters=[]), names.FILE_UNKNOWN),
    "another-folder-announced": (metadata(adapters=["other-adapter"]), names.METADATA_INVALID),
    "two-folders-announced": (metadata(adapters=["tiny-adapter", "other-adapter"]), names.METADATA_INVALID),
    "layout-not-said": (metadata(adapters=None), names.METADATA_INVALID),
    "missing-manifest": (remove("manifest.json"), names.MANIFEST_INVALID),
    "missing-metadata-signed": (resealed(remove("metadata.json")), names.FILE_MISSING),
    "missing-folder": (lambda w: shutil.rmtree(w.folder), names.ARTIFACT_MISSING),
    "folder-is-a-file": (
        lambda w: [shutil.rmtree(w.folder), w.folder.write_text("x")],
        names.ARTIFACT_UNREADABLE,
    ),
    # links and special files
    "weights-a-link-to-the-same-bytes": (link_to_same_bytes, names.FILE_NOT_PLAIN),
    "config-a-link-to-a-secret": (link_to(CONFIG, "/etc/passwd"), names.FILE_NOT_PLAIN),
    "dangling-link": (link_to("x", "/nowhere"), names.FILE_NOT_PLAIN),
    "link-to-itself": (link_to("x", "x"), names.FILE_NOT_PLAIN),
    "nested-folder-a-link": (folder_link, names.FILE_NOT_PLAIN),
    "version-a-link": (root_link, names.FILE_NOT_PLAIN),
    "weights-hard-linked": (hard_link, names.FILE_NOT_PLAIN),
    "pipe": (fifo, names.FILE_NOT_PLAIN),
    "socket": (listening_socket, names.FILE_NOT_PLAIN),
    # names
    "manifest-climbs": (named("../evil"), names.FILE_NAME_INVALID),
    "manifest-climbs-in-the-middle": (named("a/../../evil"), names.FILE_NAME_INVALID),
    "manifest-absolute": (named("/etc/passwd"), names.FILE_NAME_INVALID),
    "manifest-backslash": (named("..\\evil"), names.FILE_NAME_INVALID),
    "manifest-empty-name": (named(""), names.FILE_NAME_INVALID),
    "manifest-dot": (named("./adapter_config.json"), names.FILE_NAME_INVALID),
    "manifest-null-byte": (named("a\0b"), names.FILE_NAME_INVALID),
    "manifest-line-end": (named("a\nb"), names.FILE_NAME_INVALID),
    "manifest-right-to-left": (named("a\u202egpj.py"), names.FILE_NAME_INVALID),
    "file-name-with-line-end": (write("a\nb", "x"), names.FILE_NAME_INVALID),
    "file-name-no-utf8": (undecodable, names.FILE_NAME_INVALID),
    # manifests
    "manifest-no-json": (unpinned(write("manifest.json", "{")), names.MANIFEST_INVALID),
    "manifest-a-list": (unpinned(write("manifest.json", "[]")), names.MANIFEST_INVALID),
    "manifest-deep": (unpinned(write("manifest.json", "[" * 200_000)), names.MANIFEST_INVALID),
    "manifest-without-a-file": (manifest_rows(lambda rows: rows.pop()), names.FILE_UNKNOWN),
    "manifest-without-the-config": (manifest_rows(lambda rows: rows.pop(0)), names.FILE_MISSING),
    "manifest-lists-twice": (manifest_rows(lambda rows: rows.append(dict(rows[0]))), names.MANIFEST_INVALID),
    "manifest-negative-size": (manifest_rows(lambda rows: rows[0].update(size=-1)), names.MANIFEST_INVALID),
    "manifest-weak-digest": (manifest_rows(lambda rows: rows[0].update(digest="md5:0")), names.MANIFEST_INVALID),
    "manifest-number-for-a-name": (manifest_rows(lambda rows: rows[0].update(path=7)), names.MANIFEST_INVALID),
    # identity
    "folder-renamed": (rename_folder, names.DNA_DIFFERS),
    "another-dna-asked": (request(dna="OneSeek-7B-Zero.v1.0.sv.dsQA.00000000.00000000"), names.DNA_DIFFERS),
    "metadata-of-another-dna": (
        metadata(dna="OneSeek-7B-Zero.v1.0.sv.dsQA.00000000.00000000"),
        names.DNA_DIFFERS,
    ),
    "metadata-of-another-time": (metadata(createdAt="2026-08-23T10:11:12.346Z"), names.DNA_DIFFERS),
    "metadata-of-another-language": (metadata(language="sv"), names.DNA_DIFFERS),
    "weights-of-another-version-signed": (resealed(swap(WEIGHTS)), names.DNA_DIFFERS),
    "metadata-lies-about-the-digest": (metadata(digests={"modelWeights": "sha256:" + "0" * 64}), names.METADATA_INVALID),
    "metadata-no-json": (resealed(write("metadata.json", "{")), names.METADATA_INVALID),
    "metadata-name-twice": (
        resealed(lambda w: (w.folder / "metadata.json").write_bytes(
            (w.folder / "metadata.json").read_bytes().replace(b"{", b'{"status":"x",', 1))),
        names.METADATA_INVALID,
    ),
    "metadata-without-base": (metadata(baseModel=""), names.METADATA_INVALID),
    # signatures
    "no-signature": (remove("model.sig"), names.SIGNATURE_MISSING),
    "signature-empty": (write("model.sig", ""), names.SIGNATURE_INVALID),
    "signature-no-json": (write("model.sig", "{"), names.SIGNATURE_INVALID),
    "signature-of-another-version": (swap("model.sig"), names.SIGNATURE_INVALID),
    "signature-forged": (signature(forge_payload), names.SIGNATURE_INVALID),
    "signature-flipped": (
        signature(lambda v: v["dsseEnvelope"]["signatures"][0].update(sig=base64.b64encode(b"0" * 70).decode())),
        names.SIGNATURE_INVALID,
    ),
    "signature-none": (signature(lambda v: v["dsseEnvelope"].update(signatures=[])), names.SIGNATURE_INVALID),
    "signature-another-type": (
        signature(lambda v: v["dsseEnvelope"].update(payloadType="text/plain")), names.SIGNATURE_INVALID
    ),
    "signature-without-key-hint": (
        signature(lambda v: v["verificationMaterial"].update(publicKey={"hint": ""})), names.SIGNATURE_UNTRUSTED
    ),
    "signed-with-another-key": (other_key, names.LEDGER_PROOF_INVALID),
    "signature-with-another-key": (
        lambda w: [shutil.copytree(w.folder, w.home / "copy" / w.folder.name),
                   reseal(w.home / "copy" / w.folder.name, make_keys(w.home / "attacker")),
                   shutil.copy(w.home / "copy" / w.folder.name / "model.sig", w.folder / "model.sig")],
        names.SIGNATURE_UNTRUSTED,
    ),
    "no-trusted-keys": (no_keys, names.TRUSTED_KEYS_INVALID),
    "trusted-keys-missing": (request(trustedKeys="/nowhere"), names.TRUSTED_KEYS_INVALID),
    "a-private-key-among-the-trusted": (private_key_among_trusted, names.TRUSTED_KEYS_INVALID),
    "proof-of-another-dna": (proof(dna="x"), names.LEDGER_PROOF_INVALID),
    "proof-not-its-hash": (proof(immutable_hash="sha256:" + "0" * 64), names.LEDGER_PROOF_INVALID),
    "proof-unsigned": (proof(signature=None), names.LEDGER_PROOF_INVALID),
    "proof-signature-no-hex": (proof(signature="zz"), names.LEDGER_PROOF_INVALID),
    "proof-signature-forged": (proof(signature="00" * 64), names.LEDGER_PROOF_INVALID),
    "provenance-of-another-version": (provenance_of_another, names.PROVENANCE_INVALID),
    "provenance-empty": (lambda w: hold(w, "provenance.intoto.json", b"{}"), names.PROVENANCE_INVALID),
    # pickles
    "pickle-beside": (lambda w: write("evil.pkl", w.pickle())(w), names.PICKLE_FOUND),
    "pickle-as-torch-file": (lambda w: write("adapter.pt", w.pickle())(w), names.PICKLE_FOUND),
    "pickle-in-the-sub-folder": (lambda w: write("tiny-adapter/adapter_model.bin", w.pickle())(w), names.PICKLE_FOUND),
    "pickle-listed-and-signed": (resealed(lambda w: write("training_args.bin", w.pickle())(w)), names.PICKLE_FOUND),
    "pickle-in-old-readers-weights": (hide_in_torch, names.FILE_CHANGED),
    "pickle-in-old-readers-weights-signed": (resealed(hide_in_torch), names.PICKLE_FOUND),
    "pickle-instead-of-weights": (weights(lambda w: w.pickle()), names.PICKLE_FOUND),
    "zip-instead-of-weights": (
        weights(lambda w: (w.folder / "adapter_model.bin").read_bytes()), names.PICKLE_FOUND
    ),
    # safetensors
    "header-giant": (weights((2**40).to_bytes(8, "little") + b"{}"), names.WEIGHTS_INVALID),
    "header-larger-than-the-file": (weights((4096).to_bytes(8, "little") + b"{}"), names.WEIGHTS_INVALID),
    "header-of-17-MiB": (weights(header(PAIR, pad=" " * 17 * 1024**2)), names.WEIGHTS_INVALID),
    "header-empty": (weights(b""), names.WEIGHTS_INVALID),
    "header-no-json": (weights((4).to_bytes(8, "little") + b"{{{{" + bytes(256)), names.WEIGHTS_INVALID),
    "header-a-list": (weights(header([])), names.WEIGHTS_INVALID),
    "header-deep": (weights((100_000).to_bytes(8, "little") + b"[" * 100_000), names.WEIGHTS_INVALID),
    "tensor-named-twice": (weights(twice), names.WEIGHTS_INVALID),
    "tensors-overlap": (weights(header({A: GOOD_A, B: tensor(64, 192, [8, 4])}, 192)), names.WEIGHTS_INVALID),
    "tensors-leave-a-gap": (weights(header({A: GOOD_A, B: tensor(160, 288, [8, 4])}, 288)), names.WEIGHTS_INVALID),
    "tensor-beyond-the-file": (weights(header({A: GOOD_A, B: tensor(128, 512, [24, 4])})), names.WEIGHTS_INVALID),
    "bytes-after-the-tensors": (weights(header(PAIR, 300)), names.WEIGHTS_INVALID),
    "offsets-backwards": (weights(header({A: tensor(128, 0, [4, 8]), B: GOOD_B})), names.WEIGHTS_INVALID),
    "offset-negative": (weights(header({A: tensor(-128, 0, [4, 8]), B: GOOD_B})), names.WEIGHTS_INVALID),
    "shape-without-end": (weights(header({A: tensor(0, 128, [10**18] * 100_000)})), names.WEIGHTS_INVALID),
    "shape-no-numbers": (weights(header({A: tensor(0, 128, [True, 32]), B: GOOD_B})), names.WEIGHTS_INVALID),
    "type-of-integers": (weights(header({A: tensor(0, 128, [4, 8], "I32"), B: GOOD_B})), names.WEIGHTS_INVALID),
    "type-nobody-knows": (weights(header({A: tensor(0, 128, [4, 8], "EVIL"), B: GOOD_B})), names.WEIGHTS_INVALID),
    "notes-no-texts": (weights(header(PAIR, __metadata__={"format": {"a": 1}})), names.WEIGHTS_INVALID),
    "tensor-that-is-no-lora": (weights(header({"lm_head.weight": GOOD_A, B: GOOD_B})), names.WEIGHTS_INVALID),
    "half-a-pair": (weights(header({A: GOOD_A}, 128)), names.WEIGHTS_INVALID),
    "no-tensors": (weights(header({}, 0)), names.WEIGHTS_INVALID),
    "nested-weights-other-and-signed": (
        resealed(lambda w: (w.folder / "tiny-adapter" / WEIGHTS).write_bytes(lora_weights(width=16))),
        names.WEIGHTS_INVALID,
    ),
    # configuration
    "auto-map": (both_configs(auto_map={"AutoModel": "modeling_evil.Evil"}), names.CODE_FOUND),
    "auto-map-deep-inside": (both_configs(corda_config={"x": [{"auto_map": {}}]}), names.CODE_FOUND),
    "auto-mapping-of-a-foreign-library": (
        both_configs(auto_mapping={"base_model_class": "X", "parent_library": "evil"}), names.CODE_FOUND
    ),
    "config-no-json": (resealed(write(CONFIG, "{")), names.CONFIG_INVALID),
    "config-no-lora": (both_configs(peft_type="IA3"), names.CONFIG_INVALID),
    "config-rank-no-number": (both_configs(r="4"), names.CONFIG_INVALID),
    "config-nested-other": (
        resealed(lambda w: edit_json(w.folder / "tiny-adapter" / CONFIG, lora_alpha=99)), names.CONFIG_INVALID
    ),
    "rank-changed": (both_configs(r=8), names.RANK_DIFFERS),
    "rank-pattern": (both_configs(rank_pattern={"q_proj": 64}), names.RANK_DIFFERS),
    "rank-of-the-tensors-other": (
        weights(header({A: tensor(0, 256, [8, 8]), B: tensor(256, 512, [8, 8])}, 512)), names.RANK_DIFFERS
    ),
    "rank-other-than-asked": (request(rank=8), names.RANK_DIFFERS),
    # base
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
