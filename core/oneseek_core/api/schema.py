"""From a pydantic type to the structural OpenAPI schema that an API server accepts.

The types are the one source; the YAML is generated, committed and diffed. Pure. What cannot be expressed is an
error at generation time, never a field silently dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

__all__ = ["openapi_schema"]

_KEPT = {
    "type", "description", "default", "enum", "format", "pattern", "items", "properties", "required",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties",
}  # fmt: skip


def openapi_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of `kind`.

    Raises:
        ValueError: the type uses something that a CustomResourceDefinition cannot say.
    """
    raw = kind.model_json_schema(by_alias=True)
    return _convert(raw, raw.get("$defs", {}), kind.__name__)


def _convert(node: Mapping[str, Any], defs: Mapping[str, Any], where: str) -> dict[str, Any]:
    node = _flatten(node, defs, where)
    if node.get("x-kubernetes-int-or-string"):
        # Such a field may be a number on the wire, so it has no type; the pattern holds for its string form, the minimum for a number.
        told = ("description", "default", "pattern", "minimum")
        kept = {key: node[key] for key in told if node.get(key) is not None}
        return kept | {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key in {"title", "$defs", "propertyNames"} or (key == "default" and value in (None, {}, [])):
            continue
        if key == "properties":
            out[key] = {name: _convert(child, defs, f"{where}.{name}") for name, child in value.items()}
        elif key == "items":
            out[key] = _convert(value, defs, f"{where}[]")
        elif key == "const":
            out["enum"] = [value]
        elif key in {"exclusiveMinimum", "exclusiveMaximum"}:
            out[key.replace("exclusiveM", "m")] = value
            out[key] = True
        elif key == "additionalProperties":
            if value is not False:  # False only repeats what `properties` says
                out[key] = _convert(value, defs, f"{where}{{}}")
        elif key == "default" and isinstance(value, dict):
            out[key] = {}  # the API server fills in the properties' own defaults
        elif key in _KEPT or key.startswith("x-kubernetes-"):
            out[key] = value
        else:
            raise ValueError(f"{where}: a CustomResourceDefinition cannot say {key!r}")
    return _bounded(out, where)


def _flatten(node: Mapping[str, Any], defs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Follow `$ref` and drop `null` from a choice: an API server knows absent, not null."""
    merged = dict(node)
    while "$ref" in merged or "anyOf" in merged or "allOf" in merged:
        if "$ref" in merged:
            target = defs[merged.pop("$ref").rsplit("/", 1)[1]]
        else:
            key = "anyOf" if "anyOf" in merged else "allOf"
            choices = [choice for choice in merged.pop(key) if choice.get("type") != "null"]
            if len(choices) != 1:
                raise ValueError(f"{where}: a choice between {len(choices)} types has no structural schema")
            target = choices[0]
        rules = [*target.get("x-kubernetes-validations", []), *merged.get("x-kubernetes-validations", [])]
        merged = {**target, **merged}  # what stands at the field wins over what stands at its type
        if rules:
            merged["x-kubernetes-validations"] = rules
    return merged


def _bounded(node: dict[str, Any], where: str) -> dict[str, Any]:
    """Refuse what is unbounded: CEL's cost is estimated from these limits, and the status must stay small."""
    if node.get("type") == "string" and not {"maxLength", "enum"} & node.keys():
        raise ValueError(f"{where}: a string needs maxLength")
    if node.get("type") == "array" and "maxItems" not in node:
        raise ValueError(f"{where}: a list needs maxItems")
    if "additionalProperties" in node and "maxProperties" not in node:
        raise ValueError(f"{where}: a map needs maxProperties")
    return node
