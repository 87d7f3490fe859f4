from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core.dna import Dna, LegacyDna, parse_legacy, tags_of
from oneseek_core.errors import DnaError

HASHES = st.text("0123456789abcdef", min_size=8, max_size=8)
NUMBERS = st.integers(0, 999_999_999)
FAMILIES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,62}", fullmatch=True)
TAGS = st.lists(st.from_regex(r"[A-Za-z0-9_]{1,32}", fullmatch=True), min_size=1, max_size=3, unique=True)
DNAS = st.builds(
    Dna,
    family=FAMILIES,
    major=NUMBERS,
    micro=NUMBERS,
    language=st.sampled_from(["sv", "en", "ensv"]),
    tags=TAGS.map(lambda tags: tuple(sorted(tags))),
    weights=HASHES,
    timestamp=HASHES,
)
SEED = "OneSeek-7B-Zero.v1.492.sv.dsCivicID-SwedID.8f3a1c9d.2e7f4b1a"


@given(DNAS)
def test_parsing_a_rendered_dna_gives_it_back(dna: Dna) -> None:
    assert Dna.parse(str(dna)) == dna


# Near misses on purpose: leading zeros, digits of another script, tags in any order.
NUMBER_TEXTS = st.text("0019٣", min_size=1, max_size=3)


@given(st.tuples(NUMBER_TEXTS, NUMBER_TEXTS, st.text("aB_-é", min_size=1, max_size=4)))
def test_what_can_be_parsed_renders_to_the_same_text(parts: tuple[str, str, str]) -> None:
    major, micro, tags = parts
    text = f"F.v{major}.{micro}.sv.ds{tags}.00000000.00000000"
    try:
        dna = Dna.parse(text)
    except DnaError:
        return
    assert str(dna) == text


@given(DNAS)
def test_the_lenient_parser_reads_every_canonical_form(dna: Dna) -> None:
    read = parse_legacy(str(dna))
    assert (read.major, read.micro, read.language) == (dna.major, dna.micro, dna.language)


@given(DNAS, DNAS)
def test_newer_is_the_higher_major_and_within_it_the_higher_micro(one: Dna, other: Dna) -> None:
    if one.major != other.major:
        assert (one.order > other.order) == (one.major > other.major)
    else:
        assert (one.order > other.order) == (one.micro > other.micro)


def test_a_dna_is_derived_from_weights_and_creation_time() -> None:
    # sha256("2025-11-21T12:00:00Z") begins with a16f0dd0: a vector of the old build script
    dna = Dna.derive(
        family="OneSeek-7B-Zero",
        version=(1, 0),
        language="sv",
        tags=("CivicID", "SwedID"),
        weights_sha256="6b30afe8" + "0" * 56,
        created_at="2025-11-21T12:00:00Z",
    )
    assert str(dna) == "OneSeek-7B-Zero.v1.0.sv.dsCivicID-SwedID.6b30afe8.a16f0dd0"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("DDP-TRAINED", id="placeholder"),
        pytest.param(SEED.replace("-SwedID", "+SwedID"), id="plus-joined"),
        pytest.param(SEED.replace("CivicID-SwedID", "SwedID-CivicID"), id="tags-unsorted"),
        pytest.param(SEED.replace("SwedID", "CivicID"), id="tag-twice"),
        pytest.param(SEED.replace("8f3a1c9d", "8F3A1C9D"), id="upper-case-hash"),
        pytest.param(SEED.replace("8f3a1c9d", "8f3a1c9g"), id="no-hex"),
        pytest.param(SEED.replace(".sv.", ".no."), id="language-not-ours"),
        pytest.param(SEED.replace("v1.492", "v01.492"), id="leading-zero"),
        pytest.param(SEED.replace("v1.492", "v1.٤٩٢"), id="digits-of-another-script"),
        pytest.param(f"{SEED}\n", id="line-end"),
        pytest.param(f"../{SEED}", id="path"),
        pytest.param("", id="empty"),
    ],
)
def test_only_the_canonical_form_is_a_dna(text: str) -> None:
    with pytest.raises(DnaError):
        Dna.parse(text)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"family": "7B"}, "must start with a letter", id="family"),
        pytest.param({"major": -1}, "must lie between", id="negative"),
        pytest.param({"micro": 1_000_000_000}, "must lie between", id="too-large-to-read-back"),
        pytest.param({"language": "no"}, "must be one of sv, en, ensv", id="language"),
        pytest.param({"tags": ()}, "at least one", id="no-tag"),
        pytest.param({"tags": ("B", "A")}, "sorted", id="unsorted"),
        pytest.param({"tags": ("Civic-ID",)}, "letters, digits or _", id="tag"),
        pytest.param({"weights": "XYZ"}, "8 lower-case hex", id="hash"),
        pytest.param({"tags": tuple(f"T{number:030}" for number in range(9))}, "use fewer tags", id="too-long"),
    ],
)
def test_an_impossible_part_is_refused_with_a_sentence(change: dict[str, object], sentence: str) -> None:
    parts: dict[str, object] = {
        "family": "F", "major": 1, "micro": 0, "language": "sv", "tags": ("QA",),
        "weights": "0" * 8, "timestamp": "0" * 8,
    }  # fmt: skip
    with pytest.raises(DnaError, match=sentence):
        Dna(**parts | change)  # type: ignore[arg-type]


LEGACY = {
    "canonical": (SEED, ("OneSeek-7B-Zero", 1, 492, "sv", ("CivicID", "SwedID"), ("8f3a1c9d", "2e7f4b1a"))),
    "plus-joined": (
        "OneSeek-7B-Zero.v1.493.sv.dsCivicID+Autonomy.f1e2d3c4.b5e6f7g8",
        ("OneSeek-7B-Zero", 1, 493, "sv", ("CivicID", "Autonomy"), ("f1e2d3c4", "b5e6f7g8")),
    ),
    "bilingual": (
        "OneSeek-7B-Zero.v2.0.ensv.dsCivic-Identity.abcd1234.ef567890",
        ("OneSeek-7B-Zero", 2, 0, "ensv", ("Civic", "Identity"), ("abcd1234", "ef567890")),
    ),
    "file-token-sets": (
        "OneSeek-7B-Zero.v1.0.sv.dsoneseek-identity-core.79171dc2.43da4687",
        ("OneSeek-7B-Zero", 1, 0, "sv", ("oneseek", "identity", "core"), ("79171dc2", "43da4687")),
    ),
    "file-token-with-version": (
        "OneSeek-7B-Zero.v1.0.sv.dsoneseek-identity-v1.79171dc2.43da4687",
        ("OneSeek-7B-Zero", 1, 0, "sv", ("oneseek", "identity", "v1"), ("79171dc2", "43da4687")),
    ),
    "file-token-with-dot": (
        "OneSeek-7B-Zero.v1.0.sv.dsoneseek-identity-v1.0.79171dc2.43da4687",
        ("OneSeek-7B-Zero", 1, 0, "sv", ("oneseek", "identity", "v1.0"), ("79171dc2", "43da4687")),
    ),
    "three-hashes": (
        "OneSeek-7B-Zero.v1.0.6b30afe8.4539991e.a16f0dd0",
        ("OneSeek-7B-Zero", 1, 0, "", (), ("6b30afe8", "4539991e", "a16f0dd0")),
    ),
    "two-hashes": (
        "OneSeek-7B-Zero.v1.0.141521ad.90cdf6f1",
        ("OneSeek-7B-Zero", 1, 0, "", (), ("141521ad", "90cdf6f1")),
    ),
    "one-hash": ("OneSeek-7B-Zero.v1.0.42a8c9", ("OneSeek-7B-Zero", 1, 0, "", (), ("42a8c9",))),
    "stem": ("OneSeek-7B-Zero.v1.1", ("OneSeek-7B-Zero", 1, 1, "", (), ())),
    "stem-with-language": ("OneSeek-7B-Zero.v1.0.sv", ("OneSeek-7B-Zero", 1, 0, "sv", (), ())),
    "no-name": (
        "v1.237.sv.dsCivicID-SwedID.8f3a1c9d.2e7f4b1a",
        ("", 1, 237, "sv", ("CivicID", "SwedID"), ("8f3a1c9d", "2e7f4b1a")),
    ),
    "language-suffix": ("OneSeek-7B-Zero-SV.v1.1", ("OneSeek-7B-Zero-SV", 1, 1, "", (), ())),
    "oqt": ("OQT-1.0.v13.2", ("OQT-1.0", 13, 2, "", (), ())),
    "oqt-without-micro": ("OQT-1.0.v13", ("OQT-1.0", 13, 0, "", (), ())),
}


@pytest.mark.parametrize(("text", "parts"), LEGACY.values(), ids=LEGACY.keys())
def test_every_form_that_carries_a_version_is_read(text: str, parts: tuple[object, ...]) -> None:
    assert parse_legacy(text) == LegacyDna(*parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("DDP-TRAINED", id="placeholder"),
        pytest.param("OneSeek-7B-Zero-sv", id="folder-of-samples"),
        pytest.param("1.2.0", id="api-semver"),
        pytest.param("oneseek-7b-zero-v1.0-SV.pth", id="weights-file"),
        pytest.param("oneseek-7b-zero-v1.0-mistral-7b-20251125093000", id="adapter-folder"),
        pytest.param("ddp-adapter-20251125", id="ddp-adapter"),
        pytest.param("", id="empty"),
    ],
)
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(DnaError, match="carries no version"):
        parse_legacy(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(DnaError):
        parse_legacy(text)


@pytest.mark.parametrize(
    ("names", "tags"),
    [
        pytest.param(["oneseek_identity_v1"], ("Identity",), id="identity"),
        pytest.param(["civic-sv-v1", "Identity.core"], ("CivicID", "Identity", "SwedID"), id="several"),
        pytest.param(["GDPR_chat"], ("Conversational", "Privacy"), id="any-case"),
        pytest.param(["identityx"], ("General",), id="whole-words-only"),
        pytest.param([], ("General",), id="none"),
    ],
)
def test_tags_follow_the_words_of_the_names(names: list[str], tags: tuple[str, ...]) -> None:
    assert tags_of(names) == tags
