#!/usr/bin/env python3
"""Check a certified folder: `python3 verify_integrity.py DIR`.

Needs nothing but Python 3.8 or newer. It checks the DNA, the bytes of every file against manifest.json, the weights
against the proof, the proof's immutable_hash and its Ed25519 signature, and datasets that lie in the working
directory. The signer's key is the one in the proof: that it is yours, and that nobody made the whole folder anew, is
what `model_signing verify key --public_key KEY --signature DIR/model.sig DIR` shows.

Prints one JSON object {dna, ledger, datasets, details, overall}; ends with 0 only if overall is VALID.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Tuple  # noqa: UP035 - old Pythons run this

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
REQUIRED = ("oneseek_dna.json", "ledger_proof.json", "metadata.json", "adapter_model.safetensors")
UNLISTED = ("manifest.json", "model.sig")
Point = Tuple[int, int, int, int]  # noqa: UP006 - old Pythons


def main(arguments: list[str]) -> int:
    """Check the folder in `arguments`; the result is the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: verify_integrity.py DIR\n")
        return 2
    folder = Path(arguments[0]).resolve()
    result: dict[str, Any] = {"dna": "INVALID", "ledger": "MISMATCH", "datasets": "UNKNOWN", "details": {}}
    missing = [name for name in REQUIRED if not (folder / name).is_file()]
    if missing:
        result["details"]["missing"] = missing
        return show(result)
    try:
        check(folder, result)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        result["details"]["error"] = f"{type(error).__name__}: {error}"
        return show(result)
    good = (
        result["dna"] == "VALID"
        and result["ledger"] in ("SYNCED", "UNSIGNED")
        and result["datasets"] in ("UNCHANGED", "UNKNOWN")
    )
    result["overall"] = "VALID" if good else "INVALID"
    return show(result)


def show(result: dict[str, Any]) -> int:
    """Print the result; the exit code that belongs to it."""
    sys.stdout.write(json.dumps(result, indent=2, sort_keys=True) + "\n")
    return 0 if result.get("overall") == "VALID" else 1


def check(folder: Path, result: dict[str, Any]) -> None:
    """Fill `result`; raises where a file is not of the form it must have."""
    details = result["details"]
    proof = load(folder, "ledger_proof.json")
    metadata = load(folder, "metadata.json")
    files = check_files(folder, details)
    dna = load(folder, "oneseek_dna.json")["dna"]
    weights, stamp = dna.split(".")[-2:]
    told = [
        ("folder name", folder.name == dna),
        ("ledger_proof.json", proof["dna"] == dna),
        ("metadata.json", metadata["dna"] == dna),
        ("weights hash", files.get("adapter_model.safetensors", "")[7:15] == weights),
        ("timestamp hash", hashlib.sha256(metadata["createdAt"].encode()).hexdigest()[:8] == stamp),
        ("layout", check_layout(files, metadata)),
        ("files", not any(details[key] for key in ("changed", "missing", "unknown"))),
    ]
    details["dna"] = [name for name, good in told if not good]
    result["dna"] = "INVALID" if details["dna"] else "VALID"
    result["ledger"] = check_proof(proof, files, details)
    result["datasets"] = check_datasets(proof, details)


def check_layout(files: dict[str, str], metadata: dict[str, Any]) -> bool:
    """Whether old readers' files are all there or none is, as the metadata says."""
    found = {path for path in files if "/" in path or path == "adapter_model.bin"}
    wanted = {name + "/adapter_" + end for name in metadata["adapters"] for end in ("config.json", "model.safetensors")}
    return found == (wanted | {"adapter_model.bin"} if wanted else wanted)


def load(folder: Path, name: str) -> Any:
    """The JSON object in a file."""
    return json.loads((folder / name).read_bytes())


def digest(path: Path) -> str:
    """sha256:<hex> of a file."""
    hasher = hashlib.sha256()
    with path.open("rb") as handle:
        for chunk in iter(lambda: handle.read(1024 * 1024), b""):
            hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def check_files(folder: Path, details: dict[str, Any]) -> dict[str, str]:
    """Digests of all files; what differs from the manifest goes into `details`."""
    listed = {row["path"]: row["digest"] for row in load(folder, "manifest.json")["files"]}
    found: dict[str, str] = {}
    details["unknown"] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if relative in UNLISTED or (path.is_dir() and not path.is_symlink()):
            continue
        if relative not in listed or path.is_symlink() or not path.is_file():
            details["unknown"].append(relative)
        else:
            found[relative] = digest(path)
    details["missing"] = sorted(set(listed) - set(found))
    details["changed"] = sorted(path for path, value in found.items() if listed[path] != value)
    return found


def canonical(value: object) -> bytes:
    """Sorted keys, no spaces, UTF-8 unescaped."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def check_proof(proof: dict[str, Any], files: dict[str, str], details: dict[str, Any]) -> str:
    """SYNCED, UNSIGNED or MISMATCH."""
    signed = {key: value for key, value in proof.items() if key not in ("signature", "signer_public_key")}
    hashed = {key: value for key, value in signed.items() if key != "immutable_hash"}
    if proof["immutable_hash"] != "sha256:" + hashlib.sha256(canonical(hashed)).hexdigest():
        details["ledger"] = "immutable_hash does not fit the proof"
        return "MISMATCH"
    wrong = sorted(name for name, value in proof["weights"].items() if files.get(name) != value)
    if wrong:
        details["ledger"] = "the proof names other bytes of " + ", ".join(wrong)
        return "MISMATCH"
    if proof["signature"] is None:
        return "UNSIGNED"
    key, signature = bytes.fromhex(proof["signer_public_key"]), bytes.fromhex(proof["signature"])
    if not verify(key, signature, canonical(signed)):
        details["ledger"] = "the signature is wrong"
        return "MISMATCH"
    return "SYNCED"


def check_datasets(proof: dict[str, Any], details: dict[str, Any]) -> str:
    """UNCHANGED, MODIFIED, MISSING or UNKNOWN."""
    rows = [(row["path"], row["hash"], True) for row in proof["dataset_hashes"]]
    rows += [(row["name"] + end, row["digest"], False) for row in proof.get("datasets", []) for end in ("", ".jsonl")]
    seen = []
    for path, wanted, needed in rows:
        if Path(path).is_file():
            same = digest(Path(path)).split(":")[-1] == wanted.split(":")[-1]
            details.setdefault("datasets", {})[path] = "UNCHANGED" if same else "MODIFIED"
            seen.append("UNCHANGED" if same else "MODIFIED")
        elif needed:
            seen.append("MISSING")
    return next((state for state in ("MODIFIED", "MISSING", "UNCHANGED") if state in seen), "UNKNOWN")


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is good (RFC 8032): [S]B = R + [k]A."""
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or len(signature) != 64 or s >= Q:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % Q
    left, right = times(s, BASE), add(r, times(k, a))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


def point(data: bytes) -> Point | None:
    """The curve's point in 32 bytes (extended coordinates); None where there is none."""
    if len(data) != 32:
        return None
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def add(a: Point, b: Point) -> Point:
    """Sum of two points."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return (f - e) * (d - c) % P, (d + c) * (f + e) % P, (d - c) * (d + c) % P, (f - e) * (f + e) % P


def times(number: int, a: Point) -> Point:
    """A point, `number` times."""
    total: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = add(total, a)
        a, number = add(a, a), number >> 1
    return total


_BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
BASE: Point = _BASE or (0, 1, 1, 0)  # RFC 8032's B

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
