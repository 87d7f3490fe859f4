from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from support.breaches import GOOD_OF_MODELS, GOOD_OF_RUNS, changed, tuned_run
from support.makers import model_manifest, run_manifest
from support.plugin_objects import model, run

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WHOLE = {
    "losses": [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 2.25}],
    "scores": {"questions": 4, "factsContained": 0.5, "exact": 0.25, "byLanguage": {}},
    "resolved": {"specDigest": "sha256:" + "a" * 64, "samples": 3, "finalLoss": 0.5},
    "autoStopped": {"step": 9, "reason": "flat"},
}
OBJECTS = [(OneSeekModel, model()), (TrainingRun, run("civic-1", **WHOLE))]
META = {"namespace": "team", "uid": "u-1"}


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """The value with another one at a path."""
    if not path:
        return new
    found = copy.copy(value)
    found[path[0]] = replaced(value[path[0]], path[1:], new)
    return found


@pytest.mark.parametrize(("kind", "found"), OBJECTS, ids=["model", "run"])
@given(data=st.data())
def test_no_shape_raises_and_what_is_read_can_be_shown(kind: Any, found: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(places(found)))
    told = lenient.read(kind, replaced(found, path, data.draw(JSON)))
    assert lenient.ready(told).type == "Ready"
    json.dumps(lenient.document(told), allow_nan=False)
    if kind is TrainingRun:
        assert lenient.phase(told) in ("UnderWay", "Ended", "Failed")


@pytest.mark.parametrize(
    ("kind", "manifest"),
    [
        *((OneSeekModel, changed(model_manifest(), *good)) for good in GOOD_OF_MODELS),
        *((TrainingRun, changed(run_manifest(), *good)) for good in GOOD_OF_RUNS),
        (TrainingRun, tuned_run()),
    ],
)
def test_what_the_operator_can_read_is_read_as_the_operator_reads_it(kind: Any, manifest: dict[str, Any]) -> None:
    found = {**manifest, "metadata": {**META, **manifest["metadata"]}}
    strict = kind.model_validate(found)
    assert lenient.read(kind, strict.to_wire()) == strict


def test_a_status_is_read_as_the_operator_reads_it() -> None:
    for kind, found in OBJECTS:
        status = {key: value for key, value in found["status"].items() if key != "aFieldOfTomorrow"}
        strict = kind.model_fields["status"].annotation.model_validate(status)
        assert lenient.read(kind, found).status == strict
        assert lenient.document(strict) == strict.to_wire()


def test_what_cannot_be_read_is_neutral_and_the_rest_stays() -> None:
    found = model(
        versions=[
            3,
            {"dna": "F.v1.0", "state": "OfTomorrow", "digest": 5, "scores": {"exact": "high", "questions": 4}},
        ],
        current="F.v1.0",
        conditions=[None, {"type": "Ready", "status": "True", "reason": "Serving"}],
        observedGeneration=True,
    )
    told = lenient.read(OneSeekModel, {**found, "spec": {"baseModel": [], "version": "v1", "promotion": {"mode": 4}}})
    (version,) = told.status.versions
    assert (version.dna, version.state, version.digest) == ("F.v1.0", "OfTomorrow", "")
    assert version.scores is not None
    assert (version.scores.questions, version.scores.exact, version.scores.by_language) == (4, None, {})
    assert (told.status.current, told.status.observed_generation) == (None, -1)
    assert [item.reason for item in told.status.conditions] == ["Serving"]
    assert (told.spec.base_model.name, told.spec.version, told.spec.promotion.mode) == ("", "v1", "Automatic")
    assert lenient.read(TrainingRun, None).spec.model_ref.name == ""


@pytest.mark.parametrize("value", [10**400, -(10**400), True, "1"])
def test_a_number_that_is_no_float_is_no_measurement(value: object) -> None:
    told = lenient.read(TrainingRun, {"status": {"scores": {"exact": value, "factsContained": 1}}})
    assert told.status.scores is not None
    assert (told.status.scores.exact, told.status.scores.facts_contained) == (None, 1.0)
