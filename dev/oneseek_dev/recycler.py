"""Offers used volumes again: wipes the folder of a Released volume and lets the next claim have it.

It runs beside the cluster as a process of its own (`python3 -m oneseek_dev recycle`), with a watch on the volumes.
"""

import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from oneseek_dev.console import say
from oneseek_dev.layout import Cluster
from oneseek_dev.readiness import call, connection

_PATH = "/api/v1/persistentvolumes?labelSelector=oneseek.dev%2Frecycled%3Dtrue"
_WATCH_SECONDS = 240
_RETRY_SECONDS = 1.0


def is_released(volume: dict[str, Any]) -> bool:
    """Whether a claim had it and is gone; no pod can be using it any more."""
    return volume.get("status", {}).get("phase") == "Released" and "claimRef" in volume["spec"]


def wipe(folder: Path, within: Path) -> None:
    """Empty the folder, which stays; never leaves it through a symbolic link. Raises ValueError outside `within`."""
    if folder.parent.resolve() != within.resolve():
        raise ValueError(f"{folder} is not a volume of this cluster")
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for name in os.listdir(handle):  # noqa: PTH208 - by handle, which no link can lead astray
            if stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=handle)
            else:
                os.unlink(name, dir_fd=handle)
        os.fchown(handle, 0, 0)
        os.fchmod(handle, 0o770)
    finally:
        os.close(handle)


def offer_again(cluster: Cluster, volume: dict[str, Any]) -> None:
    """Wipe a Released volume and make it Available; if it changed meanwhile, the next event tells."""
    metadata = volume["metadata"]
    wipe(Path(volume["spec"]["local"]["path"]), cluster.volumes)
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"claimRef": None}}
    path = f"/api/v1/persistentvolumes/{metadata['name']}"
    status, answer = call(cluster, "PATCH", path, patch, "application/merge-patch+json")
    if status == 200:
        say(f"{metadata['name']} was wiped and is offered again")
    elif status != 409:
        say(f"{metadata['name']} was wiped, but the API server answered {status}: {answer}")


def watch(cluster: Cluster, version: str) -> Iterator[dict[str, Any]]:
    """The volumes as they change, until the API server ends the watch."""
    link = connection(cluster, timeout=_WATCH_SECONDS + 30)
    try:
        link.request("GET", f"{_PATH}&watch=1&timeoutSeconds={_WATCH_SECONDS}&resourceVersion={version}")
        answer = link.getresponse()
        while line := answer.readline():
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            yield event["object"]
    finally:
        link.close()


def loop(cluster: Cluster) -> None:
    """Offer volumes again for as long as the process lives."""
    while True:
        try:
            status, listed = call(cluster, "GET", _PATH)
            if status == 200:
                for volume in filter(is_released, listed["items"]):
                    offer_again(cluster, volume)
                for volume in filter(is_released, watch(cluster, listed["metadata"]["resourceVersion"])):
                    offer_again(cluster, volume)
        except (OSError, HTTPException, ValueError) as error:
            say(f"{error}; once more in a second")
        time.sleep(_RETRY_SECONDS)
