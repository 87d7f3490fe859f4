"""Two versions side by side: what is known of each, and where they differ. Pure.

Of each version there are up to three witnesses: its line in the model's status, its certified metadata, and the
TrainingRun that made it. What is certified wins over what a run's object says; what nobody knows is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_core.api.v1alpha1.common import ScoreSet
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_runtime.plugin.text import number

__all__ = ["Row", "Sources", "compare", "facts_of", "shown"]

Fact = str | int | float | None

_SPEC = ("epochs", "learningRate", "batchSize", "maximumLength", "seed")
_LORA = ("rank", "alpha", "dropout", "targetModules")
_AUTO_STOP = ("threshold", "patience")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the facts of a version come from."""

    version: Version
    metadata: Mapping[str, Any] | None = None
    run: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of both."""

    section: str
    name: str
    left: Fact
    right: Fact

    @property
    def same(self) -> bool:
        """Whether both have it, and alike."""
        return self.left == self.right

    @property
    def change(self) -> str:
        """By how much a number rose or fell."""
        numbers = [value for value in (self.left, self.right) if isinstance(value, int | float)]
        if len(numbers) < 2 or self.same or self.section not in ("scores", "training"):
            return ""
        return f"{numbers[1] - numbers[0]:+.3f}".rstrip("0").rstrip(".")

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"section": self.section, "name": self.name, "left": self.left, "right": self.right, "same": self.same}


def compare(left: Mapping[tuple[str, str], Fact], right: Mapping[tuple[str, str], Fact]) -> list[Row]:
    """Every fact that either has, in the order of the left one."""
    keys = dict.fromkeys([*left, *right])
    sections = list(dict.fromkeys(section for section, _ in keys))
    ordered = sorted(keys, key=lambda key: sections.index(key[0]))
    return [Row(*key, left.get(key), right.get(key)) for key in ordered]


def facts_of(sources: Sources) -> dict[tuple[str, str], Fact]:
    """(section, name) -> value, of one version."""
    facts: dict[tuple[str, str], Fact] = {}
    for section, found in (
        ("version", _version(sources.version)),
        ("scores", _scores(sources.version)),
        ("data", _data(sources)),
        ("parameters", _parameters(sources)),
        ("training", _training(sources)),
    ):
        facts |= {(section, name): value for name, value in found.items() if value is not None}
    return facts


def _version(version: Version) -> dict[str, Fact]:
    return {
        "state": version.state or None,
        "type": version.type or None,
        "created": version.created_at or None,
        "parent": version.parent or "the base model",
        "run": version.run,
        "manifest": version.digest or None,
    }


def _scores(version: Version) -> dict[str, Fact]:
    if version.scores is None:
        return {}
    sets: dict[str, ScoreSet] = {"all": version.scores, **dict(sorted(version.scores.by_language.items()))}
    facts: dict[str, Fact] = {}
    for label, told in sets.items():
        facts |= {
            f"{label}: facts": told.facts_contained,
            f"{label}: exact": told.exact,
            f"{label}: loss": told.loss,
            f"{label}: questions": told.questions,
        }
    return facts


def _data(sources: Sources) -> dict[str, Fact]:
    made_by, resolved = _at(sources.metadata, "provenance"), _at(sources.run, "status", "resolved")
    datasets = _list(made_by.get("datasets")) or _list(resolved.get("datasets"))
    found: dict[str, Fact] = {
        f"dataset {item.get('name')}": f"{item.get('digest', '')}, {item.get('rows', '?')} rows" for item in datasets
    }
    return found | {
        "all rows": made_by.get("dataDigest") or resolved.get("dataDigest"),
        "base model": made_by.get("baseModelDigest") or resolved.get("baseModelDigest"),
        "language": _at(sources.metadata).get("language") or resolved.get("language"),
        "samples": _at(sources.metadata).get("samplesProcessed") or resolved.get("samples"),
    }


def _parameters(sources: Sources) -> dict[str, Fact]:
    config, spec = _at(sources.metadata, "trainingConfig"), _at(sources.run, "spec")
    lora = _at(config, "loraConfig") or _at(spec, "lora")
    stop = _at(config, "autoStop") or _at(spec, "autoStop")
    told = config or spec
    facts = {name: told.get(name) for name in _SPEC}
    facts |= {f"lora {name}": lora.get(name) for name in _LORA} | {
        f"autoStop {name}": stop.get(name) for name in _AUTO_STOP
    }
    facts["precision"] = _at(config, "advancedConfig").get("precision") or _at(sources.run, "status", "resolved").get(
        "precision"
    )
    return {name: _flat(value) for name, value in facts.items()}


def _training(sources: Sources) -> dict[str, Fact]:
    resolved, epochs = _at(sources.run, "status", "resolved"), _list(_at(sources.metadata).get("epochLosses"))
    duration = _at(sources.metadata, "trainingDuration").get("durationSeconds")
    return {
        "steps": resolved.get("steps"),
        "final loss": epochs[-1].get("loss") if epochs else resolved.get("finalLoss"),
        "seconds": resolved.get("durationSeconds") if duration is None else duration,
    }


def _at(found: Mapping[str, Any] | None, *path: str) -> Mapping[str, Any]:
    """The object at a path; empty where there is none."""
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _list(value: object) -> Sequence[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _flat(value: Any) -> Fact:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def shown(value: Fact) -> str:
    """A fact in a cell."""
    if isinstance(value, float):
        return number(value) if value >= 0.001 else f"{value:g}"
    return "" if value is None else str(value)
