"""Do the parts of a certified folder say the same thing, and nothing that may not be loaded? Pure, over bytes.

The digests are proved already; here a folder is refused that was made wrongly or by somebody else. Every JSON is read
so strictly that no two readers can understand it differently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from oneseek_core import names
from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.digest import PREFIX, canonical_json
from oneseek_core.dna import Dna
from oneseek_core.errors import ArtifactError, DnaError
from oneseek_core.safetensors_header import LENGTH_BYTES, TensorInfo, header_length, parse_header
from oneseek_runtime.artifact.adapter import RankError, check_tensors
from oneseek_runtime.artifact.adapter_config import AdapterConfig, parse_config
from oneseek_runtime.artifact.layout import CONFIG, METADATA, TORCH_WEIGHTS, WEIGHTS, adapter_folder, legacy_files
from oneseek_runtime.artifact.strict_json import strict_object
from oneseek_runtime.certify.torch_zip import TorchArchive
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.reading import LARGEST_HEAD
from oneseek_runtime.verify.refusal import RefusedError, refusing

__all__ = ["check_contents", "dna_of_folder"]

_PICKLE_STARTS = (b"PK\x03\x04", *(b"\x80" + bytes([protocol]) for protocol in range(1, 6)))
_LARGEST_SIZE = 2**48
FileTable = Mapping[str, tuple[str, int]]


def dna_of_folder(name: str, expected: str | None) -> Dna:
    """The DNA that a folder of this name must prove. A folder may be mounted under a name that is no DNA.

    Raises:
        RefusedError: DnaDiffers.
    """
    try:
        own: Dna | None = Dna.parse(name)
    except DnaError:
        own = None
    try:
        wanted = Dna.parse(expected) if expected is not None else own
    except DnaError as error:
        raise RefusedError(names.DNA_DIFFERS, str(error)) from error
    if wanted is None:
        raise RefusedError(names.DNA_DIFFERS, f"the folder's name {name!a} is no DNA")
    if own is not None and own != wanted:
        raise RefusedError(names.DNA_DIFFERS, f"the folder is called {own}, but {wanted} is wanted")
    return wanted


def check_contents(dna: Dna, table: FileTable, heads: Mapping[str, bytes], expected: Expected) -> ArtifactMetadata:
    """Make sure that metadata, configuration, weights and DNA fit each other and what is expected.

    Raises:
        RefusedError: MetadataInvalid, DnaDiffers, FileMissing, FileUnknown, AdapterConfigInvalid, CodeFound,
            WeightsInvalid, PickleFound, RankDiffers, BaseModelDiffers, BaseModelDigestDiffers.
    """
    metadata = _check_metadata(dna, table[WEIGHTS][0], heads[METADATA])
    _check_layout(table, metadata)
    config = _check_config(heads[CONFIG])
    _check_lora(config, metadata, expected.rank)
    tensors = _check_weights(heads[WEIGHTS], table[WEIGHTS][1], config)
    _check_torch(tensors, heads.get(TORCH_WEIGHTS))
    _check_copies(table)
    _check_base(config, metadata, expected)
    return metadata


def _check_metadata(dna: Dna, weights: str, data: bytes) -> ArtifactMetadata:
    with refusing(names.METADATA_INVALID):
        strict_object(data, METADATA)
        metadata = ArtifactMetadata.from_bytes(data)
    stamp = hashlib.sha256(metadata.created_at.encode()).hexdigest()
    for what, found, wanted in (
        ("metadata.json names the DNA", metadata.dna, str(dna)),
        ("metadata.json names the language", metadata.language, dna.language),
        ("the weights' digest begins with", weights.removeprefix(PREFIX)[:8], dna.weights),
        ("the creation time's digest begins with", stamp[:8], dna.timestamp),
    ):
        if found != wanted:
            raise RefusedError(names.DNA_DIFFERS, f"{what} {found}, but {dna} wants {wanted}")
    told = _part(metadata, "digests").get("modelWeights", weights)
    if told != weights:
        raise RefusedError(names.METADATA_INVALID, f"{METADATA} says the weights are {told}, but they are {weights}")
    return metadata


def _check_layout(table: FileTable, metadata: ArtifactMetadata) -> None:
    """Old readers' files are all there or none is, as the metadata's `adapters` says; never a mixture."""
    base = metadata.base_model
    adapters = (metadata.model_extra or {}).get("adapters")
    if adapters not in ([], [adapter_folder(base)]):
        raise RefusedError(
            names.METADATA_INVALID, f"{METADATA} names the adapters {adapters!a}, which certification never writes"
        )
    wanted = legacy_files(base) if adapters else set()
    found = {path for path in table if path == TORCH_WEIGHTS or "/" in path}
    for path in sorted(wanted - found):
        raise RefusedError(names.FILE_MISSING, f"{path} is not there, but {METADATA} says that old readers find it")
    for path in sorted(found - wanted):
        raise RefusedError(names.FILE_UNKNOWN, f"{path} is there, but {METADATA} says nothing of it")


def _part(metadata: ArtifactMetadata, name: str) -> Mapping[str, Any]:
    value = (metadata.model_extra or {}).get(name)
    return value if isinstance(value, dict) else {}


def _check_config(data: bytes) -> AdapterConfig:
    with refusing(names.CONFIG_INVALID):
        config = strict_object(data, CONFIG)
    if _has_code(config):
        raise RefusedError(names.CODE_FOUND, f"{CONFIG} has auto_map: it brings code of its own, which is never run")
    library = (config.get("auto_mapping") or {}) if isinstance(config.get("auto_mapping"), dict | None) else "x"
    if library and not (isinstance(library, dict) and str(library.get("parent_library")).startswith("transformers.")):
        raise RefusedError(names.CODE_FOUND, f"{CONFIG} has auto_mapping: it names a library to load code from")
    if config.get("rank_pattern"):
        raise RefusedError(names.RANK_DIFFERS, f"{CONFIG} has a rank_pattern: other ranks than it was certified with")
    with refusing(names.CONFIG_INVALID):
        found = parse_config(data)
    if canonical_json(config) + b"\n" != data:
        raise RefusedError(names.CONFIG_INVALID, f"{CONFIG} is not in the form that certification writes")
    return found


def _has_code(value: object) -> bool:
    if isinstance(value, dict):
        return "auto_map" in value or any(map(_has_code, value.values()))
    return isinstance(value, list) and any(map(_has_code, value))


def _check_lora(config: AdapterConfig, metadata: ArtifactMetadata, asked: int | None) -> None:
    """Rank, scale and layers are those that the metadata tells of."""
    told = _part(metadata, "trainingConfig").get("loraConfig")
    told = told if isinstance(told, dict) else {}
    for what, other in ((METADATA, told.get("rank")), ("the request", asked)):
        if other is not None and other != config.rank:
            raise RefusedError(names.RANK_DIFFERS, f"{CONFIG} has the rank {config.rank}, {what} has {other}")
    for key, found in (("alpha", config.alpha), ("targetModules", list(config.targets))):
        wanted = told.get(key, found)
        if found != (sorted(map(str, wanted)) if isinstance(wanted, list) else wanted):
            raise RefusedError(names.CONFIG_INVALID, f"{CONFIG} has {key} {found!r}, {METADATA} has {wanted!r:.200}")


def _check_weights(head: bytes, size: int, config: AdapterConfig) -> Mapping[str, TensorInfo]:
    try:
        with refusing(names.WEIGHTS_INVALID, WEIGHTS):
            return _tensors(head, size, config)
    except RefusedError as error:
        if isinstance(error.__cause__, RankError):
            raise RefusedError(names.RANK_DIFFERS, error.message) from error
        if head.startswith(_PICKLE_STARTS):
            raise RefusedError(names.PICKLE_FOUND, f"{WEIGHTS} is a pickle or archive, not safetensors") from error
        raise


def _tensors(head: bytes, size: int, config: AdapterConfig) -> Mapping[str, TensorInfo]:
    length = header_length(head, size)
    if LENGTH_BYTES + length > LARGEST_HEAD:
        raise ArtifactError(f"its header takes {length} bytes; no adapter's does")
    header = head[LENGTH_BYTES : LENGTH_BYTES + length]
    _check_sizes(strict_object(header, "its header"))
    tensors = parse_header(header, size - LENGTH_BYTES - length)
    TorchArchive(tensors)  # refuses types that no adapter has
    check_tensors(tensors, config)
    return tensors


def _check_sizes(header: Mapping[str, Any]) -> None:
    """Refuse numbers that only serve to keep a reader busy, and notes that are no texts."""
    for name, entry in header.items():
        values = list(entry.values()) if isinstance(entry, dict) else [None]
        if name == "__metadata__":
            good = all(isinstance(value, str) for value in values)
        else:
            lists = [value for value in values if isinstance(value, list)]
            good = all(len(value) <= 8 and all(_is_sane(number) for number in value) for value in lists)
        if not good:
            raise ArtifactError(f"its header has an impossible entry {name[:80]!a}")


def _is_sane(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _LARGEST_SIZE


def _check_torch(tensors: Mapping[str, TensorInfo], head: bytes | None) -> None:
    """The one pickle that may be there must begin as ours does: with the list of these very tensors."""
    if head is not None and not head.startswith(TorchArchive(tensors).start()[:LARGEST_HEAD]):
        raise RefusedError(names.PICKLE_FOUND, f"{TORCH_WEIGHTS} is not the archive that certification writes")


def _check_copies(table: FileTable) -> None:
    """Old readers' sub-folder holds copies, and nothing else than copies."""
    for path, row in sorted(table.items()):
        name = path.rpartition("/")[2]
        if "/" in path and name in (CONFIG, WEIGHTS) and row != table[name]:
            reason = names.CONFIG_INVALID if name == CONFIG else names.WEIGHTS_INVALID
            raise RefusedError(reason, f"{path} is no copy of {name}")


def _check_base(config: AdapterConfig, metadata: ArtifactMetadata, expected: Expected) -> None:
    base = config.base
    for what, other in ((METADATA, metadata.base_model), ("the request", expected.base_name)):
        if other is not None and other != base:
            raise RefusedError(names.BASE_DIFFERS, f"{CONFIG} names the base model {base!r}, {what} names {other!r}")
    if expected.base_digest is None:
        return
    if metadata.provenance is None:
        raise RefusedError(names.METADATA_INVALID, f"{METADATA} does not say on which base model it was trained")
    trained_on = metadata.provenance.base_model_digest
    if trained_on != expected.base_digest:
        raise RefusedError(
            names.BASE_DIFFERS, f"it was trained on the base model {trained_on}, but {expected.base_digest} is served"
        )
