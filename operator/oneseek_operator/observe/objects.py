"""Kubernetes objects, reduced to what decisions look at, parsed once. Pure. Pods and Jobs: `pods`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.serving.swap import WantedVersion
from oneseek_operator.observe.ownership import owner_of
from oneseek_operator.observe.refusals import FailedCreate
from oneseek_operator.resources.pod_access import Written

__all__ = [
    "AccessView",
    "ClaimView",
    "DeploymentView",
    "IdentityView",
    "PolicyView",
    "ServiceView",
    "TrustedKeysView",
    "WantedView",
    "wanted_by_colour",
]


Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WantedView:
    """A colour's ConfigMap: the version that its pods are to serve."""

    version: WantedVersion
    uid: str


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A colour's Deployment. With a `shape`, `wanted` is the version that its ConfigMap names, and `dna` that version's."""

    name: str
    owner: str
    colour: str
    dna: str | None
    replicas: int
    ready: int
    created: str
    terminating: bool
    shape: str = ""
    wanted: WantedVersion | None = None
    labelled: str | None = None  # the DNA in its own annotation, for people
    uid: str = ""
    failed_create: FailedCreate | None = None  # its ReplicaSet cannot create (all) its pods

    @classmethod
    def parse(cls, deployment: Object, wanted: Mapping[str, WantedView] | None = None) -> DeploymentView:
        """Parse a Deployment; `wanted` by colour."""
        meta = deployment["metadata"]
        notes, colour = meta.get("annotations", {}), meta.get("labels", {}).get(names.LABEL_COLOUR, "")
        shape, labelled = notes.get(names.ANNOTATION_TEMPLATE, ""), notes.get(names.ANNOTATION_DNA) or None
        found = (wanted or {}).get(colour) if shape else None
        version = found.version if found else None
        return cls(
            name=meta["name"],
            owner=owner_of(deployment),
            colour=colour,
            dna=version.dna if version else labelled,
            replicas=deployment["spec"].get("replicas", 1),
            ready=deployment.get("status", {}).get("readyReplicas", 0),
            created=meta.get("creationTimestamp", ""),
            terminating="deletionTimestamp" in meta,
            shape=shape,
            wanted=version,
            labelled=labelled,
            uid=meta["uid"],
            failed_create=_replica_failure(deployment),
        )


def _replica_failure(deployment: Object) -> FailedCreate | None:
    """The condition ReplicaFailure, if it is about pods that cannot be created."""
    for item in deployment.get("status", {}).get("conditions", []):
        if (item["type"], item["status"], item.get("reason")) == ("ReplicaFailure", "True", names.FAILED_CREATE):
            since = item.get("lastTransitionTime", "")
            return FailedCreate(item.get("message", ""), since, item.get("lastUpdateTime", since))
    return None


def wanted_by_colour(config_maps: Sequence[Object], owner: str) -> dict[str, WantedView]:
    """What the ConfigMaps of a model's colours say; one that cannot be parsed is left out, and written again."""
    found = {}
    for item in config_maps:
        colour = item["metadata"].get("labels", {}).get(names.LABEL_COLOUR)
        text = item.get("data", {}).get(names.WANTED_FILE)
        if colour and text and owner_of(item) == owner:
            with suppress(ValidationError):
                found[colour] = WantedView(WantedVersion.from_wire(text), item["metadata"]["uid"])
    return found


@dataclass(frozen=True, slots=True)
class ServiceView:
    """The model's Service: the colour that it selects, and since when."""

    owner: str
    colour: str
    flipped_at: str
    type: str
    ip: str = ""

    @classmethod
    def parse(cls, service: Object) -> ServiceView:
        """Parse a Service."""
        meta = service["metadata"]
        return cls(
            owner=owner_of(service),
            colour=service["spec"].get("selector", {}).get(names.LABEL_COLOUR, ""),
            flipped_at=meta.get("annotations", {}).get(names.ANNOTATION_FLIPPED_AT, ""),
            type=service["spec"].get("type", "ClusterIP"),
            ip=service["spec"].get("clusterIP", ""),
        )


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A NetworkPolicy labelled with the model."""

    name: str
    uid: str
    owner: str
    spec: Object

    @classmethod
    def parse(cls, policy: Object) -> PolicyView:
        """Parse a NetworkPolicy."""
        meta = policy["metadata"]
        return cls(name=meta["name"], uid=meta["uid"], owner=owner_of(policy), spec=policy["spec"])


@dataclass(frozen=True, slots=True)
class ClaimView:
    """The models claim; `is_ours`: created for a model of this name."""

    name: str
    phase: str
    is_ours: bool

    @classmethod
    def parse(cls, claim: Object, *, is_ours: bool) -> ClaimView:
        """Parse a PersistentVolumeClaim."""
        meta = claim["metadata"]
        return cls(name=meta["name"], phase=claim.get("status", {}).get("phase", "Pending"), is_ours=is_ours)


@dataclass(frozen=True, slots=True)
class TrustedKeysView:
    """The ConfigMap with the public keys."""

    ready: bool
    made: str | None
    others: tuple[str, ...]
    knows_records: bool = False  # the Secret of the records service is marked as the model's own

    @classmethod
    def parse(cls, config_map: Object) -> TrustedKeysView:
        """Parse a ConfigMap."""
        data = config_map.get("data", {})
        notes = config_map["metadata"].get("annotations", {})
        others = tuple(value for key, value in sorted(data.items()) if key != "model.pub")
        return cls(
            ready=notes.get(names.ANNOTATION_KEYS) == "ready",
            made=data.get("model.pub"),
            others=others,
            knows_records=notes.get(names.ANNOTATION_RECORDS) == "made",
        )


@dataclass(frozen=True, slots=True)
class AccessView:
    """The ConfigMap of what a model's pods trust, and of the Secrets that were written for them."""

    bundle: str
    written: Written

    @classmethod
    def parse(cls, config_map: Object) -> AccessView | None:
        """Parse a ConfigMap; None if its note cannot be parsed, so that it is written again."""
        note = config_map["metadata"].get("annotations", {}).get(names.ANNOTATION_ACCESS, "")
        try:
            return cls(config_map.get("data", {}).get("ca.crt", ""), Written.from_wire(note))
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class IdentityView:
    """The sidecars' account: hashes of its objects, and the binding of accounts that may review tokens."""

    templates: frozenset[tuple[str, str]] = frozenset()  # kind, hash of what was applied
    reviewers: Object | None = None
    policy: bool = True  # the admission policies are installed

    @classmethod
    def parse(cls, found: Sequence[Object], reviewers: Object | None, *, policy: bool) -> IdentityView:
        """Parse the objects."""
        annotated = [(item["kind"], item["metadata"].get("annotations", {})) for item in found]
        hashes = frozenset((kind, notes.get(names.ANNOTATION_TEMPLATE, "")) for kind, notes in annotated)
        return cls(hashes, reviewers, policy)
