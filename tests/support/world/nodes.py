"""Controllers and nodes of a simulated cluster. No container runs; what a Job would report follows from its request."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model_status import Quarantined
from oneseek_core.dna import Dna
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.jobs.certify import CertifyReport, CertifyRequest
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.evaluate import EvaluateReport
from oneseek_core.jobs.imports import ImportReport, ImportRequest
from oneseek_core.jobs.messages import failure_message, success_message
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_core.jobs.train import LeftOut, TrainReport
from oneseek_core.jobs.tree import TreeRequest
from oneseek_core.serving.swap import WantedVersion
from support.world.api_server import ApiServer, Object, key_of

DIGEST = "sha256:" + "d" * 64


class Nodes(ApiServer):
    """Jobs that end with the report that the real program would write; Deployments that get their pods."""

    def __init__(self) -> None:
        super().__init__()
        self.job_failures: dict[str, Object] = {}
        self.hold_jobs: set[str] = set()
        self.scores: dict[str, float] = {}
        self.left_out: dict[str, dict[str, int]] = {}  # step -> reason -> rows that its Job reports
        self.cut = 0
        self.micro_steps: int | None = None  # that train reports
        self.importable: dict[str, CertifiedVersion] = {}
        self.certified_before: dict[str, CertifiedVersion] = {}
        self.on_claim: list[CertifiedVersion] = []
        self.current_on_claim: str | None = None
        self.quarantine_on_claim: list[Quarantined] = []
        self.pod_statuses: dict[str | None, Object] = {}  # DNA -> what its pods' status says instead
        self.rooms: int | None = None  # engines that the nodes have room for
        self.waited = 61  # seconds that a pod without a place has waited
        self.pods_refused = ""  # what the API server says to every controller that wants to make a pod

    def tick(self) -> None:
        """Jobs that may end do; Deployments get their pods; claims are bound."""
        for item in list(self.objects.values()):
            owners = {owner.get("kind") for owner in item["metadata"].get("ownerReferences", [])}
            if item["kind"] in ("Job", "Deployment", "StatefulSet") and not owners & {"OneSeekModel", "TrainingRun"}:
                continue  # not the operator's: nobody looks what becomes of it
            if item["kind"] == "Job" and "status" not in item and item["metadata"]["name"] not in self.hold_jobs:
                self._refuse(item) if self.pods_refused else self._end_job(item)
            if item["kind"] == "Deployment":
                self._pods_of(item)
            if item["kind"] == "StatefulSet":
                there = item.get("status", {}).get("readyReplicas", 0)
                if self.pods_refused and there < item["spec"]["replicas"]:
                    self._refuse(item)
                else:
                    item["status"] = {"readyReplicas": item["spec"]["replicas"]}
            if item["kind"] == "PersistentVolumeClaim":
                item["status"] = {"phase": "Bound"}

    def _refuse(self, owner: Object) -> None:
        """The Event of a controller that cannot make a pod for `owner`; one that says the same again is counted."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        uid, message = owner["metadata"]["uid"], f"Error creating: {self.pods_refused}"
        for known in self.failed_creates:
            if (known["involvedObject"]["uid"], known["message"]) == (uid, message):
                known["lastTimestamp"] = now
                return
        event = {"kind": "Event", "metadata": {"namespace": owner["metadata"]["namespace"]}, "reason": "FailedCreate"}
        event |= {"involvedObject": {"uid": uid}, "message": message, "firstTimestamp": now, "lastTimestamp": now}
        self.failed_creates.append(event)

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
        self.stamp(pod)
        self.objects[key_of(pod)] = pod

    def _pods_of(self, deployment: Object) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        for key in [key for key in self.objects if key[0] == "Pod" and key[2].startswith(f"{meta['name']}-")]:
            if int(key[2].rsplit("-", 1)[1]) >= spec["replicas"]:
                self.objects.pop(key)
                self.forget(key[2])
        changed = self.pod_statuses.get(meta["annotations"][names.ANNOTATION_DNA] or None, {})
        failed = []
        for index in range(spec["replicas"]):
            name = f"{meta['name']}-{index}"
            if self.pods_refused and ("Pod", meta["namespace"], name) not in self.objects:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                old = next((item for item in deployment.get("status", {}).get("conditions", [])), {})
                failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
                failure |= {"message": self.pods_refused, "lastTransitionTime": old.get("lastTransitionTime", now)}
                failed = [failure]
                continue
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
            self.stamp(pod)
            self.objects[key_of(pod)] = pod
        self._schedule()
        ready = [pod for pod in self.serving_pods() if pod["metadata"]["name"].startswith(f"{meta['name']}-")]
        running = sum(pod["status"]["phase"] == "Running" for pod in ready)
        deployment["status"] = {"readyReplicas": running, "conditions": failed}

    def _born_with(self, deployment: Object) -> str | None:
        """The version that a pod which starts now comes up with."""
        if names.ANNOTATION_TEMPLATE not in deployment["metadata"]["annotations"]:
            return str(deployment["metadata"]["annotations"][names.ANNOTATION_DNA])
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        name = next(item["configMap"]["name"] for item in volumes if item["name"] == "wanted")
        config = self.objects[("ConfigMap", deployment["metadata"]["namespace"], name)]
        return WantedVersion.model_validate_json(config["data"][names.WANTED_FILE]).dna

    def serving_pods(self) -> list[Object]:
        pods = [item for (kind, _, _), item in self.objects.items() if kind == "Pod"]
        return [pod for pod in pods if names.LABEL_COLOUR in pod["metadata"]["labels"]]

    def _schedule(self) -> None:
        """Pods get a place in the order in which they were made; one that finds none has waited for a minute at once."""
        if self.rooms is None:
            return
        pods = sorted(self.serving_pods(), key=lambda pod: int(pod["metadata"]["resourceVersion"]))
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

    def _left_out(self, step: str) -> list[Object]:
        return [{"reason": reason, "rows": rows} for reason, rows in self.left_out.get(step, {}).items()]

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
                found = BaseImportReport(
                    digest=DIGEST,
                    size_bytes=10,
                    files=3,
                    versions=self.on_claim,
                    current=self.current_on_claim,
                    quarantine=self.quarantine_on_claim,
                )
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
                            "leftOut": self._left_out("prepare"),
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
                        samples=3 - sum(self.left_out.get("train", {}).values()),
                        left_out=[LeftOut.model_validate(item) for item in self._left_out("train")],
                        cut=self.cut,
                        micro_steps=self.micro_steps,
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
                        report_digest=DIGEST,
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
                order = TreeRequest.model_validate(request)
                self.current_on_claim, self.quarantine_on_claim = order.current, list(order.quarantine or ())
                return '{"report":{}}'
        raise AssertionError(main["args"])


def failed(reason: str, message: str, code: int = 11) -> Object:
    """How a job's container ends that failed on purpose."""
    return {"exitCode": code, "reason": "Error", "message": failure_message(reason, message)}
