"""A working simulator of what the operator sees: an API server with conflicts, a Job controller, nodes, sidecars.

It runs no containers; a Job ends with the report that the real program would write. `fail_after` makes the n-th
mutating call raise, before or after it took effect: a crash of the operator at that line.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic_core import from_json, to_json

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.dna import Dna
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.jobs.certify import CertifyReport, CertifyRequest
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.evaluate import EvaluateReport
from oneseek_core.jobs.imports import ImportReport, ImportRequest
from oneseek_core.jobs.messages import failure_message, success_message
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_core.jobs.train import TrainReport
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.ledger_entries import Transition
from oneseek_core.serving.sidecar import ProbeAnswer, SidecarState, WarmVersion
from oneseek_core.serving.swap import SwapRequest, SwapState, WantedVersion
from oneseek_operator.errors import ConflictError, RecordsError, SidecarError
from oneseek_operator.reconcile.ports import Appended

Object = dict[str, Any]
DIGEST = "sha256:" + "d" * 64


class Crash(BaseException):
    """The operator's process ends here (no `except Exception` may catch it)."""


class World:
    """Implements both of reconcile's ports."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.writes: Counter[str] = Counter()
        self.created_jobs: Counter[str] = Counter()
        self.events: list[tuple[str, str, str]] = []
        self.job_failures: dict[str, Object] = {}
        self.hold_jobs: set[str] = set()
        self.sidecar_overrides: dict[str, SidecarState | None] = {}
        self.open_connections: dict[str, int] = {}
        self.draining: set[str] = set()
        self.ledger: dict[str, Transition] = {}
        self.records_away = False
        self.refused_transitions: set[str] = set()
        self.spooled: dict[str, int] = {}
        self.abandoned: dict[str, int] = {}
        self.scores: dict[str, float] = {}
        self.importable: dict[str, CertifiedVersion] = {}
        self.certified_before: dict[str, CertifiedVersion] = {}
        self.on_claim: list[CertifiedVersion] = []
        self.counts: dict[str | None, tuple[int, int]] = {}  # DNA -> answers, server errors
        self.texts: dict[str | None, str] = {}  # DNA -> what it answers a probe
        self.pod_statuses: dict[str | None, Object] = {}  # DNA -> what its pods' status says instead
        self.unanswered: dict[str | None, str] = {}  # DNA -> why its pods answer no probe
        self.silent: set[str | None] = set()  # DNAs whose pods take a probe and never answer it
        self.probes: Counter[str] = Counter()
        self.tampered: set[str | None] = set()
        self.orders: list[tuple[str, SwapRequest]] = []
        self.swaps: dict[str, SwapRequest] = {}  # pod -> the newest order
        self.kept: dict[str, str] = {}  # pod -> the version that is loaded beside the one that answers
        self.previous_told: dict[str, WarmVersion | None] = {}  # pod -> where the version before is
        self.serves: dict[str, str | None] = {}  # pod -> DNA, where it took another version over
        self.failing_swaps: dict[str, str] = {}  # DNA -> reason
        self.rooms: int | None = None  # engines that the nodes have room for
        self.waited = 61  # seconds that a pod without a place has waited
        self.crash_at: int | None = None
        self.crash_after_effect = False
        self._mutations = 0
        self._versions = itertools.count(1)
        reviewers = {"kind": "ClusterRoleBinding", "metadata": {"name": "token-reviewers"}}
        self._stamp(reviewers)
        self.objects[_key(reviewers)] = reviewers

    # -- the API server -----------------------------------------------------------------------------------------

    def apply_as_user(self, manifest: Object) -> Object:
        """What `kubectl apply` does to a custom resource."""
        key = _key(manifest)
        old = self.objects.get(key)
        new = _copy(manifest)
        if old is None:
            self._stamp(new)
            new["metadata"]["generation"] = 1
            new["status"] = {"observedGeneration": -1}
        else:
            new["metadata"] = old["metadata"] | {"generation": old["metadata"]["generation"] + 1}
            new["status"] = old["status"]
            new["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = new
        return new

    def _stamp(self, manifest: Object) -> None:
        serial = next(self._versions)
        manifest["metadata"].setdefault("uid", f"uid-{serial}")
        manifest["metadata"]["resourceVersion"] = str(serial)
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        manifest["metadata"].setdefault("creationTimestamp", moment)

    def _mutate(self, verb: str, kind: str) -> bool:
        """Count a mutating call; True: crash once its effect has happened."""
        self._mutations += 1
        self.writes[f"{verb} {kind}"] += 1
        if self.crash_at == self._mutations:
            if not self.crash_after_effect:
                raise Crash
            return True
        return False

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        return _read(self.objects.get((kind, namespace, name)))

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        found = []
        for (of_kind, of_namespace, _), item in sorted(self.objects.items()):
            has = item["metadata"].get("labels", {})
            if of_kind == kind and of_namespace == namespace and (labels or {}).items() <= has.items():
                found.append(_read(item))
        return found

    async def create(self, manifest: Object) -> bool:
        crash = self._mutate("create", manifest["kind"])
        made = _key(manifest) not in self.objects
        if made:
            new = _copy(manifest)
            self._stamp(new)
            self.objects[_key(new)] = new
            if new["kind"] == "Job":
                self.created_jobs[new["metadata"]["name"]] += 1
            if new["kind"] == "TrainingRun":
                new["metadata"]["generation"] = 1
                new["status"] = {"observedGeneration": -1}
        if crash:
            raise Crash
        return made

    async def apply(self, manifest: Object) -> None:
        crash = self._mutate("apply", manifest["kind"])
        old = self.objects.get(_key(manifest))
        new = _copy(manifest)
        if old:
            new["metadata"] = old["metadata"] | {key: value for key, value in new["metadata"].items() if key != "uid"}
            new["status"] = old.get("status", {})
        self._stamp(new)
        self.objects[_key(new)] = new
        if crash:
            raise Crash

    async def replace(self, manifest: Object) -> None:
        crash = self._mutate("replace", manifest["kind"])
        live = self.objects.get(_key(manifest))
        if live is None or live["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified", status=409)
        new = _copy(manifest)
        self._stamp(new)
        self.objects[_key(new)] = new
        if crash:
            raise Crash

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> None:
        crash = self._mutate("delete", kind)
        item = self.objects.get((kind, namespace, name))
        if item and (not uid or item["metadata"]["uid"] == uid):
            self.remove(item)
        if crash:
            raise Crash

    def remove(self, item: Object) -> None:
        """Delete an object and, as the garbage collector does, what it owns."""
        self.objects.pop(_key(item), None)
        self._forget(item["metadata"]["name"])
        uid = item["metadata"]["uid"]
        for child in list(self.objects.values()):
            if any(owner["uid"] == uid for owner in child["metadata"].get("ownerReferences", [])):
                self.remove(child)

    async def replace_status(self, kind: str, current: Object, status: Object) -> None:
        crash = self._mutate("status", kind)
        key = _key(current)
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
        live = self.objects.get(_key(current))
        if live is None or live["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified", status=409)
        notes = live["metadata"].get("annotations", {}) | changes
        live["metadata"]["annotations"] = {key: value for key, value in notes.items() if value is not None}
        live["metadata"]["resourceVersion"] = str(next(self._versions))
        if crash:
            raise Crash

    async def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        crash = self._mutate("scale", "Deployment")
        if item := self.objects.get(("Deployment", namespace, deployment)):
            item["spec"]["replicas"] = replicas
        if crash:
            raise Crash

    def annotate_as_user(self, kind: str, name: str, **requests: str) -> None:
        """What `kubectl annotate` does, in namespace `team`: `rollback="previous"` is `oneseek.io/rollback=previous`."""
        item = self.objects[(kind, "team", name)]
        notes = {f"oneseek.io/{key.replace('_', '-')}": value for key, value in requests.items()}
        item["metadata"]["annotations"] = item["metadata"].get("annotations", {}) | notes
        item["metadata"]["resourceVersion"] = str(next(self._versions))

    async def log_tail(self, namespace: str, pod: str, *, container: str, lines: int) -> str:
        return ""

    async def event(self, about: Object, *, warning: bool, reason: str, message: str) -> None:
        self.events.append((about["metadata"]["name"], reason, message))

    # -- controllers and nodes ------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Jobs that may end do; Deployments get their pods; claims are bound."""
        for item in list(self.objects.values()):
            if item["kind"] == "Job" and "status" not in item and item["metadata"]["name"] not in self.hold_jobs:
                self._end_job(item)
            if item["kind"] == "Deployment":
                self._pods_of(item)
            if item["kind"] == "StatefulSet":
                item["status"] = {"readyReplicas": 1}
            if item["kind"] == "PersistentVolumeClaim":
                item["status"] = {"phase": "Bound"}

    def _end_job(self, job: Object) -> None:
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        template = job["spec"]["template"]
        failure = self.job_failures.get(name)
        state = failure or {"exitCode": 0, "reason": "Completed", "message": self._report(job)}
        kind = "Failed" if failure else "Complete"
        job["status"] = {"conditions": [{"type": kind, "status": "True", "reason": "x", "message": "y"}]}
        if not failure:
            job["status"]["completionTime"] = (
                "2026-01-01T00:00:00Z"  # one moment, so that equal stories give equal DNAs
            )
        pod = {
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-pod",
                "namespace": namespace,
                "labels": template["metadata"]["labels"] | {"batch.kubernetes.io/job-name": name},
                "ownerReferences": [{"uid": job["metadata"]["uid"], "controller": True}],
            },
            "spec": template["spec"],
            "status": {
                "phase": "Failed" if failure else "Succeeded",
                "containerStatuses": [{"name": "main", "restartCount": 0, "state": {"terminated": state}}],
            },
        }
        self._stamp(pod)
        self.objects[_key(pod)] = pod

    def _scores(self, name: str) -> Scores:
        facts = self.scores.get(name, 0.9)
        return Scores(questions=24, facts_contained=facts, exact=facts, loss=1.0)

    def _imported(self, asked: ImportRequest) -> ImportReport:
        """The version that the entry of spec.imports was said to hold."""
        version = self.importable[asked.source.source]
        return ImportReport(version=version, signed_by="f" * 64, already=version.dna in asked.known)

    def _report(self, job: Object) -> str:
        main = job["spec"]["template"]["spec"]["containers"][0]
        request = json.loads(next(item["value"] for item in main["env"] if item["name"] == names.REQUEST_ENV))
        match main["args"][0]:
            case "basemodel":
                found = BaseImportReport(digest=DIGEST, size_bytes=10, files=3, versions=self.on_claim)
                return success_message(found)
            case "prepare":
                if before := self.certified_before.get(request["run"]["name"]):
                    return success_message(PrepareReport(already_certified=before))
                dataset = {"name": "oneseek_identity_v1", "digest": DIGEST, "rows": 3}
                heldout = {"heldout": dataset} if request.get("heldout") else {}
                return success_message(
                    PrepareReport.model_validate(
                        {
                            "datasets": [dataset],
                            "dataDigest": DIGEST,
                            "samples": 3,
                            "language": "ensv",
                            "tags": ["Conversational"] if request["type"] == "Micro" else ["Identity"],
                            "microSteps": 6 if request["type"] == "Micro" else 0,
                            **heldout,
                        }
                    )
                )
            case "train":
                moment = "2026-01-01T00:00:00.000Z"
                return success_message(
                    TrainReport(
                        steps=6,
                        epochs=2,
                        samples=3,
                        final_loss=0.5,
                        epoch_losses=[1.0, 0.5],
                        label_tokens=100,
                        tokens_per_second=50.0,
                        duration_seconds=2.0,
                        started_at=moment,
                        ended_at=moment,
                        precision="fp32",
                        device="cpu",
                        weights_digest=DIGEST,
                    )
                )
            case "evaluate":
                return success_message(EvaluateReport(scores=self._scores(request["run"]["name"]), digest=DIGEST))
            case "certify":
                asked = CertifyRequest.model_validate(request)
                dna = Dna.derive(
                    family=asked.family,
                    version=(asked.major, asked.micro),
                    language=asked.language,
                    tags=tuple(asked.tags),
                    weights_sha256="d" * 64,
                    created_at=asked.created_at,
                )
                version = CertifiedVersion(dna=str(dna), digest=DIGEST, created_at=asked.created_at, run=asked.run.name)
                return success_message(CertifyReport(version=version))
            case "import":
                return success_message(self._imported(ImportRequest.model_validate(request)))
            case "tree":
                return '{"report":{}}'
        raise AssertionError(main["args"])

    def _pods_of(self, deployment: Object) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        for key in [key for key in self.objects if key[0] == "Pod" and key[2].startswith(f"{meta['name']}-")]:
            if int(key[2].rsplit("-", 1)[1]) >= spec["replicas"]:
                self.objects.pop(key)
                self._forget(key[2])
        changed = self.pod_statuses.get(meta["annotations"][names.ANNOTATION_DNA] or None, {})
        for index in range(spec["replicas"]):
            name = f"{meta['name']}-{index}"
            if known := self.objects.get(("Pod", meta["namespace"], name)):
                known["status"] |= changed
                continue
            pod = {
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": meta["namespace"],
                    "labels": dict(spec["template"]["metadata"]["labels"]),
                    "annotations": {names.ANNOTATION_DNA: self._born_with(deployment) or ""},
                    "ownerReferences": [{"uid": meta["uid"], "controller": True}],
                },
                "spec": spec["template"]["spec"],
                "status": {
                    "phase": "Running",
                    "podIP": name,
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [],
                }
                | changed,
            }
            self._stamp(pod)
            self.objects[_key(pod)] = pod
        self._schedule()
        ready = [pod for pod in self._serving_pods() if pod["metadata"]["name"].startswith(f"{meta['name']}-")]
        deployment["status"] = {"readyReplicas": sum(pod["status"]["phase"] == "Running" for pod in ready)}

    def _forget(self, pod: str) -> None:
        """A pod of that name that comes later is another one."""
        self.serves.pop(pod, None)
        self.swaps.pop(pod, None)
        self.kept.pop(pod, None)
        self.previous_told.pop(pod, None)

    def _born_with(self, deployment: Object) -> str | None:
        """The version that a pod which starts now comes up with."""
        if names.ANNOTATION_TEMPLATE not in deployment["metadata"]["annotations"]:
            return str(deployment["metadata"]["annotations"][names.ANNOTATION_DNA])
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        name = next(item["configMap"]["name"] for item in volumes if item["name"] == "wanted")
        config = self.objects[("ConfigMap", deployment["metadata"]["namespace"], name)]
        return WantedVersion.model_validate_json(config["data"][names.WANTED_FILE]).dna

    def _serving_pods(self) -> list[Object]:
        pods = [item for (kind, _, _), item in self.objects.items() if kind == "Pod"]
        return [pod for pod in pods if names.LABEL_COLOUR in pod["metadata"]["labels"]]

    def _schedule(self) -> None:
        """Pods get a place in the order in which they were made; one that finds none has waited for a minute at once."""
        if self.rooms is None:
            return
        pods = sorted(self._serving_pods(), key=lambda pod: int(pod["metadata"]["resourceVersion"]))
        placed = [pod for pod in pods if pod["status"]["phase"] == "Running" and "placed" in pod]
        for pod in pods:
            if pod in placed:
                continue
            if len(placed) < self.rooms:
                placed.append(pod)
                pod["placed"] = True
                pod["status"] |= {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            else:
                since = (datetime.now(UTC) - timedelta(seconds=self.waited)).strftime("%Y-%m-%dT%H:%M:%SZ")
                why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                why |= {"message": "0/1 nodes are available: 1 Insufficient cpu.", "lastTransitionTime": since}
                pod["status"] |= {"phase": "Pending", "conditions": [why]}

    # -- sidecars; a pod's address is its name ----------------------------------------------------------------------

    def _pod(self, ip: str) -> Object:
        for (kind, _, name), item in self.objects.items():
            if kind == "Pod" and name == ip:
                return item
        raise SidecarError(f"nobody at {ip}")

    def _dna(self, ip: str) -> str | None:
        """What a pod answers with."""
        if ip in self.serves:
            return self.serves[ip]
        return self._pod(ip)["metadata"]["annotations"][names.ANNOTATION_DNA] or None

    def _swap(self, ip: str) -> SwapState | None:
        """How far a pod's newest swap is; it takes no time here."""
        volumes = self._pod(ip)["spec"]["volumes"]
        if not any(item["name"] == "wanted" for item in volumes):
            return None
        order = self.swaps.get(ip)
        if order is None:
            return SwapState(dna=self._dna(ip), serial=1, phase="Done")
        if order.dna in self.failing_swaps:
            reason, refused = self.failing_swaps[order.dna], order.dna in self.tampered
            return SwapState(
                dna=order.dna, serial=order.serial, phase="Failed", reason=reason, message="no", refused=refused
            )
        phase: Literal["Ready", "Done"] = "Ready" if order.hold and order.dna != self._dna(ip) else "Done"
        return SwapState(dna=order.dna, serial=order.serial, phase=phase, kept=self.kept.get(ip))

    async def swap(self, ip: str, request: SwapRequest) -> None:
        self._pod(ip)
        self.orders.append((ip, request))
        old = self.swaps.get(ip)
        if old is not None and request.serial < old.serial:
            return
        self.swaps[ip] = request
        there = (self._dna(ip), self.kept.pop(ip, None))
        if not request.hold and request.keep is not None and request.keep in there:
            self.kept[ip] = request.keep
        if not request.hold and request.dna not in self.failing_swaps:
            self.serves[ip] = request.dna

    async def previous(self, ip: str, warm: WarmVersion | None) -> None:
        self._pod(ip)
        self.previous_told[ip] = warm

    async def state(self, ip: str) -> SidecarState:
        dna = self._dna(ip)
        if dna in self.sidecar_overrides:
            override = self.sidecar_overrides[dna]
            if override is None:
                raise SidecarError("connection refused")
            return override
        return SidecarState(
            dna=dna,
            base_name="tiny",
            ready=True,
            draining=ip in self.draining,
            open_connections=self.open_connections.get(ip, 0),
            spooled=self.spooled.get(ip, 0),
            abandoned=self.abandoned.pop(ip, 0),
            swap=self._swap(ip),
            previous=self.previous_told.get(ip),
            requests=self.counts.get(dna, (0, 0))[0],
            errors=self.counts.get(dna, (0, 0))[1],
        )

    async def probe(self, ip: str, question: str) -> ProbeAnswer:
        state = await self.state(ip)
        self.probes[ip] += 1
        if state.dna in self.silent:
            await asyncio.Event().wait()
        if why := self.unanswered.get(state.dna):
            raise SidecarError(why)
        text = self.texts.get(state.dna, "Jag är OneSeek-7B-Zero.")
        return ProbeAnswer(dna=state.dna, text=text, tokens=7, latency_ms=5)

    # -- the records service ------------------------------------------------------------------------------------------

    def token(self, model: OneSeekModel) -> str:
        return "token"

    async def append(self, model: OneSeekModel, entries: Sequence[Transition]) -> Appended:
        if self.records_away:
            raise RecordsError("connection refused")
        good = [entry for entry in entries if entry.type not in self.refused_transitions]
        for entry in good:
            self.ledger.setdefault(entry.idempotency_key, entry)
        refused = tuple(f"{entry.type} {entry.idempotency_key}: stands there" for entry in entries if entry not in good)
        return Appended(await self.head(model), tuple(entry.idempotency_key for entry in good), refused)

    async def head(self, model: OneSeekModel) -> LedgerHead:
        if self.records_away:
            raise RecordsError("connection refused")
        return LedgerHead(height=len(self.ledger) + 1, head="0" * 64)

    async def verdict(self, ip: str) -> VerifyReport:
        dna = self._dna(ip)
        ok = dna not in self.tampered
        reason = "Verified" if ok else names.FILE_CHANGED
        return VerifyReport(
            ok=ok, reason=reason, message="adapter_model.safetensors", checked_at="2026-01-01T00:00:00Z"
        )

    async def drain(self, ip: str, *, on: bool = True) -> None:
        self._pod(ip)
        (self.draining.add if on else self.draining.discard)(ip)


def failed(reason: str, message: str, code: int = 11) -> Object:
    """How a job's container ends that failed on purpose."""
    return {"exitCode": code, "reason": "Error", "message": failure_message(reason, message)}


def _read(item: Any) -> Any:
    """The same of an object that was written before: most of what the stories do is reading."""
    return from_json(to_json(item))


def _copy(item: Any) -> Any:
    """Another object of the same JSON, as over the wire; what is no JSON cannot be written."""
    return json.loads(json.dumps(item))


def _key(item: Object) -> tuple[str, str, str]:
    return (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
