"""[I/O] A certified folder as an OCI image layout: oci-layout, index.json, blobs/sha256.

One layer holds the folder under models/<DNA>, so that a registry keeps a version as it keeps any image. The layer is a
plain tar whose every header follows from the version: exporting it again, anywhere, gives the same digests.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from oneseek_core.digest import PREFIX, canonical_json
from oneseek_core.dna import Dna
from oneseek_core.files import digest_file
from oneseek_runtime.plugin.ocibase import Base

__all__ = ["Image", "Written", "write_archive", "write_layout"]

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Image:
    """What is said of the image: the DNA, when it was certified (it makes the files' times), annotations, the platform."""

    dna: str
    created_at: str
    annotations: Mapping[str, str]
    platform: tuple[str, str] = ("linux", "amd64")


@dataclass(frozen=True, slots=True)
class Written:
    """Digests of the image's manifest and of the layer with the version, and the tag within the layout."""

    manifest: str
    layer: str
    tag: str


def write_layout(folder: Path, image: Image, target: Path, base: Base | None = None) -> Written:
    """Write the certified `folder` as a layout into the new folder `target`, on top of a base image's layers if given.

    Raises OSError: it cannot be written. Raises CannotTellError: a blob of the base is not what its digest says.
    """
    blobs = target / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = [dict(layer) for layer in base.layers] if base else []
    if base:
        for layer in layers:
            base.copy(layer, target)
    own = _write_layer(folder, image, blobs)
    layers.append(own)
    config = _put(blobs, canonical_json(_config(image, base, own["digest"])), _CONFIG)
    annotations = dict(image.annotations)
    if base:
        annotations["org.opencontainers.image.base.digest"] = base.digest
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": config,
        "layers": layers,
        "annotations": annotations,
    }
    tag = _tag(image.dna)
    described = _put(blobs, canonical_json(manifest), _MANIFEST)
    named = described | {"annotations": {"org.opencontainers.image.ref.name": tag, **_ours(annotations)}}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [named]}
    (target / "index.json").write_bytes(canonical_json(index))
    (target / "oci-layout").write_bytes(canonical_json({"imageLayoutVersion": "1.0.0"}))
    return Written(described["digest"], own["digest"], tag)


def write_archive(layout: Path, file: Path) -> None:
    """The layout as one tar (an `oci-archive`), the same bytes each time. Raises OSError: it cannot be written."""
    paths = [layout / "oci-layout", layout / "index.json", *sorted((layout / "blobs" / "sha256").iterdir())]
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("blobs", "blobs/sha256"):
            archive.addfile(_folder(name, 0))
        for path in paths:
            _add(archive, path, path.relative_to(layout).as_posix(), 0)


def _write_layer(folder: Path, image: Image, blobs: Path) -> dict[str, Any]:
    moment = _seconds(image.created_at)
    draft = blobs / ".layer"
    with tarfile.open(draft, "x", format=tarfile.PAX_FORMAT) as archive:
        root = f"models/{image.dna}"
        archive.addfile(_folder("models", moment))
        archive.addfile(_folder(root, moment))
        for path in sorted(folder.rglob("*")):
            name = f"{root}/{path.relative_to(folder).as_posix()}"
            if path.is_dir():
                archive.addfile(_folder(name, moment))
            else:
                _add(archive, path, name, moment)
    digest, size = digest_file(draft)
    draft.replace(blobs / digest.removeprefix(PREFIX))
    return {"mediaType": _LAYER, "digest": digest, "size": size}


def _seconds(moment: str) -> int:
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except ValueError:  # certified by another program, with a time of another form
        return 0


def _folder(name: str, moment: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, moment
    return member


def _add(archive: tarfile.TarFile, path: Path, name: str, moment: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = path.stat().st_size, 0o644, moment
    with path.open("rb") as file:
        archive.addfile(member, file)


def _config(image: Image, base: Base | None, layer: str) -> dict[str, Any]:
    """The image's configuration: the base's own, if there is one, with our layer at its end."""
    system, architecture = image.platform
    config: dict[str, Any] = (
        json.loads(json.dumps(base.config))
        if base
        else {"os": system, "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}}
    )
    config["created"] = image.created_at
    config["rootfs"]["diff_ids"] = [*config["rootfs"]["diff_ids"], layer]
    config["history"] = [
        *config.get("history", []),
        {"created": image.created_at, "created_by": "kubectl oneseek export", "comment": image.dna},
    ]
    inner = config.get("config") or {}
    config["config"] = {**inner, "Labels": {**(inner.get("Labels") or {}), **image.annotations}}
    return config


def _put(blobs: Path, data: bytes, kind: str) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": kind, "digest": PREFIX + digest, "size": len(data)}


def _ours(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if not key.startswith("org.")}


def _tag(text: str) -> str:
    """A tag for the DNA. Lower case: some tools take the name within a layout for a repository's."""
    dna = Dna.parse(text)
    return f"v{dna.major}.{dna.micro}-{dna.weights}-{dna.timestamp}"
