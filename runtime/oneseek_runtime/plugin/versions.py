"""Versions as people name them: by their DNA, or by as much of it as no other version has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel

__all__ = ["DNA_HELP", "MODEL_HELP", "find", "known", "mistake"]

MODEL_HELP = "name of a OneSeekModel"
DNA_HELP = "a version: its DNA, or a part that no other has (v3, v3.0, 88e5477b)"
AMBIGUOUS = "AmbiguousVersion"  # reason


def known(model: OneSeekModel) -> list[str]:
    """The DNA of every version that the status names, the newest first."""
    listed = sorted(model.status.versions, key=lambda item: item.created_at, reverse=True)
    roles = (model.status.candidate, model.status.current, model.status.previous)
    named = [*(item.dna for item in roles if item), *(item.dna for item in model.status.quarantine)]
    return list(dict.fromkeys([*(item.dna for item in listed), *named]))


def find(text: str, among: Iterable[str]) -> list[str]:
    """The versions that `text` means: the very one, else all that it is a part of, cut at dots (`v3`, `v3.0`, a hash)."""
    choices = list(among)
    if text in choices:
        return [text]
    wanted = text.strip(".").split(".")
    return [dna for dna in choices if _holds(dna.split("."), wanted)]


def _holds(parts: list[str], wanted: list[str]) -> bool:
    last = len(wanted) - 1
    return any(
        all(
            # A hash may be cut short; a number may not, or v1 would mean v12 too.
            part == want or (index == last and len(want) >= 4 and part.startswith(want))
            for index, (part, want) in enumerate(zip(parts[start:], wanted, strict=False))
        )
        for start in range(len(parts) - last)
    )


def mistake(model: OneSeekModel, text: str, found: Sequence[str], words: Sequence[str] = ()) -> tuple[str, str]:
    """Why `text` does not name exactly one version: (reason, sentence)."""
    name = model.metadata.name
    if found:
        return AMBIGUOUS, f"{text} may be any of {', '.join(found)}; give more of the DNA"
    choices = [*words, *known(model)]
    there = f"there are {', '.join(choices)}" if choices else "it has none"
    return names.NO_SUCH_VERSION, f"{name} has no version {text}; {there}"
