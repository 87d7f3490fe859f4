"""[I/O] The prepare Job, top to bottom. Run again it ends the same: its folder is emptied first."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import ResolvedDataset, RowCount
from oneseek_core.digest import PREFIX, canonical_json
from oneseek_core.dna import tags_of
from oneseek_core.errors import JobError
from oneseek_core.files import empty_folder, fsync_dir, write_atomic
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.messages import parse_request
from oneseek_core.jobs.prepare import PrepareReport, PrepareRequest
from oneseek_core.names import ExitCode
from oneseek_runtime.artifact.folders import certified_versions
from oneseek_runtime.hub import Hub
from oneseek_runtime.log import say
from oneseek_runtime.prepare.files import FileError, lines_of, plain_file, refuse_foreign, rows_of_file
from oneseek_runtime.prepare.heldout import HeldoutRow, parse_heldout, question_key, trained_questions
from oneseek_runtime.prepare.language import language_of_rows
from oneseek_runtime.prepare.rows import Row, RowError, row_bytes
from oneseek_runtime.prepare.sources import fetch_dataset
from oneseek_runtime.prepare.window import Lesson, fetch_window, lesson_of, rows_of, steps_of, steps_of_rows

__all__ = ["run"]

_NAMED_LINES = 10
_FROM_CLIENTS = "Conversational"  # the DNA's tag
_MOST_HELDOUT = 1000  # questions; each is answered by real generation, after every training

Parsed = TypeVar("Parsed")


def run(environment: Mapping[str, str]) -> PrepareReport:
    """Leave `data/train.jsonl` and `data/prepare_report.json` in the run's staging, and no other run's staging.

    A held-out set goes to `evaluation/heldout.jsonl`, byte for byte: a folder that train pods do not mount.

    Raises:
        JobError: a dataset is missing, unreachable, unusable (the sentence names the line) or not what is pinned.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), PrepareRequest)
    root = Path(request.models_root)
    if version := _certified_before(request, root):
        say("already certified", dna=version.dna)
        return PrepareReport(already_certified=version)
    data = _staging(root / names.STAGING_DIR, request.run.uid)
    hub = Hub.from_environment(environment)
    parts = _read_all(request, root, hub, data, environment)
    heldout, asked = _hold_out(request, root, hub, data.parent / "evaluation", parts)
    every, parts = parts, [_without(part, asked) for part in parts]
    rows = [row for part in parts for row in part.rows]
    steps = [step for part in parts for step in _steps(part)]
    if not rows:
        raise _invalid("nothing is left to train on: what clients sent holds no answers, or held-out questions alone")
    digest = _write_rows(data / "train.jsonl", zip(rows, steps, strict=True))
    report = PrepareReport(
        datasets=[ResolvedDataset(name=part.name, digest=part.digest, rows=len(part.rows)) for part in parts],
        data_digest=digest,
        samples=len(rows),
        language=language_of_rows(rows) if request.language == "auto" else request.language,
        tags=_tags(parts),
        heldout=heldout,
        left_out=_left_out(every, parts),
        micro_steps=sum(steps_of(part.lessons) for part in parts if part.lessons),
    )
    write_atomic(data / "prepare_report.json", canonical_json(report.to_wire()) + b"\n")
    say("prepared", samples=report.samples, digest=digest, language=report.language)
    return report


def _certified_before(request: PrepareRequest, root: Path) -> CertifiedVersion | None:
    """The newest version that this very run made: same namespace, name and spec (its uid may be another)."""
    for item in certified_versions(root / names.CERTIFIED_DIR):
        made_by = item.metadata.provenance
        if made_by and (made_by.namespace, made_by.run, made_by.spec_digest) == (
            request.run.namespace,
            request.run.name,
            request.spec_digest,
        ):
            return item.version
    return None


def _staging(staging: Path, uid: str) -> Path:
    """The run's folders, with an empty `data/`; what other runs left is removed (one run at a time a model)."""
    staging.mkdir(exist_ok=True)
    for other in staging.iterdir():
        if other.name == uid:
            continue
        if other.is_dir() and not other.is_symlink():
            shutil.rmtree(other)
        else:
            other.unlink()
    for name in ("data", "adapter", "scores"):
        (staging / uid / name).mkdir(parents=True, exist_ok=True)
    data = staging / uid / "data"
    empty_folder(data)
    empty_folder(staging / uid / "scores")  # of what was trained on other data
    fsync_dir(staging / uid)
    fsync_dir(staging)
    return data


@dataclass(frozen=True, slots=True)
class _Part:
    """One dataset as it was read; `lessons` where it is a window of the records service, else None."""

    name: str
    digest: str
    rows: list[Row]
    lessons: list[Lesson] | None = None


def _read_all(request: PrepareRequest, root: Path, hub: Hub, data: Path, environment: Mapping[str, str]) -> list[_Part]:
    """Every dataset's rows in the spec's order; duplicates stay, they are somebody's weighting."""
    scratch = data / ".sources"
    scratch.mkdir()
    parts = []
    for index, item in enumerate(request.datasets):
        copy, name = scratch / f"{index}.jsonl", item.dataset.name
        if window := item.dataset.source.records:
            digest = fetch_window(item.dataset, window.window, environment, copy)
            lessons = _read(name, "line", lines_of(copy, lesson_of), "a question")
            parts.append(_Part(name, digest, rows_of(lessons), lessons))
            continue
        digest = fetch_dataset(item, root, hub, copy)
        with _naming(name):
            found = rows_of_file(plain_file(copy, scratch / f"{index}.unpacked"))
            rows = _read(name, found.unit, found.items, "instruction and output")
        parts.append(_Part(name, digest, rows))
    shutil.rmtree(scratch)
    return parts


def _without(part: _Part, heldout: Sequence[HeldoutRow]) -> _Part:
    """The part without held-out questions. Clients cannot know which these are, so a window is not refused for them."""
    if part.lessons is None:
        return part
    held = {question_key(row.question) for row in heldout}
    kept = [lesson for lesson in part.lessons if question_key(lesson.question) not in held]
    if left_out := len(part.lessons) - len(kept):
        say("held-out questions are not trained", dataset=part.name, questions=left_out)
    return replace(part, lessons=kept, rows=rows_of(kept))


def _tags(parts: Sequence[_Part]) -> list[str]:
    """The DNA's tags: of what clients sent Conversational, of the rest what the datasets' names say."""
    named = [part.name for part in parts if part.lessons is None]
    found = set(tags_of(named)) if named else set()
    return sorted(found | ({_FROM_CLIENTS} if len(named) < len(parts) else set()))


def _hold_out(
    request: PrepareRequest, root: Path, hub: Hub, folder: Path, parts: Sequence[_Part]
) -> tuple[ResolvedDataset | None, list[HeldoutRow]]:
    """The run's held-out set, fetched like any dataset; of a request without one, nothing stays in `folder`."""
    if folder.exists():
        empty_folder(folder)
    if request.heldout is None:
        return None, []
    folder.mkdir(exist_ok=True)
    name, scratch = request.heldout.dataset.name, folder / ".sources"
    scratch.mkdir()
    copy = scratch / "heldout.jsonl"
    digest = fetch_dataset(request.heldout, root, hub, copy)
    with _naming(name):
        refuse_foreign(copy)
        found = _read(name, "line", lines_of(copy, parse_heldout), "question, language and mustContain")
    if len(found) > _MOST_HELDOUT:
        raise _invalid(
            f"dataset {name} holds {len(found)} held-out questions; {_MOST_HELDOUT} is the most, for every version"
            " answers all of them: choose a sample"
        )
    rows = [row for part in parts if part.lessons is None for row in part.rows]
    _refuse_trained(name, trained_questions(found, rows))
    copy.rename(folder / copy.name)
    shutil.rmtree(scratch)
    fsync_dir(folder)
    fsync_dir(folder.parent)
    return ResolvedDataset(name=name, digest=digest, rows=len(found)), found


def _refuse_trained(name: str, seen: Sequence[HeldoutRow]) -> None:
    if seen:
        raise _invalid(
            f"dataset {name}, line {seen[0].line}: its question also stands in the training data, so a right answer"
            " would prove nothing: remove it from one of the two"
            f"{_and_more([row.line for row in seen[1:]], 'trained')}"
        )


@contextmanager
def _naming(dataset: str) -> Iterator[None]:
    """A file that cannot be read is refused under its dataset's name."""
    try:
        yield
    except FileError as error:
        raise _invalid(f"dataset {dataset} {error}") from error


def _read(name: str, unit: str, items: Iterable[tuple[int, Parsed | RowError | None]], fields: str) -> list[Parsed]:
    """A dataset's rows; all of them are read before a bad one is reported, so that one look finds them all."""
    rows: list[Parsed] = []
    bad: list[int] = []
    first, alike = "", 0
    for number, row in items:
        if isinstance(row, RowError):
            first = first or str(row)
            alike += str(row) == first
            bad.append(number)
        elif row is not None:
            rows.append(row)
    if bad:
        others = _and_more(bad[1:], "wrong", unit)
        same = f"; {alike} of them for this reason" if others and alike < len(bad) else ""
        raise _invalid(f"dataset {name}, {unit} {bad[0]}: it {first}{others}{same}")
    if not rows:
        raise _invalid(f"dataset {name} holds no rows: give it at least one line of JSON with {fields}")
    return rows


def _left_out(every: Sequence[_Part], parts: Sequence[_Part]) -> list[RowCount]:
    """Rows that were read and are not trained: only what clients sent is left out; anything else is refused."""
    held = sum(len(part.rows) for part in every) - sum(len(part.rows) for part in parts)
    empty = sum(not rows_of([lesson]) for part in every for lesson in part.lessons or ())
    counts = {names.LEFT_OUT_HELD_OUT: held, names.LEFT_OUT_NO_ANSWER: empty}
    return [RowCount(reason=reason, rows=rows) for reason, rows in counts.items() if rows]


def _and_more(numbers: Sequence[int], what: str, unit: str = "line") -> str:
    if not numbers:
        return ""
    named = ", ".join(str(number) for number in numbers[:_NAMED_LINES])
    return (
        f" ({what} too: {unit} {named}{' and more' if len(numbers) > _NAMED_LINES else ''}; {len(numbers) + 1} in all)"
    )


def _steps(part: _Part) -> list[str | None]:
    """For each row of a part which micro step it belongs to: train counts those that it trained."""
    if part.lessons is None:
        return [None] * len(part.rows)
    return [f"{part.name}/{step}" for step in steps_of_rows(part.lessons)]


def _write_rows(path: Path, rows: Iterable[tuple[Row, str | None]]) -> str:
    """Write the training file durably; the result is its digest."""
    hasher = hashlib.sha256()
    with path.open("xb") as handle:
        for row, step in rows:
            line = row_bytes(row, step)
            hasher.update(line)
            handle.write(line)
        handle.flush()
        os.fsync(handle.fileno())
    fsync_dir(path.parent)
    return PREFIX + hasher.hexdigest()


def _invalid(sentence: str) -> JobError:
    return JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT)
