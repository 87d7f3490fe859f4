"""The file names of a certified folder. Pure.

The union of the files of old readers (the contract's layout) and of the proofs. Large files for old readers only may be left out: all
or none of `legacy_files`, as `adapters` in the metadata says.
"""

from __future__ import annotations

import re

from oneseek_core import names

__all__ = [
    "CONFIG",
    "DNA",
    "INTEGRITY",
    "LEDGER_KEY",
    "LOADED",
    "METADATA",
    "PROOF",
    "PROVENANCE",
    "REPORT",
    "RESULTS",
    "SCORES",
    "SIGNATURE",
    "SIGNING_KEY",
    "TORCH_WEIGHTS",
    "WEIGHTS",
    "adapter_folder",
    "is_known",
    "legacy_files",
]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
TORCH_WEIGHTS = "adapter_model.bin"  # a pickle, for old readers only: nothing of ours ever opens it
METADATA = "metadata.json"
RESULTS = "training_results.json"
DNA = "oneseek_dna.json"
PROOF = "ledger_proof.json"
INTEGRITY = "verify_integrity.py"
PROVENANCE = "provenance.intoto.json"
SIGNATURE = "model.sig"  # OpenSSF model signing; the only file beside the manifest that the manifest does not list

REPORT = "training_report.json"  # in staging
SCORES = "scores/scores.json"  # in staging, from the evaluate Job

SIGNING_KEY = "signing.key"  # in the keys' folder: PEM, EC P-256, for model.sig and the provenance
LEDGER_KEY = "ledger.key"  # in the keys' folder: PEM, Ed25519, for the old readers' ledger_proof.json

LOADED = (CONFIG, WEIGHTS, METADATA, names.MANIFEST)  # what the verified copy holds: all an engine needs, no pickle

_FIXED = {CONFIG, WEIGHTS, TORCH_WEIGHTS, METADATA, RESULTS, DNA, PROOF, INTEGRITY, PROVENANCE}
_NESTED = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]*-adapter/(?:{re.escape(CONFIG)}|{re.escape(WEIGHTS)})")


def adapter_folder(base_name: str) -> str:
    """The adapter's folder of old readers, relative to the version's."""
    return f"{base_name}-adapter"


def legacy_files(base_name: str) -> set[str]:
    """The files for old readers only: the pickle and a second copy of the adapter."""
    folder = adapter_folder(base_name)
    return {TORCH_WEIGHTS, f"{folder}/{CONFIG}", f"{folder}/{WEIGHTS}"}


def is_known(path: str) -> bool:
    """Whether a manifest may list the path (relative, POSIX)."""
    return path in _FIXED or _NESTED.fullmatch(path) is not None
