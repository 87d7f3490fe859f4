"""Makers of certified folders, with the keys to seal them anew after they were changed."""

from __future__ import annotations

import base64
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from oneseek_core import names
from oneseek_core.digest import canonical_json, digest_bytes, manifest_bytes
from oneseek_core.files import digest_tree
from oneseek_core.jobs.certify import CertifyReport
from oneseek_runtime.artifact.ledger_proof import immutable_hash, signed_bytes
from oneseek_runtime.artifact.provenance import envelope
from oneseek_runtime.artifact.signature import Signed, sign
from oneseek_runtime.certify import job
from oneseek_runtime.certify.keys import load_keys
from support.artifacts import DATA_DIGEST, adapter_config, certify_request, environment, raw_safetensors, train_report

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "U8": 1, "I32": 4}


@dataclass(frozen=True)
class Keys:
    """A pair of private keys in `private`, their public halves in `trusted`."""

    private: Path
    trusted: Path


def make_keys(folder: Path) -> Keys:
    """signing.key and ledger.key in `private/`, signing.pub and ledger.pub in `trusted/`."""
    keys = Keys(folder / "private", folder / "trusted")
    for home in (keys.private, keys.trusted):
        home.mkdir(parents=True)
    for name, key in (("signing", generate_private_key(SECP256R1())), ("ledger", Ed25519PrivateKey.generate())):
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (keys.private / f"{name}.key").write_bytes(secret)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (keys.trusted / f"{name}.pub").write_bytes(public)
    return keys


@cache
def shared_keys() -> Keys:
    """One pair for all tests of a process: making keys takes longer than most of them."""
    return make_keys(Path(tempfile.mkdtemp(prefix="oneseek-test-keys-")))


def lora_weights(rank: int = 4, *, dtype: str = "F32", width: int = 8, modules: Sequence[str] = ("q_proj",)) -> bytes:
    """A LoRA adapter's safetensors of any type, its bytes counting up."""
    header: dict[str, Any] = {}
    position = 0
    for module in modules:
        for side, shape in (("A", (rank, width)), ("B", (width, rank))):
            size = SIZES[dtype] * math.prod(shape)
            name = f"base_model.model.model.layers.0.self_attn.{module}.lora_{side}.weight"
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + size]}
            position += size
    return raw_safetensors(header, (bytes(range(1, 60)) * (position // 59 + 1))[:position])


def scores_file(weights: bytes, **changes: Any) -> dict[str, Any]:
    """What the evaluate Job writes."""
    measured = {"questions": 4, "factsContained": 0.75, "exact": 0.5, "loss": 1.25}
    how = {
        "heldoutDigest": DATA_DIGEST,
        "weightsDigest": digest_bytes(weights),
        "maximumNewTokens": 64,
        "maximumLength": 512,
        "precision": "fp32",
        "device": "cpu",
    }
    return {**measured, "byLanguage": {"sv": measured}, "evaluatedWith": how, "answers": []} | changes


def stage(
    staging: Path,
    weights: bytes,
    *,
    rank: int = 4,
    targets: Sequence[str] = ("q_proj",),
    scores: Mapping[str, Any] | None = None,
) -> Path:
    """What training (and evaluation) leave."""
    (staging / "adapter").mkdir(parents=True, exist_ok=True)
    (staging / "adapter" / "adapter_model.safetensors").write_bytes(weights)
    (staging / "adapter" / "adapter_config.json").write_text(
        json.dumps(adapter_config(r=rank, target_modules=list(targets)))
    )
    (staging / "adapter" / "training_report.json").write_text(json.dumps(train_report(weights)))
    if scores is not None:
        (staging / "scores").mkdir(exist_ok=True)
        (staging / "scores" / "scores.json").write_text(json.dumps(scores))
    return staging


def certify(
    home: Path, weights: bytes | None = None, *, keys: Keys | None, scores: Mapping[str, Any] | None = None, **more: Any
) -> tuple[Path, CertifyReport]:
    """Certify an adapter below `home`: the sealed folder and the report."""
    lora = {"rank": 4, "targetModules": ["q_proj"], **more.get("lora", {})}
    data = weights or lora_weights()
    told = {"rank": lora["rank"], "targets": lora["targetModules"]}
    staging = stage(home / "staging", data, **told, scores=scores_file(data, **scores) if scores else None)
    certified = home / "oneseek-certified"
    certified.mkdir(exist_ok=True)
    signing = {"signingKeysPath": str(keys.private)} if keys else {}
    if scores:
        signing["scoresDigest"] = digest_bytes((staging / "scores" / "scores.json").read_bytes())
    report = job.run(environment(certify_request(staging, certified, **signing, **more)))
    return certified / report.version.dna, report


def edit_json(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file, in canonical form."""
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | changes) + b"\n")


def reseal(folder: Path, keys: Keys | None) -> str:
    """Make manifest, proofs and signatures anew over whatever the folder holds, as somebody with the keys could.

    The result is the folder's new digest.
    """
    private = load_keys(str(keys.private)) if keys else None
    skip = {names.MANIFEST, "model.sig", "provenance.intoto.json"}
    proof_path = folder / "ledger_proof.json"
    if proof_path.is_file():
        _redo_proof(folder, proof_path, keys)
    if private and (folder / "provenance.intoto.json").is_file():
        old = json.loads((folder / "provenance.intoto.json").read_bytes())
        statement = json.loads(base64.b64decode(old["payload"]))
        statement["subject"] = [
            {"name": f"{folder.name}/{path}", "digest": {"sha256": digest[7:]}}
            for path, (digest, _) in sorted(digest_tree(folder).items())
            if path not in skip
        ]
        (folder / "provenance.intoto.json").write_bytes(envelope(statement, private.signing))
    table = digest_tree(folder)
    for name in (names.MANIFEST, "model.sig"):
        table.pop(name, None)
    manifest = manifest_bytes(table)
    (folder / names.MANIFEST).write_bytes(manifest)
    if private:
        signed = Signed(folder.name, {path: row[0] for path, row in digest_tree(folder).items() if path != "model.sig"})
        (folder / "model.sig").write_bytes(sign(signed, private.signing_file))
    return digest_bytes(manifest)


def _redo_proof(folder: Path, path: Path, keys: Keys | None) -> None:
    private = load_keys(str(keys.private)) if keys else None
    proof = json.loads(path.read_bytes())
    files = digest_tree(folder)
    proof["weights"] = {name: files[name][0] for name in proof["weights"] if name in files}
    proof["immutable_hash"] = immutable_hash(proof)
    if private:
        proof["signature"] = private.ledger.sign(signed_bytes(proof)).hex()
        proof["signer_public_key"] = private.ledger.public_key().public_bytes_raw().hex()
    path.write_bytes(canonical_json(proof) + b"\n")


def verify_request(folder: Path, keys: Keys | None, **more: Any) -> dict[str, Any]:
    """A request that pins the folder's present digest."""
    request: dict[str, Any] = {"adapterPath": str(folder), "requireSignature": keys is not None}
    if keys:
        request["trustedKeys"] = str(keys.trusted)
    return request | more
