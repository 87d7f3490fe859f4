"""[I/O] Notifies the operator of due windows by an annotation with the window's number and digest.

The digest identifies the window, because numbers start again where a records volume was lost. The records service closes windows by
the policy in the model's spec; the operator makes the run; then this loop marks the window as taken. Every serving pod runs it:
the same window twice makes one run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training import Micro
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.cluster.client import Kube
from oneseek_runtime.sidecar.cluster.informer import Informer
from oneseek_runtime.sidecar.errors import KubeConflictError, KubeError
from oneseek_runtime.sidecar.records.client import RecordsAwayError, RecordsClient
from oneseek_runtime.sidecar.records.lines import encoded

__all__ = ["WindowNotifier", "highest_window", "is_suspended", "micro_of"]

_ANNOTATIONS = {"micro": names.WINDOW_MICRO, "major": names.WINDOW_MAJOR}
_LOOK_SECONDS = 30.0  # so long until a window of a pod that was lost is found
_SOON_SECONDS = 1.0  # until the run of an annotation is checked for
_RETRY_SECONDS = 60.0  # a window without a run is annotated again, so that the operator reports why
_MOST_SECONDS = 3600.0
_HIGHEST = 100_000_000  # as the records service takes it


def micro_of(model: OneSeekModel) -> Micro | None:
    """`spec.training.micro`; None where it is disabled."""
    found = model.spec.training.micro
    if not found.enabled:
        return None
    try:
        return Micro.model_validate(found.to_wire())
    except ValueError:  # of another version of the API
        return Micro()


def is_suspended(model: OneSeekModel) -> bool:
    """Whether `spec.training.suspend` keeps every run from starting."""
    return model.spec.training.suspend


def highest_window(model: OneSeekModel | None, runs: Sequence[TrainingRun]) -> int:
    """The highest number of a window that a run or a version of the model was made of, as far as is known; else 0."""
    windows = [window for run in runs for window, _ in _trained(run)]
    if model is not None:
        name = re.compile(rf"{re.escape(model.metadata.name)}-(?:micro|major)-([1-9][0-9]{{0,7}})(?:-[0-9a-f]{{8}})?")
        made = [*(run.metadata.name for run in runs), *(version.run or "" for version in model.status.versions)]
        windows += [int(found[1]) for text in made if (found := name.fullmatch(text))]
    return max(windows, default=0)


def _trained(run: TrainingRun) -> Iterator[tuple[int, str]]:
    """The windows that a run learns from, each with the digest it is pinned to ("" where it is not)."""
    for dataset in run.spec.datasets:
        if (records := dataset.source.records) and 0 < records.window < _HIGHEST:
            yield records.window, dataset.digest or ""


def _is_run_of(run: TrainingRun, name: str, row: Mapping[str, Any]) -> bool:
    """Whether a run is that of a due window: it pins its digest; or, where none is pinned, it has its name."""
    pinned = {digest for window, digest in _trained(run) if window == row["window"] and digest}
    if pinned and row.get("digest"):
        return row["digest"] in pinned
    return run.metadata.name == name


class WindowNotifier:
    """The loop; `wake` ends its pause."""

    def __init__(
        self, kube: Kube, informer: Informer, records: RecordsClient, model: str, clock: Callable[[], float]
    ) -> None:
        self._kube = kube
        self._informer = informer
        self._records = records
        self._model = model
        self._clock = clock
        self._woken = asyncio.Event()
        self._annotated: dict[str, tuple[float, float]] = {}  # run -> (last annotation, seconds until the next)
        self._seen: dict[str, float] = {}  # run -> since when it is due
        self._failing = ""

    def wake(self) -> None:
        """Check again at once."""
        self._woken.set()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            self._woken.clear()
            try:
                pause = await self.look()
                self._failing = ""
            except (RecordsAwayError, KubeError) as error:
                pause = _LOOK_SECONDS
                if self._failing != str(error):  # logged once
                    self._failing = str(error)
                    say("windowsNotTold", error=str(error))
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def look(self) -> float:
        """One check; returns the seconds until the next. Raises RecordsAwayError or KubeError."""
        model = self._informer.model
        if model is None or model.metadata.deletion_timestamp:
            return _SOON_SECONDS if model is None else _LOOK_SECONDS
        micro = micro_of(model)
        policy = micro.to_wire() if micro else {}
        policy.pop("enabled", None)
        found = await self._records.due(encoded({"policy": policy} if micro else {}))
        pause = _LOOK_SECONDS
        for row in found.get("due", []):
            name = names.window_run(self._model, row["kind"], row["window"])
            if any(_is_run_of(run, name, row) for run in self._informer.runs):
                await self._records.mark_taken(row["window"])
                self._annotated.pop(name, None)
                self._seen.pop(name, None)
                continue
            number, digest = str(row["window"]), row.get("digest")
            await self._annotate(name, _ANNOTATIONS[row["kind"]], f"{number}@{digest}" if digest else number)
            annotated, _ = self._annotated.get(name, (0.0, 0.0))
            if self._clock() - max(annotated, self._seen.setdefault(name, self._clock())) < _LOOK_SECONDS:
                pause = _SOON_SECONDS
        again = found.get("again")
        return pause if again is None else max(0.05, min(pause, float(again)))

    async def _annotate(self, run: str, annotation: str, window: str) -> None:
        """Set the annotation, unless there is one of its kind: one window after the other."""
        annotated, wait = self._annotated.get(run, (0.0, 0.0))
        if wait and self._clock() - annotated < wait:
            return
        if (seen := self._informer.model) and annotation in seen.metadata.annotations:
            return  # according to the informer: saves a read while the operator is away
        model = await self._kube.model()
        if annotation in model.metadata.annotations:
            return
        try:
            await self._kube.annotate({annotation: window}, resource_version=model.metadata.resource_version)
        except KubeConflictError:
            return  # the model was changed meanwhile; tried again soon
        self._annotated[run] = (self._clock(), min(max(_RETRY_SECONDS, 2 * wait), _MOST_SECONDS))
        say("windowTold", window=window, run=run)
