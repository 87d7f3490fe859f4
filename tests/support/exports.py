"""What exports start from: a model that serves a certified folder, and image layouts to stand on."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from support.certified import shared_keys
from support.plugin_objects import Cluster, model, pod

Layout = dict[str, Any]


def serving(cluster: Cluster, folder: Path) -> Cluster:
    """Have the simulated cluster hold a model that knows the version, and a pod whose sidecar mounts it."""
    digest = digest_bytes((folder / names.MANIFEST).read_bytes())
    known = {"dna": folder.name, "digest": digest, "state": "Previous", "createdAt": ""}
    current = {"dna": folder.name, "digest": digest, "since": ""}
    keys = {"model.pub": (shared_keys().trusted / "signing.pub").read_text()}
    trusted = {"kind": "ConfigMap", "metadata": {"name": "demo-trusted-keys", "namespace": "team"}, "data": keys}
    told = {
        "model": "demo", "namespace": "team", "family": "OneSeek-7B-Zero", "baseName": "tiny", "basePath": "/x",
        "certifiedPath": str(folder.parent),
    }  # fmt: skip
    cluster.objects = [model(versions=[known], current=current), trusted, pod("one", "1a2b3c4d")]
    cluster.containers["pod/one/sidecar"] = {"environment": {names.SERVING_ENV: json.dumps(told)}}
    return cluster


def base_layout(home: Path, *, platforms: tuple[str, ...] = ()) -> Path:
    """A layout of a small image, or of an index of them."""
    blobs = home / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str, **more: Any) -> Layout:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(data),
            **more,
        }

    def image(architecture: str, **more: Any) -> Layout:
        tar = home / "layer.tar"
        with tarfile.open(tar, "w") as archive:
            archive.addfile(tarfile.TarInfo(f"bin-{architecture}"))
        layer = put(tar.read_bytes(), "layer.v1.tar")
        tar.unlink()
        config = {
            "os": "linux", "architecture": architecture, "config": {"Env": ["PATH=/bin"], "Labels": {"a": "b"}},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}, "history": [{"created_by": "base"}],
        }  # fmt: skip
        described = put(json.dumps(config).encode(), "config.v1+json")
        manifest = {"schemaVersion": 2, "config": described, "layers": [layer]}
        return put(json.dumps(manifest).encode(), "manifest.v1+json", **more)

    entries = [image(name, platform={"os": "linux", "architecture": name}) for name in platforms] or [image("amd64")]
    if platforms:
        inner = {"schemaVersion": 2, "manifests": entries}
        entries = [put(json.dumps(inner).encode(), "index.v1+json")]
    (home / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    (home / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return home
