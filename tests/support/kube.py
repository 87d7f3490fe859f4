"""A real cluster as a person with kubectl has it: apply, get, wait on a condition with a deadline, look at logs.

A missing cluster is an error, never a skip: `make cluster-test` starts one.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAME = os.environ.get("ONESEEK_TEST_CLUSTER", "test")
# Beside other workers a story has only its share of the processors; what has to be fast is tried one after the other.
PATIENCE = 2.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
Object = dict[str, Any]


class KubectlError(AssertionError):
    """kubectl said no; the message is what it said."""


class Kube:
    """kubectl against the test cluster, in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.kubeconfig = ROOT / ".local" / NAME / "kubeconfig"
        self.kubectl_path = ROOT / ".local" / "bin" / "kubectl"
        if not self.kubeconfig.exists():
            raise AssertionError("there is no test cluster: run `make cluster-test`, which starts one")

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 60) -> str:
        """Run kubectl; its standard output."""
        command = [str(self.kubectl_path), "--kubeconfig", str(self.kubeconfig), "-n", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, *manifests: Object) -> None:
        """`kubectl apply` of manifests as given."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def create(self, manifest: Object) -> None:
        """`kubectl create`."""
        self.kubectl("create", "-f", "-", stdin=json.dumps(manifest))

    def get(self, kind: str, name: str) -> Object | None:
        """One object, or None."""
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """Objects of a kind."""
        more = ["-l", selector] if selector else []
        items: list[Object] = json.loads(self.kubectl("get", kind, "-o", "json", *more))["items"]
        return items

    def delete(self, kind: str, name: str, *, wait: bool = True, timeout: float = 90) -> None:
        """Delete an object."""
        self.kubectl("delete", kind, name, f"--wait={str(wait).lower()}", "--ignore-not-found", timeout=timeout)

    def wait(
        self, kind: str, name: str, holds: Callable[[Object], bool], *, within: float, what: str = "condition"
    ) -> Object:
        """The object once `holds` is true of it.

        Raises:
            AssertionError: it did not become true within `within` seconds; the message shows the object's conditions.
        """
        seen: Object | None = None

        def check() -> bool:
            nonlocal seen
            seen = self.get(kind, name)
            return seen is not None and holds(seen)

        try:
            wait_until(check, within=within, what=f"{kind}/{name}: {what}")
        except AssertionError as error:
            status = (seen or {}).get("status", {})
            raise AssertionError(f"{error}; status: {json.dumps(status, indent=1)[:3000]}\n{self.story()}") from None
        assert seen is not None
        return seen

    def wait_reason(self, kind: str, name: str, reason: str, *, within: float) -> Object:
        """The object's Ready condition once its reason is `reason`."""
        found = self.wait(
            kind,
            name,
            lambda item: condition(item).get("reason") == reason,
            within=within,
            what=f"Ready reason {reason}",
        )
        return condition(found)

    def events(self, about: str) -> list[tuple[str, str]]:
        """(reason, message) of the Events about an object of ours."""
        return [
            (item["reason"], item["message"]) for item in self.list("events") if item["involvedObject"]["name"] == about
        ]

    def story(self) -> str:
        """What a person would look at when something is wrong."""
        pods = self.kubectl("get", "pods", "-o", "wide", check=False)
        return f"{pods}\n" + "\n".join(
            f"--- {name}\n" + self.kubectl("logs", name, "--all-containers", "--tail=15", check=False)
            for name in self.kubectl("get", "pods", "-o", "name", check=False).split()[-6:]
        )


def condition(item: Object, kind: str = "Ready") -> Object:
    """A condition of an object, {} where it has none."""
    found = [entry for entry in item.get("status", {}).get("conditions", []) if entry["type"] == kind]
    return found[0] if found else {}


def wait_until(check: Callable[[], bool], *, within: float, what: str, every: float = 0.3) -> None:
    """Until `check` is true.

    Raises:
        AssertionError: not within `within` seconds, times PATIENCE.
    """
    within *= PATIENCE
    deadline = time.monotonic() + within
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s: {what}")
        time.sleep(every)  # the one place that polls; every wait has a deadline


@contextmanager
def scratch_namespace(prefix: str) -> Iterator[Kube]:
    """A namespace under the `restricted` standard that is gone afterwards."""
    name = f"{prefix}-{uuid.uuid4().hex[:6]}"
    kube = Kube(name)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    try:
        yield kube
    finally:
        for kind in ("trainingruns", "oneseekmodels"):
            kube.kubectl("delete", kind, "--all", "--wait=false", check=False)
        kube.kubectl("delete", "namespace", name, "--wait=false", check=False)
