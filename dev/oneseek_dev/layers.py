"""Images handed from buildah's storage to a containerd, their layers as hard links: nothing is unpacked a second time.

Both keep a layer as a folder in the form that overlayfs reads, so the folder of one will do for the other. What
containerd needs beside it is only the image's manifest and configuration, which buildah keeps as well.
"""

import io
import json
import re
import tarfile
import tempfile
from base64 import b64encode
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


def image(store: Path, local: str) -> tuple[bytes, bytes] | None:
    """The manifest and the configuration of an image that buildah's storage has under this name."""
    folder = store / "overlay-images"
    try:
        entries = json.loads((folder / "images.json").read_text())
    except FileNotFoundError:
        return None
    for entry in entries:
        if local in (entry.get("names") or []):
            manifest = (folder / entry["id"] / "manifest").read_bytes()
            # Any key that is no plain word is kept in a file of this name (containers/storage, makeBigDataBaseName).
            name = "=" + b64encode(json.loads(manifest)["config"]["digest"].encode()).decode()
            return manifest, (folder / entry["id"] / name).read_bytes()
    return None


def stored(store: Path) -> dict[str, Path]:
    """The folders of buildah's layers by the digest of what they hold (DiffID)."""
    entries = json.loads((store / "overlay-layers" / "layers.json").read_text())
    places = {
        entry["diff-digest"]: store / "overlay" / entry["id"] / "diff" for entry in entries if "diff-digest" in entry
    }
    return {digest: place for digest, place in places.items() if place.is_dir()}


def with_folder(manifest: bytes, config: bytes, digest: str, after: int) -> tuple[bytes, bytes]:
    """The image with one layer more, which nobody packed: above the first `after`, under a digest that only names it."""
    there, described = json.loads(config), json.loads(manifest)
    there["rootfs"]["diff_ids"].insert(after, digest)
    changed = json.dumps(there).encode()
    described["layers"].insert(after, {**described["layers"][0], "digest": digest})
    described["config"] |= {"digest": _digest(changed), "size": len(changed)}
    return json.dumps(described).encode(), changed


def hand_over(
    ctr: Sequence[str], store: Path, local: str, names: Sequence[str], *, aside: Path | None = None, below: str = ""
) -> None:
    """Afterwards containerd has buildah's image `local` under these names, ready to run; packed layers are not made.

    The folder `aside` is a layer too, above those of the image `below`, on which `local` stands.
    """
    manifest, config = _found(store, local)
    folders = stored(store)
    if aside:
        digest = _digest(aside.name.encode())
        after = len(json.loads(_found(store, below)[1])["rootfs"]["diff_ids"])
        manifest, config = with_folder(manifest, config, digest, after)
        folders |= {digest: aside} if aside.is_dir() else {}
    there = listed(ctr)
    wanted = [name for name in names if there.get(name) != _digest(manifest)]
    if not wanted:
        return
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    chain = chain_ids(diff_ids)
    have = set(run([*ctr, "snapshots", "list"]).split())
    for parent, chain_id, diff_id in zip(["", *chain], chain, diff_ids, strict=False):
        if chain_id in have:
            continue
        if diff_id not in folders:
            raise DevError(
                f"buildah's storage in {store} has lost a layer of {local}: run `make clean-cache` and this again."
            )
        _link_layer(ctr, store, folders[diff_id], chain_id, parent)
    for name in wanted:  # after its layers: an image that is there can run
        _import(ctr, name, manifest, config)
    # From here on the image keeps its layers, and they go with it.
    run([*ctr, "content", "label", _digest(config), f"containerd.io/gc.ref.snapshot.overlayfs={chain[-1]}"])
    for chain_id in chain:
        run([*ctr, "snapshots", "label", chain_id, "containerd.io/gc.root="])


def _found(store: Path, local: str) -> tuple[bytes, bytes]:
    if found := image(store, local):
        return found
    raise DevError(f"buildah's storage in {store} has no image {local}: run `python3 -m oneseek_dev images`.")


def listed(ctr: Sequence[str]) -> dict[str, str]:
    """The images that containerd has: names to the digests of their manifests."""
    lines = [line.split() for line in run([*ctr, "images", "list"]).splitlines()[1:]]
    return {words[0]: words[2] for words in lines}


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
