"""[I/O] The image that an export may stand on: an OCI image layout whose layers come first.

A version alone is no image that can run; on top of any small image with a `cp` it is one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneseek_core.digest import PREFIX
from oneseek_runtime.plugin.errors import CannotTellError

__all__ = ["Base", "blob_path", "read_base"]

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LARGEST = 8 * 1024 * 1024  # bytes of a JSON blob
_CHUNK = 1024 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Base:
    """An image in a layout: its manifest's digest, configuration, and layers from below to above."""

    layout: Path
    digest: str
    config: Mapping[str, Any]
    layers: Sequence[Mapping[str, Any]]

    def copy(self, layer: Mapping[str, Any], target: Path) -> None:
        """Copy a layer into another layout. Raises CannotTellError: its bytes are not those of its digest."""
        hasher = hashlib.sha256()
        source, home = blob_path(self.layout, layer["digest"]), blob_path(target, layer["digest"])
        try:
            with source.open("rb") as reader, home.open("wb") as writer:
                while chunk := reader.read(_CHUNK):
                    hasher.update(chunk)
                    writer.write(chunk)
        except FileNotFoundError as error:
            raise _broken(self.layout, f"the layer {layer['digest']} is missing") from error
        if PREFIX + hasher.hexdigest() != layer["digest"]:
            raise _broken(self.layout, f"the layer {layer['digest']} has other bytes")


def blob_path(layout: Path, digest: str) -> Path:
    """Where a layout keeps the blob of a digest."""
    return layout / "blobs" / "sha256" / digest.removeprefix(PREFIX)


def read_base(layout: Path, platform: tuple[str, str] | None) -> Base:
    """The image in a layout; of several the one for `platform`.

    Raises CannotTellError: it is no layout, or holds no image for the platform, or several that could be meant.
    """
    if not (layout / "oci-layout").is_file():
        raise CannotTellError(f"{layout} is no OCI image layout (`skopeo copy docker://IMAGE oci:DIR` makes one)")
    try:
        found = json.loads((layout / "index.json").read_bytes())["manifests"]
        descriptor = _choose(layout, found, platform)
        manifest = json.loads(_blob(layout, descriptor["digest"]))
        config = json.loads(_blob(layout, manifest["config"]["digest"]))
        layers = [
            {key: layer[key] for key in ("mediaType", "digest", "size", "annotations") if key in layer}
            for layer in manifest["layers"]
        ]
        if any(_DIGEST.fullmatch(layer["digest"]) is None for layer in layers):
            raise _broken(layout, "a layer's digest is no SHA-256")
        if len(config["rootfs"]["diff_ids"]) != len(layers):
            raise _broken(layout, "its configuration is of other layers")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(layout, f"{type(error).__name__} {error}") from error
    return Base(layout, descriptor["digest"], config, layers)


def _choose(
    layout: Path, found: Sequence[Mapping[str, Any]], platform: tuple[str, str] | None, depth: int = 0
) -> Mapping[str, Any]:
    """The image's descriptor, through an index of platforms where there is one."""
    images = [item for item in found if item.get("mediaType") in (_INDEX, _MANIFEST)]
    if len(images) > 1:
        wanted = platform or ("linux", "amd64")
        images = [item for item in images if _platform(item) == wanted]
    if len(images) != 1:
        many = "several images" if images else "no image"
        raise CannotTellError(
            f"{layout} holds {many} for {'/'.join(platform or ('linux', 'amd64'))}; name a --platform"
        )
    if images[0]["mediaType"] == _INDEX and depth < 3:
        inner = json.loads(_blob(layout, images[0]["digest"]))["manifests"]
        return _choose(layout, inner, platform, depth + 1)
    if images[0]["mediaType"] != _MANIFEST:
        raise _broken(layout, "indexes within indexes")
    return images[0]


def _platform(descriptor: Mapping[str, Any]) -> tuple[str, str]:
    told = descriptor.get("platform") or {}
    return str(told.get("os", "")), str(told.get("architecture", ""))


def _blob(layout: Path, digest: str) -> bytes:
    if _DIGEST.fullmatch(str(digest)) is None:
        raise _broken(layout, f"{digest!r} is no SHA-256 digest")
    with blob_path(layout, digest).open("rb") as file:
        data = file.read(_LARGEST)
    if PREFIX + hashlib.sha256(data).hexdigest() != digest:
        raise _broken(layout, f"the blob {digest} has other bytes")
    return data


def _broken(layout: Path, why: str) -> CannotTellError:
    return CannotTellError(f"the image layout {layout} cannot be used: {why}")
