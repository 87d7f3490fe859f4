"""The API server of a simulated cluster: conflicts, versions, garbage collection, and crashes of whoever writes."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json

from oneseek_operator.errors import ClusterError, ConflictError
from oneseek_operator.observe.ownership import claims_of, refuse_foreign, refuse_foreign_claim

Object = dict[str, Any]


class Crash(BaseException):
    """The operator's process ends here (no `except Exception` may catch it)."""


class ApiServer:
    """Objects with versions and conflicts; the n-th mutating call may crash."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.writes: Counter[str] = Counter()
        self.created_jobs: Counter[str] = Counter()
        self.events: list[tuple[str, str, str]] = []
        self.crash_at: int | None = None
        self.crash_after_effect = False
        self.refused: dict[tuple[str, str], ClusterError] = {}  # verb, kind -> what the API server says to it
        self.failed_creates: list[Object] = []  # Events of controllers that cannot make a pod
        self.tries: Counter[str] = Counter()
        self._mutations = 0
        self._versions = itertools.count(1)
        reviewers = {"kind": "ClusterRoleBinding", "metadata": {"name": "token-reviewers"}}
        self.stamp(reviewers)
        self.objects[key_of(reviewers)] = reviewers

    def apply_as_user(self, manifest: Object) -> Object:
        """What `kubectl apply` does to a custom resource."""
        key = key_of(manifest)
        old = self.objects.get(key)
        new = _copy(manifest)
        if old is None:
            self.stamp(new)
            new["metadata"]["generation"] = 1
            new["status"] = {"observedGeneration": -1}
        else:
            new["metadata"] = old["metadata"] | {"generation": old["metadata"]["generation"] + 1}
            new["status"] = old["status"]
            new["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = new
        return new

    def annotate_as_user(self, kind: str, name: str, **requests: str) -> None:
        """What `kubectl annotate` does, in namespace `team`: `rollback="previous"` is `oneseek.io/rollback=previous`."""
        item = self.objects[(kind, "team", name)]
        notes = {f"oneseek.io/{key.replace('_', '-')}": value for key, value in requests.items()}
        item["metadata"]["annotations"] = item["metadata"].get("annotations", {}) | notes
        item["metadata"]["resourceVersion"] = str(next(self._versions))

    def stamp(self, manifest: Object) -> None:
        serial = next(self._versions)
        manifest["metadata"].setdefault("uid", f"uid-{serial}")
        manifest["metadata"]["resourceVersion"] = str(serial)
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        manifest["metadata"].setdefault("creationTimestamp", moment)

    def _mutate(self, verb: str, kind: str) -> bool:
        """Count a mutating call; True: crash once its effect has happened. One that is refused changes nothing."""
        if refused := self.refused.get((verb, kind)) or self.refused.get(("*", kind)):
            self.tries[f"{verb} {kind}"] += 1
            raise refused
        self._mutations += 1
        self.writes[f"{verb} {kind}"] += 1
        if self.crash_at == self._mutations:
            if not self.crash_after_effect:
                raise Crash
            return True
        return False

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        return _read(self.objects.get((kind, namespace, name)))

    async def list(
        self, kind: str, namespace: str, labels: Mapping[str, str] | None = None, *, fields: str = ""
    ) -> list[Object]:
        if kind == "Event":
            assert fields == "reason=FailedCreate"
            return [_read(item) for item in self.failed_creates if item["metadata"]["namespace"] == namespace]
        found = []
        for (of_kind, of_namespace, _), item in sorted(self.objects.items()):
            has = item["metadata"].get("labels", {})
            if of_kind == kind and of_namespace == namespace and (labels or {}).items() <= has.items():
                found.append(_read(item))
        return found

    async def create(self, manifest: Object, *, dry_run: bool = False) -> bool:
        there = self.objects.get(key_of(manifest))
        if dry_run:
            if refused := self.refused.get(("create", manifest["kind"])):
                raise refused
            return there is None
        if there is not None and not self.refused.keys() & {("create", manifest["kind"]), ("*", manifest["kind"])}:
            if manifest["kind"] != "Secret":
                refuse_foreign(there, manifest)
            return False
        crash = self._mutate("create", manifest["kind"])
        made = there is None
        if made:
            new = _copy(manifest)
            self.stamp(new)
            self.objects[key_of(new)] = new
            if new["kind"] == "Job":
                self.created_jobs[new["metadata"]["name"]] += 1
            if new["kind"] == "TrainingRun":
                new["metadata"]["generation"] = 1
                new["status"] = {"observedGeneration": -1}
        if crash:
            raise Crash
        return made

    async def apply(self, manifest: Object) -> None:
        old = self.objects.get(key_of(manifest))
        for name, tags in claims_of(manifest) if old is None else ():
            if claim := self.objects.get(("PersistentVolumeClaim", manifest["metadata"]["namespace"], name)):
                refuse_foreign_claim(claim, tags, manifest)
        if old is not None:
            refuse_foreign(old, manifest)
        crash = self._mutate("apply", manifest["kind"])
        new = _copy(manifest)
        if old:
            notes = old["metadata"].get("annotations", {}) | new["metadata"].get("annotations", {})
            new["metadata"] = old["metadata"] | new["metadata"] | ({"annotations": notes} if notes else {})
            new["status"] = old.get("status", {})
        self.stamp(new)
        self.objects[key_of(new)] = new
        if crash:
            raise Crash

    async def replace(self, manifest: Object) -> None:
        crash = self._mutate("replace", manifest["kind"])
        live = self.objects.get(key_of(manifest))
        version = manifest["metadata"].get("resourceVersion")
        if live is None or version not in (None, live["metadata"]["resourceVersion"]):
            raise ConflictError("the object has been modified", status=409)
        new = _copy(manifest)
        self.stamp(new)
        self.objects[key_of(new)] = new
        if crash:
            raise Crash

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, grace: int | None = None) -> None:
        crash = self._mutate("delete", kind)
        item = self.objects.get((kind, namespace, name))
        if item and item["metadata"]["uid"] == uid:
            self.remove(item)
        if crash:
            raise Crash

    def remove(self, item: Object) -> None:
        """Delete an object and, as the garbage collector does, what it owns."""
        self.objects.pop(key_of(item), None)
        self.forget(item["metadata"]["name"])
        uid = item["metadata"]["uid"]
        for child in list(self.objects.values()):
            if any(owner["uid"] == uid for owner in child["metadata"].get("ownerReferences", [])):
                self.remove(child)

    async def replace_status(self, kind: str, current: Object, status: Object) -> None:
        crash = self._mutate("status", kind)
        key = key_of(current)
        live = self.objects.get(key)
        if live is None or live["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified", status=409)
        assert len(json.dumps(status)) < 64 * 1024
        live["status"] = json.loads(json.dumps(status))
        live["metadata"]["resourceVersion"] = str(next(self._versions))
        if crash:
            raise Crash

    async def annotate(self, current: Object, changes: Mapping[str, str | None]) -> None:
        crash = self._mutate("annotate", current["kind"])
        live = self.objects.get(key_of(current))
        if live is None or live["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified", status=409)
        notes = live["metadata"].get("annotations", {}) | changes
        live["metadata"]["annotations"] = {key: value for key, value in notes.items() if value is not None}
        live["metadata"]["resourceVersion"] = str(next(self._versions))
        if crash:
            raise Crash

    async def scale(self, namespace: str, deployment: str, replicas: int, *, uid: str) -> None:
        crash = self._mutate("scale", "Deployment")
        if item := self.objects.get(("Deployment", namespace, deployment)):
            if item["metadata"]["uid"] != uid:
                raise ConflictError("metadata.uid: field is immutable", status=409)
            item["spec"]["replicas"] = replicas
        if crash:
            raise Crash

    async def log_tail(self, namespace: str, pod: str, *, container: str, lines: int) -> str:
        return ""

    async def event(self, about: Object, *, warning: bool, reason: str, message: str) -> None:
        if refused := self.refused.get(("create", "Event")):
            raise refused
        self.events.append((about["metadata"]["name"], reason, message))

    def forget(self, pod: str) -> None:
        """Called when an object is gone: a pod of that name that comes later is another one."""


def _read(item: Any) -> Any:
    """The same of an object that was written before: most of what the stories do is reading."""
    return from_json(to_json(item))


def _copy(item: Any) -> Any:
    """Another object of the same JSON, as over the wire; what is no JSON cannot be written."""
    return json.loads(json.dumps(item))


def key_of(item: Object) -> tuple[str, str, str]:
    return (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
