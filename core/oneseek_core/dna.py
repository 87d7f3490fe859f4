"""The DNA: the name of a certified version, which says what it is and lets its weights be checked.

`<family>.v<MAJOR>.<MICRO>.<language>.ds<Tag>[-<Tag>...].<weights hash>.<timestamp hash>`. Only this form is
written; every form that old files carry is read (`parse_legacy`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from oneseek_core.errors import DnaError

__all__ = ["CONVERSATIONAL", "Dna", "LegacyDna", "parse_legacy", "tags_of"]

_FAMILY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_TAG = re.compile(r"[A-Za-z0-9_]{1,32}")
_HASH = re.compile(r"[0-9a-f]{8}")
LANGUAGES = ("sv", "en", "ensv")
_LARGEST = 999_999_999  # what nine digits hold: the most that parsing reads
_LONGEST = 253  # characters: a file name holds 255, the API's fields 253

CONVERSATIONAL = "Conversational"  # the tag of what clients sent

# Words of a dataset's name (split on _ - .) and the category they stand for; the old trainers' table.
_CATEGORIES = {
    "CivicID": ("civic", "civicid"),
    "Identity": ("identity", "id"),
    "SwedID": ("swedish", "swed", "swedid", "sv"),
    "Privacy": ("privacy", "private", "gdpr"),
    "Nordic": ("nordic", "scandinavian", "scandinavia"),
    "Fairness": ("fairness", "fair", "bias", "unbiased"),
    "Transparency": ("transparency",),
    "Ethics": ("ethical", "ethics"),
    "Multilingual": ("multilingual",),
    "QA": ("qa", "question", "answer"),
    "Instruction": ("instruction", "instruct"),
    CONVERSATIONAL: ("chat", "conversation", "dialog", "dialogue"),
}
_CATEGORY_OF_WORD = {word: category for category, words in _CATEGORIES.items() for word in words}


def tags_of(dataset_names: Iterable[str]) -> tuple[str, ...]:
    """The sorted category tags that dataset names stand for; `General` where none fits."""
    words = (word for name in dataset_names for word in re.split(r"[_\-.]", name.lower()))
    found = {_CATEGORY_OF_WORD[word] for word in words if word in _CATEGORY_OF_WORD}
    return tuple(sorted(found)) or ("General",)


def _short(digest_hex: str) -> str:
    return digest_hex[:8]


@dataclass(frozen=True, slots=True, order=False)
class Dna:
    """Identity of a certified version. Law: `Dna.parse(str(dna)) == dna`."""

    family: str
    major: int
    micro: int
    language: str
    tags: tuple[str, ...]
    weights: str
    timestamp: str

    def __post_init__(self) -> None:
        if not _FAMILY.fullmatch(self.family):
            raise DnaError(f"family {self.family!r} must start with a letter and hold letters, digits, - and _")
        if not (0 <= self.major <= _LARGEST and 0 <= self.micro <= _LARGEST):
            raise DnaError(f"version {self.major}.{self.micro} must lie between 0.0 and {_LARGEST}.{_LARGEST}")
        if self.language not in LANGUAGES:
            raise DnaError(f"language {self.language!r} must be one of {', '.join(LANGUAGES)}")
        if not self.tags or list(self.tags) != sorted(set(self.tags)):
            raise DnaError(f"tags {self.tags!r} must be sorted, unique and at least one")
        for tag in self.tags:
            if not _TAG.fullmatch(tag):
                raise DnaError(f"tag {tag!r} must be 1-32 letters, digits or _")
        for part in (self.weights, self.timestamp):
            if not _HASH.fullmatch(part):
                raise DnaError(f"hash {part!r} must be 8 lower-case hex digits")
        if len(str(self)) > _LONGEST:
            raise DnaError(f"the DNA would be {len(str(self))} characters long; {_LONGEST} is the most; use fewer tags")

    def __str__(self) -> str:
        tags = "-".join(self.tags)
        return f"{self.family}.v{self.major}.{self.micro}.{self.language}.ds{tags}.{self.weights}.{self.timestamp}"

    @classmethod
    def derive(
        cls,
        *,
        family: str,
        version: tuple[int, int],
        language: str,
        tags: tuple[str, ...],
        weights_sha256: str,
        created_at: str,
    ) -> Dna:
        """The DNA of an adapter from the SHA-256 of its weights (64 hex) and its creation time's text (UTC, ms, Z)."""
        major, micro = version
        stamp = hashlib.sha256(created_at.encode()).hexdigest()
        return cls(family, major, micro, language, tags, _short(weights_sha256), _short(stamp))

    @classmethod
    def parse(cls, text: str) -> Dna:
        """Read the canonical form.

        Raises:
            DnaError: `text` is anything else.
        """
        match = _CANONICAL.fullmatch(text)
        if match is None:
            raise DnaError(f"{text!r} is not a DNA of the form family.vMAJOR.MICRO.language.dsTags.weights.timestamp")
        family, major, micro, language, tags, weights, timestamp = match.groups()
        return cls(family, int(major), int(micro), language, tuple(tags.split("-")), weights, timestamp)

    @property
    def order(self) -> tuple[int, int]:
        """What newer means: by major, then by micro."""
        return (self.major, self.micro)


_CANONICAL = re.compile(
    r"([A-Za-z][A-Za-z0-9_-]{0,62})\.v(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(sv|en|ensv)"
    r"\.ds([A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)\.([0-9a-f]{8})\.([0-9a-f]{8})"
)


@dataclass(frozen=True, slots=True)
class LegacyDna:
    """What can be read out of any fingerprint that ever was written; missing parts are empty."""

    family: str
    major: int
    micro: int
    language: str
    sets: tuple[str, ...]
    hashes: tuple[str, ...]


_LEGACY_LANGUAGES = ("sv", "en", "ensv", "no", "da", "fi")
_LEGACY_HEAD = re.compile(
    r"(?:(?P<family>.+?)\.)?v(?P<major>[0-9]{1,9})(?:\.(?P<micro>[0-9]{1,9}))?(?:\.(?P<rest>.*))?"
)
_LEGACY_HASH = re.compile(r"[0-9a-z]{6,8}")


def parse_legacy(text: str) -> LegacyDna:
    """Read any form with a version in it (the wire contract's table of forms).

    Raises:
        DnaError: there is no `v<number>` in it.
    """
    match = _LEGACY_HEAD.fullmatch(text)
    if match is None:
        raise DnaError(f"{text!r} carries no version (v<number>)")
    parts = match["rest"].split(".") if match["rest"] else []
    language = parts.pop(0) if parts and parts[0] in _LEGACY_LANGUAGES else ""
    sets: tuple[str, ...] = ()
    hashes = tuple(parts)
    if parts and parts[0].startswith("ds"):
        tail: list[str] = []
        while len(parts) > 1 and len(tail) < 2 and _LEGACY_HASH.fullmatch(parts[-1]):
            tail.insert(0, parts.pop())
        sets = tuple(re.split(r"[-+]", ".".join(parts)[2:]))
        hashes = tuple(tail)
    return LegacyDna(match["family"] or "", int(match["major"]), int(match["micro"] or 0), language, sets, hashes)
