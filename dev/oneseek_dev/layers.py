"""Images handed from buildah's storage to a containerd, their layers as hard links: nothing is unpacked a second time.

Both keep a layer as a folder in the form that overlayfs reads, so the folder of one will do for the other. What
containerd would fetch beside it is only the image's manifest and configuration.
"""

import io
import json
import re
import tarfile
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from oneseek_dev.errors import DevError
from oneseek_dev.shell import run

_OVERLAY = "io.containerd.snapshotter.v1.overlayfs"


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The names of layers with all that is below them (OCI image specification, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(f"sha256:{sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return chain


def stored(store: Path) -> dict[str, Path]:
    """The folders of buildah's layers by the digest of what they hold (DiffID)."""
    listed = json.loads((store / "overlay-layers" / "layers.json").read_text())
    places = {
        layer["diff-digest"]: store / "overlay" / layer["id"] / "diff" for layer in listed if "diff-digest" in layer
    }
    return {digest: place for digest, place in places.items() if place.is_dir()}


def hand_over(ctr: Sequence[str], store: Path, name: str, manifest: bytes, config: bytes) -> None:
    """Afterwards containerd has the image `name`, ready to run, without its packed layers."""
    _import(ctr, name, manifest, config)
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    chain = chain_ids(diff_ids)
    there = set(run([*ctr, "snapshots", "list"]).split())
    folders = stored(store)
    for parent, chain_id, diff_id in zip(["", *chain], chain, diff_ids, strict=False):
        if chain_id in there:
            continue
        if diff_id not in folders:
            raise DevError(
                f"buildah's storage in {store} has lost a layer of {name}: run `make clean-cache` and this again."
            )
        _link_layer(ctr, store, folders[diff_id], chain_id, parent)
    # From here on the image keeps its layers, and they go with it.
    label = f"containerd.io/gc.ref.snapshot.overlayfs={chain[-1]}"
    run([*ctr, "content", "label", _digest(config), label])
    for chain_id in chain:
        run([*ctr, "snapshots", "label", chain_id, "containerd.io/gc.root="])


def _digest(blob: bytes) -> str:
    return f"sha256:{sha256(blob).hexdigest()}"


def _import(ctr: Sequence[str], name: str, manifest: bytes, config: bytes) -> None:
    """An OCI image layout with the manifest and the configuration alone."""
    entry = {
        "mediaType": json.loads(manifest)["mediaType"],
        "digest": _digest(manifest),
        "size": len(manifest),
        "annotations": {"io.containerd.image.name": name},
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    files |= {f"blobs/sha256/{sha256(blob).hexdigest()}": blob for blob in (manifest, config)}
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        with tarfile.open(archive.name, "w") as layout:
            for path, blob in files.items():
                header = tarfile.TarInfo(path)
                header.size = len(blob)
                layout.addfile(header, io.BytesIO(blob))
        run([*ctr, "images", "import", "--no-unpack", archive.name])


# While buildah has anything mounted, its layers lie below a mount of their own, and no hard link leads out of a mount.
_LINK = 'umount --recursive --lazy "$1" 2>/dev/null; exec cp --archive --link "$2/." "$3"'


def _link_layer(ctr: Sequence[str], store: Path, folder: Path, chain_id: str, parent: str) -> None:
    active = f"oneseek-{chain_id}"
    said = run([*ctr, "snapshots", "prepare", "--target", "/mnt", active, *([parent] if parent else [])])
    place = re.search(rf"(?:upperdir=|\s)(/[^\s,]*{re.escape(_OVERLAY)}/snapshots/\d+/fs)", said)
    if place is None:
        raise DevError(f"containerd does not say where a layer's files belong: {said}")
    run(["unshare", "--mount", "sh", "-c", _LINK, "sh", store / "overlay", folder, place[1]])
    run([*ctr, "snapshots", "commit", chain_id, active])
