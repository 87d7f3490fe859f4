"""PersistentVolumes of type `local`, made at start: there is no provisioner, and these honour fsGroup.

A folder of its own for each; and one tiny volume on a memory file system with a real limit, which is how tests see
what happens when a claim is too small.
"""

from typing import Any

from oneseek_dev.layout import STORAGE_CLASS, TINY_STORAGE_CLASS, VOLUME_COUNT, Cluster
from oneseek_dev.shell import run

_TINY_BYTES = "24m"
_SIZE = "20Gi"  # what a claim may ask for; nothing is reserved
_MODE = 0o770


def names() -> list[str]:
    """The ordinary volumes' names."""
    return [f"local-{number:02d}" for number in range(1, VOLUME_COUNT + 1)]


def create_folders(cluster: Cluster) -> None:
    """Afterwards there is a folder behind each volume, and the tiny one is mounted."""
    for name in [*names(), "tiny"]:
        folder = cluster.volumes / name
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(_MODE)
    tiny = cluster.volumes / "tiny"
    if not tiny.is_mount():
        run(["mount", "-t", "tmpfs", "-o", f"size={_TINY_BYTES},mode=0770", "tmpfs", tiny])


def manifests(cluster: Cluster) -> list[dict[str, Any]]:
    """The storage classes and the volumes."""
    volumes = [_volume(cluster, f"{cluster.name}-{name}", name, STORAGE_CLASS) for name in names()]
    volumes.append(_volume(cluster, f"{cluster.name}-tiny", "tiny", TINY_STORAGE_CLASS))
    return [_storage_class(STORAGE_CLASS, default=True), _storage_class(TINY_STORAGE_CLASS, default=False), *volumes]


def _storage_class(name: str, *, default: bool) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true" if default else "false"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    }


def _volume(cluster: Cluster, name: str, folder: str, storage_class: str) -> dict[str, Any]:
    terms = {"key": "kubernetes.io/hostname", "operator": "In", "values": [cluster.node_name]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {"oneseek.dev/recycled": "true"}},
        "spec": {
            "capacity": {"storage": _SIZE},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class,
            "local": {"path": str(cluster.volumes / folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [terms]}]}},
        },
    }
