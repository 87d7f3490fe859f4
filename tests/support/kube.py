"""A real cluster as a person with kubectl has it: apply, get, wait on a condition with a deadline, look at logs.

A missing cluster is an error, never a skip: `make cluster-test` starts one.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes import client, config

ROOT = Path(__file__).resolve().parents[2]
NAME = os.environ.get("ONESEEK_TEST_CLUSTER", "test")
KUBECONFIG = ROOT / ".local" / NAME / "kubeconfig"
# Beside other workers a story has only its share of the processors; what has to be fast is tried one after the other.
PATIENCE = 2.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
Object = dict[str, Any]


class KubectlError(AssertionError):
    """kubectl said no; the message is what it said."""


# Words for kinds, and where the API server keeps those.
_CORE, _APPS, _BATCH, _OURS = "api/v1", "apis/apps/v1", "apis/batch/v1", "apis/oneseek.io/v1alpha1"
_RBAC = "apis/rbac.authorization.k8s.io/v1"
KINDS = {
    "configmap": (_CORE, "configmaps"),
    "event": (_CORE, "events"),
    "pod": (_CORE, "pods"),
    "pvc": (_CORE, "persistentvolumeclaims"),
    "secret": (_CORE, "secrets"),
    "service": (_CORE, "services"),
    "serviceaccount": (_CORE, "serviceaccounts"),
    "role": (_RBAC, "roles"),
    "rolebinding": (_RBAC, "rolebindings"),
    "networkpolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "deployment": (_APPS, "deployments"),
    "statefulset": (_APPS, "statefulsets"),
    "job": (_BATCH, "jobs"),
    "oneseekmodel": (_OURS, "oneseekmodels"),
    "trainingrun": (_OURS, "trainingruns"),
}
CLUSTER_KINDS = {"pv": (_CORE, "persistentvolumes")}


@functools.cache
def _api() -> client.ApiClient:
    """One keep-alive client for a process; a kubectl a look would cost the machine more than what is looked at."""
    return config.new_client_from_config(str(KUBECONFIG))


class Kube:
    """The test cluster in one namespace: read over its API, everything else by kubectl."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.kubeconfig = KUBECONFIG
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
        return self._read(kind, name)

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """Objects of a kind."""
        found = self._read(kind.removesuffix("s"), labelSelector=selector)
        assert found is not None, f"the API server knows no {kind}"
        about = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return [about | item for item in found["items"]]

    def _read(self, kind: str, name: str = "", **query: str) -> Object | None:
        group, plural = KINDS.get(kind) or CLUSTER_KINDS[kind]
        within = "" if kind in CLUSTER_KINDS else f"/namespaces/{self.namespace}"
        path = f"/{group}{within}/{plural}" + (f"/{name}" if name else "")
        api = _api()
        asked = api.param_serialize("GET", path, query_params=list(query.items()), auth_settings=["BearerToken"])
        answer = api.call_api(*asked, _request_timeout=60)
        body = answer.read()
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise KubectlError(f"GET {path}: {answer.status} {body!r}")
        found: Object = json.loads(body)
        return found

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

    def wait_event(self, about: str, reason: str, *words: str, within: float = 15) -> None:
        """Until there is such an Event: what a status says is written before the Event that tells of it."""
        try:
            wait_until(
                lambda: any(why == reason and all(word in text for word in words) for why, text in self.events(about)),
                within=within,
                what=f"an Event {reason} about {about}",
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.events(about)}") from None

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
