"""The loop that tells the operator of due windows: once, again only after a while, and nothing when nothing is due."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.sidecar.cluster.client import NoKube
from oneseek_runtime.sidecar.cluster.informer import Informer
from oneseek_runtime.sidecar.errors import KubeConflictError
from oneseek_runtime.sidecar.records.client import RecordsClient
from oneseek_runtime.sidecar.training.window_notifier import WindowNotifier, highest_window, is_suspended, micro_of


class Cluster(NoKube):
    """One model, and what was asked about it."""

    def __init__(self) -> None:
        self.object: dict[str, Any] = {"metadata": {"name": "zero", "resourceVersion": "1"}, "spec": {}}
        self.reads = 0
        self.written: list[dict[str, str]] = []
        self.busy = False

    async def model(self) -> OneSeekModel:
        self.reads += 1
        return lenient.read(OneSeekModel, self.object)

    async def annotate(self, notes: Mapping[str, str], *, resource_version: str) -> None:
        if self.busy:
            raise KubeConflictError("the object has been modified")
        self.written.append(dict(notes))
        self.object["metadata"]["annotations"] = dict(notes)


class Records:
    """Windows as the records service lists them."""

    def __init__(self) -> None:
        self.due_windows: list[dict[str, Any]] = []
        self.again: float | None = None
        self.taken: list[int] = []
        self.asked: list[Any] = []

    async def due(self, asked: bytes) -> dict[str, Any]:
        self.asked.append(json.loads(asked))
        return {"due": self.due_windows, "again": self.again}

    async def mark_taken(self, window: int) -> None:
        self.taken.append(window)


@dataclass
class Shown:
    """What an informer shows: it may be behind the cluster."""

    model: OneSeekModel | None
    runs: list[TrainingRun] = field(default_factory=list)


class Sidecar:
    """The loop with a clock of the test's, and an informer that shows what the test lets it."""

    def __init__(self, cluster: Cluster, records: Records) -> None:
        self.now = 1000.0
        self.informer = Shown(lenient.read(OneSeekModel, cluster.object))
        informer, port = cast("Informer", self.informer), cast("RecordsClient", records)
        self.loop = WindowNotifier(cluster, informer, port, "zero", lambda: self.now)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def records() -> Records:
    found = Records()
    found.due_windows = [{"window": 3, "kind": "micro"}]
    return found


def taken_off(cluster: Cluster) -> None:
    """The operator removed the annotation and made nothing of it."""
    cluster.object["metadata"].pop("annotations", None)


async def test_while_nothing_is_due_nobody_is_asked_but_records(cluster: Cluster, records: Records) -> None:
    records.due_windows = []
    sidecar = Sidecar(cluster, records)
    assert await sidecar.loop.look() == 30.0
    assert (cluster.reads, cluster.written) == (0, [])
    records.again = 2.5
    assert await sidecar.loop.look() == 2.5, "an open window may close then"


async def test_a_due_window_is_told_once_and_again_only_after_ever_longer(cluster: Cluster, records: Records) -> None:
    sidecar = Sidecar(cluster, records)
    assert await sidecar.loop.look() == 1.0, "its run is looked for soon"
    assert cluster.written == [{names.WINDOW_MICRO: "3"}]
    taken_off(cluster)
    told = [sidecar.now]
    while sidecar.now < 1000 + 600:
        sidecar.now += 1
        before = len(cluster.written)
        await sidecar.loop.look()
        if len(cluster.written) > before:
            told.append(sidecar.now)
            taken_off(cluster)
    assert [later - earlier for earlier, later in pairwise(told)] == [60, 120, 240]


async def test_an_annotation_that_nobody_takes_off_costs_the_api_server_nothing(
    cluster: Cluster, records: Records
) -> None:
    sidecar = Sidecar(cluster, records)
    await sidecar.loop.look()
    sidecar.informer.model = lenient.read(OneSeekModel, cluster.object)
    reads = cluster.reads
    for _ in range(100):
        sidecar.now += 60
        assert await sidecar.loop.look() == 30.0
    assert (cluster.reads, len(cluster.written)) == (reads, 1)


async def test_of_several_sidecars_one_writes(cluster: Cluster, records: Records) -> None:
    for sidecar in [Sidecar(cluster, records) for _ in range(3)]:
        await sidecar.loop.look()
    assert len(cluster.written) == 1


async def test_who_was_too_slow_tries_again(cluster: Cluster, records: Records) -> None:
    sidecar = Sidecar(cluster, records)
    cluster.busy = True
    assert await sidecar.loop.look() == 1.0
    cluster.busy = False
    await sidecar.loop.look()
    assert cluster.written == [{names.WINDOW_MICRO: "3"}]


async def test_windows_of_one_kind_are_told_one_after_the_other(cluster: Cluster, records: Records) -> None:
    records.due_windows = [{"window": 3, "kind": "micro"}, {"window": 4, "kind": "micro"}]
    sidecar = Sidecar(cluster, records)
    await sidecar.loop.look()
    assert cluster.written == [{names.WINDOW_MICRO: "3"}]
    taken_off(cluster)
    sidecar.informer.runs = [named("zero-micro-3")]
    await sidecar.loop.look()
    assert records.taken == [3]
    assert cluster.written[1:] == [{names.WINDOW_MICRO: "4"}]


def run_of(name: str, window: int, digest: str | None) -> TrainingRun:
    pinned = {"digest": digest} if digest else {}
    dataset = {"name": "conversation", "source": {"records": {"window": window}}, **pinned}
    return lenient.read(TrainingRun, {"metadata": {"name": name}, "spec": {"datasets": [dataset]}})


def named(name: str) -> TrainingRun:
    return lenient.read(TrainingRun, {"metadata": {"name": name}})


def zero(**parts: Any) -> OneSeekModel:
    return lenient.read(OneSeekModel, {"metadata": {"name": "zero"}, **parts})


async def test_a_run_for_another_window_of_the_number_is_not_taken_for_its_run(
    cluster: Cluster, records: Records
) -> None:
    records.due_windows = [{"window": 3, "kind": "micro", "digest": "sha256:new"}]
    sidecar = Sidecar(cluster, records)
    sidecar.informer.runs = [run_of("zero-micro-3", 3, "sha256:old")]
    await sidecar.loop.look()
    assert (records.taken, cluster.written) == ([], [{names.WINDOW_MICRO: "3@sha256:new"}])
    sidecar.informer.runs.append(run_of("zero-micro-3-0a1b2c3d", 3, "sha256:new"))
    await sidecar.loop.look()
    assert records.taken == [3]


async def test_a_run_that_was_made_before_digests_were_pinned_is_known_by_its_name(
    cluster: Cluster, records: Records
) -> None:
    records.due_windows = [{"window": 3, "kind": "micro", "digest": "sha256:new"}]
    sidecar = Sidecar(cluster, records)
    sidecar.informer.runs = [run_of("zero-micro-3", 3, None)]
    await sidecar.loop.look()
    assert (records.taken, cluster.written) == ([3], [])


def test_the_highest_window_is_that_of_any_run_or_version_there_is() -> None:
    assert highest_window(zero(), []) == 0
    assert highest_window(zero(), [named("zero-micro-7"), run_of("by-hand", 9, None)]) == 9
    runs = [{"run": "zero-major-12"}, {"run": "zero-micro-11-0a1b2c3d"}, {"run": "other"}, {}]
    assert highest_window(zero(status={"versions": runs}), [named("zero-micro-999999999")]) == 12
    assert highest_window(None, [named("zero-micro-7"), run_of("by-hand", 9, None)]) == 9, "the model was not read yet"


async def test_a_model_that_goes_away_or_is_unknown_is_told_nothing(cluster: Cluster, records: Records) -> None:
    sidecar = Sidecar(cluster, records)
    sidecar.informer.model = None
    await sidecar.loop.look()
    sidecar.informer.model = zero(metadata={"name": "zero", "deletionTimestamp": "2026-01-01T00:00:00Z"})
    await sidecar.loop.look()
    assert (records.asked, cluster.written) == ([], [])


async def test_records_are_asked_by_the_policy_of_the_spec(cluster: Cluster, records: Records) -> None:
    sidecar = Sidecar(cluster, records)
    spec = {"training": {"micro": {"minimumQuestions": 2, "debounceSeconds": 5, "ofAnotherVersion": True}}}
    sidecar.informer.model = zero(spec=spec)
    await sidecar.loop.look()
    wanted = {"minimumQuestions": 2, "debounceSeconds": 5, "maximumPerHour": 6}
    assert records.asked == [{"policy": wanted}]
    sidecar.informer.model = zero(spec={"training": {"micro": {"enabled": False}}})
    await sidecar.loop.look()
    assert records.asked[1:] == [{}], "without a policy no micro window closes"


@pytest.mark.parametrize(
    "spec", [{}, {"training": None}, *({"training": {"micro": {"minimumQuestions": odd}}} for odd in ("many", -1))]
)
def test_what_is_missing_or_odd_in_a_spec_is_the_default(spec: dict[str, Any]) -> None:
    found = micro_of(zero(spec=spec))
    assert found is not None
    assert found.minimum_questions == 10
    assert not is_suspended(zero(spec=spec))
