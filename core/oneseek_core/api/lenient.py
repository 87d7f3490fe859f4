"""OneSeekModel and TrainingRun as the API server returns them, for readers of another release. Pure.

The operator validates; the plugin and the sidecar show what there is, and must not fail over what they do not know.
`read` fills the API's own types without validating them: unknown fields are dropped, and a field that is missing, null
or of another shape has its default, or else its neutral value: "", 0, False, an empty list or object; None for a float,
because 0 would be a measurement. An item of a list or map that has another shape is left out. Texts are taken as they
are: a value may be none of a Literal's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

from oneseek_core import names
from oneseek_core.api.base import Condition
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun

__all__ = ["Object", "condition", "document", "is_observed", "phase", "read", "ready"]

M = TypeVar("M", bound=BaseModel)
Object = OneSeekModel | TrainingRun
Reader = Callable[[object], Any]


class _MisfitError(Exception):
    """The value has another shape."""


def read(kind: type[M], found: object) -> M:
    """The object as a `kind`. Never raises. Its `model_fields_set` are the fields that could be read."""
    given = found if isinstance(found, Mapping) else {}
    values, there = {}, set()
    for name, key, reader, neutral in _fields(kind):
        try:
            values[name] = reader(given[key])
            there.add(name)
        except (KeyError, _MisfitError):
            values[name] = neutral()
    return kind.model_construct(there, **values)


def document(found: BaseModel) -> dict[str, Any]:
    """What was read as JSON, without what is None."""
    return found.model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)


@cache
def _fields(kind: type[BaseModel]) -> tuple[tuple[str, str, Reader, Callable[[], Any]], ...]:
    """(attribute, key in JSON, reader of a value, neutral value) of each field."""
    return tuple(
        (
            name,
            field.alias or name,
            _reader(field.annotation),
            _neutral(field.annotation) if field.is_required() else lambda field=field: field.get_default(),  # type: ignore[misc]
        )
        for name, field in kind.model_fields.items()
    )


def _reader(annotation: Any) -> Reader:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _reader(arguments[0])
    if origin in (Union, UnionType):
        (inner,) = (one for one in arguments if one is not type(None))
        return _reader(inner)
    if origin is list:
        item = _reader(arguments[0])
        return lambda value: [kept for _, kept in _kept(enumerate(_shaped(value, list)), item)]
    if origin is dict:
        entry = _reader(arguments[1])
        return lambda value: dict(_kept(_shaped(value, Mapping).items(), entry))
    if origin is Literal:
        return lambda value: _shaped(value, str)
    if annotation is Any:
        return lambda value: value
    if issubclass(annotation, BaseModel):
        return lambda value: read(annotation, _shaped(value, Mapping))
    if annotation is float:
        return _float
    return lambda value: _shaped(value, annotation)


def _kept(items: Any, reader: Reader) -> list[tuple[Any, Any]]:
    found = []
    for key, value in items:
        try:
            found.append((key, reader(value)))
        except _MisfitError:
            continue
    return found


def _shaped(value: object, kind: type) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _MisfitError
    return value


def _float(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an int of more than 308 digits
        number = math.nan
    if not math.isfinite(number):
        raise _MisfitError
    return number


def _neutral(annotation: Any) -> Callable[[], Any]:
    """The value of a required field that cannot be read."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _neutral(arguments[0])
    if origin is Literal:
        return str
    if annotation is float:
        return lambda: None
    kind = origin or annotation
    return (lambda: read(kind, {})) if issubclass(kind, BaseModel) else kind


def condition(found: Object, kind: str) -> Condition | None:
    """The condition of a type."""
    return next((item for item in found.status.conditions if item.type == kind), None)


def is_observed(found: Object) -> bool:
    """Whether the status is about the spec as it stands; until then it says nothing of it."""
    return found.status.observed_generation >= found.metadata.generation


def ready(found: Object) -> Condition:
    """The Ready condition; Unknown until the operator has looked at the spec."""
    told, status, reason = condition(found, names.READY), "Unknown", "NotObserved"
    message = "the operator has not looked at this spec yet"
    if found.metadata.deletion_timestamp:
        status, reason, message = "False", "Deleting", "it is being deleted"
    elif told is not None and is_observed(found):
        return told
    return read(Condition, {"type": names.READY, "status": status, "reason": reason, "message": message})


def phase(run: TrainingRun) -> Literal["UnderWay", "Ended", "Failed"]:
    """Whether a run goes on: Ready has ended well (certified or rejected), Stalled badly, all else goes on."""
    stalled = condition(run, names.STALLED)
    if is_observed(run) and stalled is not None and stalled.status == "True":
        return "Failed"
    return "Ended" if ready(run).status == "True" else "UnderWay"
