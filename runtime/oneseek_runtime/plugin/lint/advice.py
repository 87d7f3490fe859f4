"""Advice on manifests that the API server accepts. Pure; each check has one concern."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from oneseek_core import names
from oneseek_core.dna import Dna, parse_legacy
from oneseek_core.errors import DnaError
from oneseek_runtime.plugin.lint.items import Item, Problem, at, entry

__all__ = ["advise"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_GPU = re.compile(r"[a-z0-9.-]+/(gpu|mig-[a-z0-9.-]+|npu|tpu)")


def advise(kind: str, item: Item) -> Iterator[Problem]:
    """All that there is to say about an object; `kind` is one of ours."""
    for check in (*_BOTH, *_CHECKS[kind]):
        yield from check(item)


def _requests(item: Item) -> Iterator[Problem]:
    """A manifest is applied again and again; a request is made once."""
    annotations = at(item, "metadata", "annotations")
    for verb in (*names.REQUEST_VERBS, names.RETRY_VERB):
        key = names.request_annotation(verb)
        if found := entry(annotations, key):
            yield Problem(
                found.line,
                "error",
                f"metadata.annotations.{key}",
                f"a request in a manifest would repeat for ever and is refused ({names.REQUEST_IN_MANIFEST}); ask with"
                f" `kubectl oneseek {verb}` or `kubectl annotate`, and pin versions with spec.version",
            )
    if found := entry(annotations, names.ANNOTATION_REQUESTED_BY):
        where = f"metadata.annotations.{names.ANNOTATION_REQUESTED_BY}"
        yield Problem(found.line, "error", where, "it belongs to a request, and a manifest makes none: take it out")


def _status(item: Item) -> Iterator[Problem]:
    if found := entry(item, "status"):
        yield Problem(
            found.line, "advice", "status", "the status is the operator's: the API server drops it; take it out"
        )


def _copied(item: Item) -> Iterator[Problem]:
    """What only the API server can know of an object."""
    for key in ("uid", "resourceVersion"):
        if found := at(item, "metadata", key):
            sentence = "it belongs to an object that is there: where it is not, or was made anew, kubectl is refused; take it out"
            yield Problem(found.line, "advice", f"metadata.{key}", sentence)


def _sources(item: Item, where: str, source: Item | None, *, pinned: bool) -> Iterator[Problem]:
    """What comes from a hub or a registry under a name that may be given to something else tomorrow."""
    if pinned:
        return
    if hub := entry(source, "huggingFace"):
        revision = entry(hub, "revision")
        text = str(revision.value) if revision else "main"
        if not _COMMIT.fullmatch(text):
            yield Problem(
                (revision or hub).line,
                "advice",
                f"{where}.huggingFace.revision",
                f"{text} may move: name the commit (40 hex digits), or pin what was fetched with digest",
            )
    image = entry(source, "image")
    found = entry(image, "reference") or image
    if found and isinstance(found.value, str) and "@sha256:" not in found.value:
        path = f"{where}.image" + (".reference" if found is not image else "")
        yield Problem(found.line, "advice", path, f"{found.value} may move: name it by digest (NAME@sha256:...)")


def _base_model(item: Item) -> Iterator[Problem]:
    base = at(item, "spec", "baseModel")
    yield from _sources(item, "spec.baseModel.source", entry(base, "source"), pinned=entry(base, "digest") is not None)


def _datasets(item: Item) -> Iterator[Problem]:
    datasets = at(item, "spec", "datasets")
    for index, dataset in enumerate(_entries(datasets)):
        where = f"spec.datasets[{index}].source"
        yield from _sources(item, where, entry(dataset, "source"), pinned=entry(dataset, "digest") is not None)


def _evaluation(item: Item) -> Iterator[Problem]:
    where = ("spec", "training", "evaluation", "dataset")
    dataset = at(item, *where)
    path = ".".join((*where, "source"))
    yield from _sources(item, path, entry(dataset, "source"), pinned=entry(dataset, "digest") is not None)


def _imports(item: Item) -> Iterator[Problem]:
    for index, found in enumerate(_entries(at(item, "spec", "imports"))):
        yield from _sources(item, f"spec.imports[{index}]", found, pinned=False)
    if (
        (listed := at(item, "spec", "imports"))
        and listed.value
        and not at(item, "spec", "certification", "trustedKeys")
    ):
        sentence = (
            "what is imported is verified against certification.trustedKeys, and there are none: it will be refused"
        )
        yield Problem(listed.line, "advice", "spec.imports", sentence)


def _pin(item: Item) -> Iterator[Problem]:
    found = at(item, "spec", "version")
    if found is None or not isinstance(found.value, str) or found.value == "auto":
        return
    where, text = "spec.version", found.value
    try:
        parse_legacy(text)
    except DnaError as error:
        yield Problem(found.line, "error", where, f"no version can be called so: {error}")
        return
    try:
        Dna.parse(text)
    except DnaError:
        sentence = f"{text} has an old form of DNA, and new versions never have: right only for one that was imported"
        yield Problem(found.line, "advice", where, sentence)
    family = at(item, "spec", "family")
    name = str(family.value) if family else "OneSeek-7B-Zero"
    if not text.startswith(f"{name}.v"):
        sentence = f"{text} is no version of spec.family {name}: it would be {names.PINNED_VERSION_UNKNOWN} for ever"
        yield Problem(found.line, "error", where, sentence)


def _gate(item: Item) -> Iterator[Problem]:
    gate = at(item, "spec", "promotion", "gate")
    if gate is None or not isinstance(gate.value, dict):
        return
    scores = entry(gate, "minimumScores")
    if not (scores and scores.value) and entry(gate, "maximumRegression") is None:
        yield Problem(gate.line, "advice", "spec.promotion.gate", "the gate asks for nothing: every version passes")


def _manual(item: Item) -> Iterator[Problem]:
    mode, version = at(item, "spec", "promotion", "mode"), at(item, "spec", "version")
    if mode and mode.value == "Manual" and version and version.value != "auto":
        sentence = "with a pinned version nothing waits for promotion: mode Manual says nothing here"
        yield Problem(mode.line, "advice", "spec.promotion.mode", sentence)


def _external_models(item: Item) -> Iterator[Problem]:
    for index, model in enumerate(_entries(at(item, "spec", "serving", "externalModels"))):
        url = entry(model, "url")
        host = str(url.value).removeprefix("http://").partition("/")[0].partition(":")[0] if url else ""
        if url and entry(model, "keySecret") and str(url.value).startswith("http://") and not _within(host):
            where = f"spec.serving.externalModels[{index}].url"
            sentence = f"the key goes to {host} in clear: use https, or a Service of this cluster"
            yield Problem(url.line, "advice", where, sentence)


def _within(host: str) -> bool:
    """Whether a host is one of the cluster."""
    return "." not in host or host.endswith((".svc", ".svc.cluster.local"))


def _gpus(*path: str) -> Callable[[Item], Iterator[Problem]]:
    def check(item: Item) -> Iterator[Problem]:
        resources = at(item, *path)
        limits = entry(resources, "limits")
        requests = entry(resources, "requests")
        for name, found in (requests.value if requests and isinstance(requests.value, dict) else {}).items():
            if _GPU.fullmatch(name) and entry(limits, name) is None:
                where = f"{'.'.join(path)}.requests.{name}"
                yield Problem(found.line, "error", where, f"Kubernetes wants {name} in limits: pods would be refused")

    return check


def _entries(item: Item | None) -> list[Item]:
    return item.value if item is not None and isinstance(item.value, list) else []


Check = Callable[[Item], Iterator[Problem]]
_BOTH: tuple[Check, ...] = (_requests, _status, _copied)
_CHECKS: Mapping[Any, tuple[Check, ...]] = {
    "OneSeekModel": (
        _base_model,
        _evaluation,
        _imports,
        _pin,
        _gate,
        _manual,
        _external_models,
        _gpus("spec", "serving", "engine", "resources"),
    ),
    "TrainingRun": (_datasets, _gpus("spec", "resources")),
}
