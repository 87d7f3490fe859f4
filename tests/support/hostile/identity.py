"""Another identity, or a signature, proof or provenance that is not of this version."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from typing import Any

from oneseek_core import names
from support.certified import edit_json, make_keys, reseal
from support.hostile.folder import (
    WEIGHTS,
    Case,
    Change,
    World,
    hold,
    metadata,
    other_version,
    remove,
    request,
    resealed,
    swap,
    write,
)


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


def provenance_of_another(world: World) -> None:
    hold(world, "provenance.intoto.json", (other_version(world) / "provenance.intoto.json").read_bytes())


def no_keys(world: World) -> None:
    (world.home / "none").mkdir()
    world.request["trustedKeys"] = str(world.home / "none")


def private_key_among_trusted(world: World) -> None:
    keys = make_keys(world.home / "mine")
    shutil.copy(keys.private / "signing.key", keys.trusted / "signing.pem")
    world.request["trustedKeys"] = str(keys.trusted)


CASES: dict[str, Case] = {
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
}  # fmt: skip
