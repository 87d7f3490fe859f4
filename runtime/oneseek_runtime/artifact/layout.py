"""Names of the files in a certified folder, in one place for who writes them and who checks them. Pure.

The union of what old readers look for (the contract's artefact layout) and what proves the version. The largest of
them, which only old readers open, may be left out: all or none of `legacy_files`, as `adapters` in the metadata says.
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
    """Name of the folder in which old readers look for the adapter, relative to the version's."""
    return f"{base_name}-adapter"


def legacy_files(base_name: str) -> set[str]:
    """What only old readers want: the pickle, and the adapter once more in a folder of its own."""
    folder = adapter_folder(base_name)
    return {TORCH_WEIGHTS, f"{folder}/{CONFIG}", f"{folder}/{WEIGHTS}"}


def is_known(path: str) -> bool:
    """Whether a manifest may list the path (relative, POSIX)."""
    return path in _FIXED or _NESTED.fullmatch(path) is not None
