"""The parts of Kubernetes objects that decisions look at, parsed once at the border. Pure."""

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
    """A colour's ConfigMap: which version its pods are to answer with."""

    version: WantedVersion
    uid: str


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A colour. Where it has a shape, `wanted` is what its ConfigMap says, and `dna` is that version's."""

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
    labelled: str | None = None  # the DNA in its own annotation, for people who look
    uid: str = ""
    failed_create: FailedCreate | None = None  # its ReplicaSet cannot make (all) its pods

    @classmethod
    def parse(cls, deployment: Object, wanted: Mapping[str, WantedView] | None = None) -> DeploymentView:
        """Read a Deployment as the API server returns it; `wanted` by colour."""
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
    """The condition ReplicaFailure, where it is about pods that cannot be made."""
    for item in deployment.get("status", {}).get("conditions", []):
        if (item["type"], item["status"], item.get("reason")) == ("ReplicaFailure", "True", names.FAILED_CREATE):
            since = item.get("lastTransitionTime", "")
            return FailedCreate(item.get("message", ""), since, item.get("lastUpdateTime", since))
    return None


def wanted_by_colour(config_maps: Sequence[Object], owner: str) -> dict[str, WantedView]:
    """What the ConfigMaps of a model's colours say; one that a hand has spoilt says nothing and is written anew."""
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
    """The model's Service: which colour it selects, since when."""

    owner: str
    colour: str
    flipped_at: str
    type: str
    ip: str = ""

    @classmethod
    def parse(cls, service: Object) -> ServiceView:
        """Read a Service as the API server returns it."""
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
    """A NetworkPolicy that names the model."""

    name: str
    uid: str
    owner: str
    spec: Object

    @classmethod
    def parse(cls, policy: Object) -> PolicyView:
        """Read a NetworkPolicy as the API server returns it."""
        meta = policy["metadata"]
        return cls(name=meta["name"], uid=meta["uid"], owner=owner_of(policy), spec=policy["spec"])


@dataclass(frozen=True, slots=True)
class ClaimView:
    """The models claim; `is_ours`: made for a model of this name."""

    name: str
    phase: str
    is_ours: bool

    @classmethod
    def parse(cls, claim: Object, *, is_ours: bool) -> ClaimView:
        """Read a PersistentVolumeClaim as the API server returns it."""
        meta = claim["metadata"]
        return cls(name=meta["name"], phase=claim.get("status", {}).get("phase", "Pending"), is_ours=is_ours)


@dataclass(frozen=True, slots=True)
class TrustedKeysView:
    """The ConfigMap with the public keys."""

    ready: bool
    made: str | None
    others: tuple[str, ...]
    knows_records: bool = False  # that the Secret of the records service is the model's own

    @classmethod
    def parse(cls, config_map: Object) -> TrustedKeysView:
        """Read a ConfigMap as the API server returns it."""
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
    """The ConfigMap that says whom a model's parts trust, and what was written of their Secrets."""

    bundle: str
    written: Written

    @classmethod
    def parse(cls, config_map: Object) -> AccessView | None:
        """Read a ConfigMap as the API server returns it; one whose note a hand has spoilt is none, and is written anew."""
        note = config_map["metadata"].get("annotations", {}).get(names.ANNOTATION_ACCESS, "")
        try:
            return cls(config_map.get("data", {}).get("ca.crt", ""), Written.from_wire(note))
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class IdentityView:
    """The sidecars' account: which of its objects say what they must, and the binding of those who review tokens."""

    templates: frozenset[tuple[str, str]] = frozenset()  # kind, hash of what was applied
    reviewers: Object | None = None
    policy: bool = True  # the API server holds writers to the admission policies

    @classmethod
    def parse(cls, found: Sequence[Object], reviewers: Object | None, *, policy: bool) -> IdentityView:
        """Read the objects as the API server returns them."""
        said = [(item["kind"], item["metadata"].get("annotations", {})) for item in found]
        hashes = frozenset((kind, notes.get(names.ANNOTATION_TEMPLATE, "")) for kind, notes in said)
        return cls(hashes, reviewers, policy)
