"""Whether an object under a name that we need is ours. Pure.

Ours is an object whose controller is the owner that our manifest names, by uid. Claims and keys outlive their owner and name
none; they are ours by their labels, so that a model that is created again finds its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oneseek_core import names
from oneseek_operator.errors import NameTakenError

__all__ = ["claims_of", "is_ours", "owner_of", "refuse_foreign", "refuse_foreign_claim", "unknown_secret"]

Object = Mapping[str, Any]

_TAGS = (names.LABEL_MANAGED_BY, names.LABEL_MODEL)


def owner_of(item: Object) -> str:
    """The uid of the object's controller; empty if it has none."""
    return str(_controller(item).get("uid", ""))


def is_ours(item: Object, manifest: Object) -> bool:
    """Whether the object is the one that the manifest describes, and not another one of its name."""
    owner, tags = owner_of(manifest), _tags(manifest)
    labelled = len(tags) == len(_TAGS) and tags.items() <= _labels(item).items()
    return owner_of(item) == owner and (bool(owner) or labelled)


def refuse_foreign(item: Object, manifest: Object) -> None:
    """Return if the object is ours.

    Raises:
        NameTakenError: it is somebody else's, or belongs to a deleted owner of the same name.
    """
    if is_ours(item, manifest):
        return
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    owner, there = _controller(manifest), _controller(item)
    ours = owner.get("kind", "OneSeekModel")
    if owner and (there.get("kind"), there.get("name")) == (owner["kind"], owner["name"]):
        # Two owners of one name cannot exist: this one's was deleted, and the garbage collector will delete it.
        raise NameTakenError(
            f"waiting for the {kind} {name!r} of a deleted {ours} of this name to go", is_being_removed=True
        )
    raise _taken(kind, name, ours, item, {} if owner else _tags(manifest))


def refuse_foreign_claim(claim: Object, tags: Mapping[str, str], manifest: Object) -> None:
    """The same for a claim that a StatefulSet would use: its controller labels those that it creates.

    Raises:
        NameTakenError: it is somebody else's.
    """
    if owner_of(claim) or not tags.items() <= _labels(claim).items():
        kind = _controller(manifest).get("kind", "OneSeekModel")
        raise _taken("PersistentVolumeClaim", claim["metadata"]["name"], kind, claim, tags)


def unknown_secret(name: str, how: str) -> NameTakenError:
    """The error for a Secret that existed before ours: Secrets are not read. `how`: how to make one known that is ours."""
    return NameTakenError(
        f"the Secret {name!r} is there already, and the operator, which reads no Secrets, does not know it as this"
        f" OneSeekModel's; it is left as it is: rename the OneSeekModel, or remove the Secret; if it is this model's own,"
        f" {how}"
    )


def _taken(kind: str, name: str, ours: str, item: Object, tags: Mapping[str, str]) -> NameTakenError:
    """`tags`: the labels that would make an object without owner ours."""
    own = ""
    if tags and not _controller(item):
        text = " ".join(f"{key}={value}" for key, value in tags.items())
        own = f"; if it is this model's own, say so: kubectl label {kind.lower()} {name} --overwrite {text}"
    return NameTakenError(
        f"the {kind} {name!r} is there already and is not this {ours}'s ({_whose(item)}); it is left as it is: rename the"
        f" {ours}, or remove the {kind}{own}"
    )


def claims_of(manifest: Object) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The claims that a StatefulSet uses by name, and the labels of those that it created."""
    if manifest["kind"] != "StatefulSet":
        return
    spec, name = manifest["spec"], manifest["metadata"]["name"]
    for template in spec.get("volumeClaimTemplates", []):
        for number in range(max(1, spec["replicas"])):
            yield f"{template['metadata']['name']}-{name}-{number}", spec["selector"]["matchLabels"]


def _controller(item: Object) -> Mapping[str, Any]:
    refs = item["metadata"].get("ownerReferences") or []
    return next((ref for ref in refs if ref.get("controller")), {})


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def _tags(manifest: Object) -> dict[str, str]:
    return {key: _labels(manifest)[key] for key in _TAGS if key in _labels(manifest)}


def _whose(item: Object) -> str:
    """Whose the object is, as far as it tells."""
    if there := _controller(item):
        return f"it belongs to the {there.get('kind')} {there.get('name')!r}"
    tags = [f"{key}={value}" for key in _TAGS if (value := _labels(item).get(key))]
    if tags:
        return f"it is labelled {' and '.join(tags)}"
    fields = item["metadata"].get("managedFields") or []
    made = next((one.get("manager", "") for one in fields if not one.get("subresource")), "")
    return f"it was made with {made}" if made else "nothing in it says whose it is"
