"""Volumes of the test cluster as folders of this machine; and volumes of a test's own that hold certified versions.

A model whose claim holds versions adopts them, so what is about versions that take over needs no training.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneseek_core import names
from oneseek_core.digest import manifest_bytes, manifest_digest
from oneseek_core.files import digest_file
from oneseek_runtime.basemodel.fetch import files_of
from support.certified import certify, shared_keys
from support.images import built
from support.kube import Kube
from support.makers import model_manifest

Object = dict[str, Any]
BASE_NAME = "tiny"  # the one that the makers of certified folders write into them
BASE_PATH = f"{names.BASE_DIR}/{BASE_NAME}"  # where the base Job would have put it
OTHER_BASE = "sha256:" + "e" * 64
_FOLDER_MODE = 0o770  # as the local cluster makes its own: the kubelet opens it to a pod's fsGroup at the first mount


@dataclass(frozen=True)
class Given:
    """A claim with a base model and certified versions on it, the older ones first."""

    claim: str
    folder: Path
    versions: tuple[str, ...]

    @property
    def first(self) -> str:
        """The oldest."""
        return self.versions[0]

    @property
    def second(self) -> str:
        """The one after it."""
        return self.versions[1]


def volume_folder(kube: Kube, claim: str) -> Path:
    """Where a claim's volume lies on this machine."""
    pvc = kube.get("pvc", claim)
    assert pvc is not None, f"there is no claim {claim} in {kube.namespace}"
    volume = kube.get("pv", pvc["spec"]["volumeName"])
    assert volume is not None
    return Path(volume["spec"]["local"]["path"])


def fill(folder: Path, *, versions: int = 2, second_on_another_base: bool = False) -> tuple[str, ...]:
    """Write a base model and certified versions of it; the result is their DNAs, the older ones first."""
    from support.hot_pod import strong_weights  # noqa: PLC0415 - torch, which few of those who import this need
    from support.tiny_model import tiny_base  # noqa: PLC0415

    base = folder / BASE_PATH
    tiny_base(base)
    table = {name: digest_file(base / name) for name in files_of(base)}
    (base / names.BASE_MANIFEST).write_bytes(manifest_bytes(table))  # as imported: nobody loads it again to try it
    digest = manifest_digest(table)
    dnas = []
    for major in range(1, versions + 1):
        trained_on = OTHER_BASE if major == 2 and second_on_another_base else digest
        sealed, _ = certify(
            folder,
            strong_weights(major),
            keys=shared_keys(),
            major=major,
            baseName=BASE_NAME,
            baseDigest=trained_on,
            createdAt=f"2026-08-2{major}T10:11:12.345Z",
        )
        dnas.append(sealed.name)
    shutil.rmtree(folder / "staging")
    return tuple(dnas)


def volume(like: Object, name: str, folder: Path, claim: tuple[str, str]) -> Object:
    """A PersistentVolume for one claim (namespace, name) alone, on the node that another local volume is on."""
    namespace, claim_name = claim
    spec = like["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": spec["capacity"],
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": claim_name,
            },
            "local": {"path": str(folder)},
            "nodeAffinity": spec["nodeAffinity"],
        },
    }


def claim(namespace: str, name: str, volume_name: str) -> Object:
    """The claim that such a volume is for."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "volumeName": volume_name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


@contextmanager
def given(kube: Kube, name: str, *, versions: int = 2, second_on_another_base: bool = False) -> Iterator[Given]:
    """A claim `<name>-given` with certified versions on it; volume and folder go afterwards."""
    locals_ = [item for item in kube.list("pv") if "local" in item["spec"]]
    assert locals_, "the cluster has no PersistentVolume of type local to make another one like it"
    like = locals_[0]
    claim_name, volume_name = f"{name}-given", f"{kube.namespace}-{name}"
    folder = Path(like["spec"]["local"]["path"]).parent / volume_name
    assert folder.parent.is_dir(), f"{folder.parent} is not on this machine: these tests need the embedded cluster"
    folder.mkdir()
    try:
        folder.chmod(_FOLDER_MODE)
        made = fill(folder, versions=versions, second_on_another_base=second_on_another_base)
        kube.apply(
            volume(like, volume_name, folder, (kube.namespace, claim_name)),
            claim(kube.namespace, claim_name, volume_name),
        )
        yield Given(claim_name, folder, made)
    finally:
        kube.kubectl("delete", "pv", volume_name, "--wait=false", "--ignore-not-found", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def adopting_model(kube: Kube, name: str, found: Given, **spec: Any) -> Object:
    """A model that adopts the given versions and answers with the older one, by an engine without weights.

    The engine goes by the model's name: one that is called after a fault serves the newer version with that fault.
    """
    engine = {"image": built("bad-engine"), **spec.pop("engine", {})}
    serving = {"serviceType": "NodePort", "rateLimits": {"enabled": False}, "engine": engine, **spec.pop("serving", {})}
    return model_manifest(
        name,
        kube.namespace,
        **{
            "baseModel": {"name": BASE_NAME, "source": {"path": BASE_PATH}},
            "storage": {"claimName": found.claim},
            "certification": {"trustedKeys": trusted_keys()},
            "serving": serving,
            "version": found.first,
            **spec,
        },
    )


def trusted_keys() -> list[str]:
    """The public halves of the keys that the given versions are signed with, PEM."""
    return [path.read_text() for path in sorted(shared_keys().trusted.iterdir())]
