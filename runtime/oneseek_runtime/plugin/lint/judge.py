"""One object of a manifest: what it is, whether the API server takes it, whether the operator can read it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.api.crd import definitions
from oneseek_core.api.v1alpha1.model import OneSeekModelSpec
from oneseek_core.api.v1alpha1.training_run import TrainingRunSpec
from oneseek_runtime.plugin.lint.advice import advise
from oneseek_runtime.plugin.lint.items import Item, Problem, at, entry
from oneseek_runtime.plugin.lint.schema import breaches, closest, with_defaults, wrong

__all__ = ["Judged", "judge", "objects"]

Judged = tuple[str, str, list[Problem]]
"""Kind, name, and what is wrong; no kind: not ours to judge."""

_SPECS: dict[str, type[ApiModel]] = {"OneSeekModel": OneSeekModelSpec, "TrainingRun": TrainingRunSpec}
_LABEL = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 253, "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
        "generateName": {"type": "string", "maxLength": 253},
        "namespace": {"type": "string", "maxLength": 63, "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63, "pattern": _LABEL}},
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "ownerReferences": {"type": "array", "items": {"type": "object"}},
        **{key: {"type": "string"} for key in ("uid", "resourceVersion", "creationTimestamp", "selfLink")},
        "generation": {"type": "integer"},
        "managedFields": {"type": "array", "items": {"type": "object"}},
    },
}


def objects(item: Item, where: str = "") -> Iterator[tuple[str, Item]]:
    """The objects of a document: itself, or what a List holds; with the path of each."""
    kind, items = entry(item, "kind"), entry(item, "items")
    if kind and str(kind.value).endswith("List") and items and isinstance(items.value, list):
        for index, child in enumerate(items.value):
            yield from objects(child, f"{where}items[{index}].")
    else:
        yield where, item


def judge(item: Item) -> Judged:
    """Whether it is one of ours, and what is wrong with it."""
    if not isinstance(item.value, dict):
        return (
            "?",
            "",
            [Problem(item.line, "error", "", "this is no object: apiVersion, kind and metadata are missing")],
        )
    version, kind = (str(found.value) if (found := entry(item, key)) else "" for key in ("apiVersion", "kind"))
    name = at(item, "metadata", "name")
    named = str(name.value) if name else ""
    if not version or not kind:
        missing = " and ".join(key for key, text in (("apiVersion", version), ("kind", kind)) if not text)
        return "?", named, [Problem(item.line, "error", "", f"{missing} is missing: kubectl refuses the whole file")]
    if problem := _identity(item, version, kind):
        return kind, named, [problem]
    if kind not in _SPECS:
        return "", named, []
    return kind, named, sorted(set(_all(kind, item)))


def _identity(item: Item, version: str, kind: str) -> Problem | None:
    """A wrong apiVersion or kind that is close to one of ours."""
    group = version.partition("/")[0]
    line = (entry(item, "apiVersion") or item).line
    if group == names.GROUP and version != names.API_VERSION:
        return Problem(line, "error", "apiVersion", f"{version} is unknown; {names.API_VERSION} is what there is")
    if group == names.GROUP and kind not in _SPECS:
        return Problem(
            (entry(item, "kind") or item).line, "error", "kind", f"there is no kind {kind}{closest(kind, _SPECS)}"
        )
    if kind in _SPECS and group != names.GROUP:
        return Problem(line, "error", "apiVersion", f"{kind} is a kind of {names.API_VERSION}, not of {version}")
    return None


def _all(kind: str, item: Item) -> Iterator[Problem]:
    schema = _schema(kind)
    found = list(_structure(item, schema))
    yield from found
    yield from advise(kind, item)
    if any(problem.level == "error" for problem in found):
        return  # as the API server does: rules are about objects that fit the schema
    value = {key: part for key, part in with_defaults(item.plain(), schema).items() if key != "status"}
    broken = list(breaches(item, value, schema, ""))
    yield from broken
    if not broken:
        yield from _unreadable(kind, item, value)


def _structure(item: Item, schema: dict[str, Any]) -> Iterator[Problem]:
    metadata, properties = entry(item, "metadata"), schema["properties"]
    if metadata is None or not isinstance(metadata.value, dict):
        yield Problem(item.line, "error", "metadata", "metadata with a name is missing")
    else:
        yield from wrong(metadata, _METADATA, "metadata")
        if not entry(metadata, "name") and not entry(metadata, "generateName"):
            yield Problem(metadata.line, "error", "metadata", "name is missing")
    for key in schema["required"]:
        if entry(item, key) is None:
            yield Problem(item.line, "error", "", f"{key} is missing")
    for key, child in item.value.items():
        if key not in properties:
            line = item.keys.get(key, child.line)
            yield Problem(line, "error", key, f"there is no such field{closest(key, properties)}")
    if spec := entry(item, "spec"):
        found = list(wrong(spec, properties["spec"], "spec"))
        yield from found
        if any(problem.message.endswith(" is missing") and problem.where == "spec" for problem in found):
            hint = "a patch of kustomize? Judge what it makes: kubectl kustomize DIR | kubectl oneseek lint -"
            yield Problem(spec.line, "advice", "spec", hint)


def _unreadable(kind: str, item: Item, value: dict[str, Any]) -> Iterator[Problem]:
    """What the schema accepts and the operator's types refuse."""
    try:
        _SPECS[kind].model_validate(value["spec"])
    except ValidationError as error:
        for one in error.errors():
            path = [str(part) for part in one["loc"]]
            place = at(item, "spec", *path) or entry(item, "spec") or item
            yield Problem(place.line, "error", ".".join(["spec", *path]), f"the operator cannot read it: {one['msg']}")


@cache
def _schema(kind: str) -> dict[str, Any]:
    """The definition's schema without its status, which no manifest has."""
    for definition in definitions().values():
        if definition["spec"]["names"]["kind"] == kind:
            schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            properties = {key: part for key, part in schema["properties"].items() if key != "status"}
            return {**schema, "properties": {**properties, "status": {}}}
    raise KeyError(kind)
