"""What travels between components of neighbouring releases: one more field changes nothing, whichever object it is in."""

from __future__ import annotations

import importlib
import json
import pkgutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from oneseek_core import jobs, names, serving
from oneseek_core.api.base import ApiModel
from oneseek_core.jobs.messages import parse_failure, parse_report, parse_request, success_message
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.sidecar import SidecarState
from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.engine.settings import EngineSettings
from oneseek_runtime.sidecar.engine.hotswap import read_wanted
from oneseek_runtime.sidecar.settings import SidecarSettings

LATER = "fieldOfALaterRelease"
TEXTS = ("OneSeek", "sha256:" + "0" * 64, "2026-01-01T00:00:00.000Z", "10.0.0.1", "a/b", "model", "Qwen/x", "0" * 40)


def wire_types() -> Iterator[type[ApiModel]]:
    """Every type of `core/serving` and `core/jobs`; those of the API that they hold come with them."""
    for package in (serving, jobs):
        for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, ApiModel) and value.__module__ == module.__name__:
                    yield value


TYPES = sorted(set(wire_types()), key=lambda kind: kind.__qualname__)


def sample(annotation: Any, metadata: tuple[Any, ...] = ()) -> Any:
    """A value of a type, as full as it can be."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = next((item for item in arguments[1:] if isinstance(item, FieldInfo)), None)
        return sample(arguments[0], (*arguments[1:], *(inner.metadata if inner else ()), *metadata))
    if origin in (Union, types.UnionType):
        return sample(next(item for item in arguments if item is not type(None)), metadata)
    if origin is Literal:
        return arguments[0]
    if origin in (list, tuple):
        return [sample(arguments[0])]
    if origin is dict:
        return {sample(arguments[0]): sample(arguments[1])}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return full(annotation)
    for value in (True, 1, 0.5, *TEXTS, {}, None):
        kind = Annotated[(annotation, *metadata)] if metadata else annotation  # type: ignore[valid-type]
        try:
            return TypeAdapter(kind).validate_python(value, strict=True)
        except ValidationError:
            continue
    raise AssertionError(f"no value of {annotation} with {metadata}")


def full(kind: type[BaseModel]) -> BaseModel:
    """All fields set, or as many as go together."""
    values = {name: sample(field.annotation, tuple(field.metadata)) for name, field in kind.model_fields.items()}
    optional = [name for name, field in kind.model_fields.items() if not field.is_required()]
    tries = [values] + [{key: values[key] for key in values if key not in optional or key == one} for one in optional]
    for some in tries:
        try:
            return kind.model_validate(some)
        except ValidationError as error:
            last = error
    raise last


def with_more(value: Any) -> tuple[Any, int]:
    """The JSON of a value with one more field in each of its objects, and how many those are."""
    if isinstance(value, BaseModel):
        items = {kind.alias or name: getattr(value, name) for name, kind in type(value).model_fields.items()}
        found = {key: with_more(item) for key, item in items.items() if item is not None}
        later = {LATER: {"more": [1]}}
        return {key: one for key, (one, _) in found.items()} | later, 1 + sum(count for _, count in found.values())
    if isinstance(value, (list, tuple)):
        items_found = [with_more(item) for item in value]
        return [one for one, _ in items_found], sum(count for _, count in items_found)
    if isinstance(value, dict):
        found = {key: with_more(item) for key, item in value.items()}
        return {key: one for key, (one, _) in found.items()}, sum(count for _, count in found.values())
    return value, 0


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__qualname__)
def test_one_more_field_in_each_object_is_passed_over(kind: type[ApiModel]) -> None:
    value = full(kind)
    assert isinstance(value, ApiModel)
    more, objects = with_more(value)
    assert json.dumps(more).count(LATER) == objects >= 1
    assert kind.from_wire(json.dumps(more)) == value
    assert kind.from_wire(json.dumps(value.to_wire())) == value
    if kind.__name__.endswith("Request"):
        assert parse_request(json.dumps(more), kind) == value
    assert parse_report(json.dumps({"report": more, LATER: 1}), kind) == value
    assert parse_report(success_message(value), kind) == value
    with pytest.raises(ValidationError, match=LATER):
        kind.model_validate(more)  # an author's typing error, where a person writes it


def test_the_walk_meets_all_that_travels_and_objects_inside_objects() -> None:
    assert {"HandoverRequest", "AnalysisRequest", "SidecarState", "SwapRequest", "TrainRequest"} <= {
        kind.__name__ for kind in TYPES
    }
    assert len(TYPES) > 40
    _, objects = with_more(full(SidecarState))
    assert objects == 6, "state, handover, analysis, verdict, swap, previous"


def test_a_failure_with_one_more_field_is_read() -> None:
    failure = parse_failure(json.dumps({"reason": names.DIVERGED, "message": "y", LATER: 1}))
    assert failure is not None
    assert (failure.reason, failure.message) == (names.DIVERGED, "y")


def test_settings_and_the_wanted_version_of_a_later_operator_start_a_pod(tmp_path: Path) -> None:
    settings = full(ServingSettings)
    more, _ = with_more(settings.model_copy(update={"engine_url": "http://127.0.0.1:8000", "tls_name": None}))
    elsewhere = [{"name": "a", "url": "http://x", "model": "m", "timeoutSeconds": 1, LATER: 1}]
    environment = {names.SERVING_ENV: json.dumps(more), names.EXTERNAL_MODELS_ENV: json.dumps(elsewhere)}
    sidecar = SidecarSettings.from_environment(environment)
    assert sidecar.serving == EngineSettings.from_environment(environment).serving
    assert sidecar.serving.model == settings.model  # type: ignore[attr-defined]
    assert sidecar.external[0].name == "a"
    (tmp_path / "wanted").write_text(json.dumps({"dna": "x", "serial": 4, LATER: {}}))
    assert read_wanted(str(tmp_path / "wanted")) == WantedVersion(dna="x", serial=4)
