from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from oneseek_core.ledger import Block, to_copy
from oneseek_runtime.plugin.copies import parse_dump
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.timeline import events_of, gaps, live_at, reigns_of
from oneseek_runtime.plugin.times import moment
from oneseek_runtime.records.signing import Signer
from support.ledgers import MUTATIONS, ORIGIN, Mutation, chain, checkpoint, lines_of, seeded
from support.plugin_objects import ONE, STORY, THREE, TWO, Cluster, ledger, model
from support.records import Place

BLOCKS = ledger()
COPY = to_copy(lines_of(BLOCKS))

HISTORY = """\
BLOCK   TIME                       WHAT         VERSION                                                            BY                            REASON
1       2026-03-01T08:00:00.000Z   certify      OneSeek-7B-Zero.v1.0.ensv.dsIdentity.88e5477b.13bb1cd8             oneseek-operator              sealed
4       2026-03-01T09:00:00.000Z   promote      OneSeek-7B-Zero.v1.0.ensv.dsIdentity.88e5477b.13bb1cd8             oneseek-operator              newest certified version
7       2026-03-02T08:00:00.000Z   certify      OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4   oneseek-operator              sealed
10      2026-03-02T09:00:00.000Z   promote      OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4   oneseek-operator              newest certified version
13      2026-03-02T10:00:00.000Z   quarantine   OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4   oneseek-operator              FileChanged
16      2026-03-02T10:00:00.500Z   rollback     OneSeek-7B-Zero.v1.0.ensv.dsIdentity.88e5477b.13bb1cd8             oneseek-operator              what answered is in quarantine
19      2026-03-04T09:00:00.000Z   promote      OneSeek-7B-Zero.v3.0.sv.dsIdentity.5ad0c1f2.e09a4471               oneseek-operator              newest certified version
22      2026-03-05T09:00:00.000Z   reset        ● (base model)                                                     åsa@example.org (unverified)   RESET
live since 2026-03-05T09:00:00.000Z: (base model)
"""  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.chdir(tmp_path)
    Path("ledger.jsonl").write_bytes(COPY)
    return Cluster(tmp_path, capsys)


# -- history ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "dna"),
    [
        pytest.param("2026-03-01T07:00:00Z", None, id="as the ledger begins"),
        pytest.param("2026-03-01T08:59:59.999Z", None, id="just before the first promotion"),
        pytest.param("2026-03-01T09:00:00Z", ONE, id="at the first promotion"),
        pytest.param("2026-03-02T08:30:00Z", ONE, id="certified is not live"),
        pytest.param("2026-03-02T09:00:00Z", TWO, id="second promotion"),
        pytest.param("2026-03-02T10:00:00.499Z", TWO, id="in quarantine and still answering"),
        pytest.param("2026-03-02T10:00:00.500Z", ONE, id="rolled back"),
        pytest.param("2026-03-03T18:00:00+01:00", ONE, id="a day later, from another zone"),
        pytest.param("2026-03-04T12:00:00Z", THREE, id="third promotion"),
        pytest.param("2026-03-05T09:00:00Z", None, id="reset"),
    ],
)
def test_history_at_a_time_names_what_was_live(cluster: Cluster, at: str, dna: str | None) -> None:
    assert cluster.json("history", "--file", "ledger.jsonl", "--at", at)["live"]["dna"] == dna


def test_history_tells_every_transition_and_marks_what_is_live(cluster: Cluster) -> None:
    code, out, err = cluster("history", "--file", "ledger.jsonl")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [line.split() for line in HISTORY.splitlines()]


def test_history_at_a_time_says_since_when_until_when_and_by_whom(cluster: Cluster) -> None:
    code, out, _ = cluster("history", "--file", "ledger.jsonl", "--at", "2026-03-02 09:30")
    assert code == 0
    assert out == (
        "at      2026-03-02T09:30:00.000Z\n"
        f"live    {TWO}\n"
        f"digest  sha256:2{'0' * 63}\n"
        "since   2026-03-02T09:00:00.000Z   promote by oneseek-operator, block 10: newest certified version\n"
        "until   2026-03-02T10:00:00.500Z   rollback by oneseek-operator, block 16: what answered is in quarantine\n"
    )


def test_history_warns_that_a_copy_ends_before_the_time_asked_for(cluster: Cluster) -> None:
    code, out, err = cluster("history", "--file", "ledger.jsonl", "--at", "2026-03-06")
    assert (code, "until   now, as far as it is known" in out) == (0, True)
    assert "the copy ends at 2026-03-05T09:00:00.000Z: what came after is not in it" in err


def test_a_transition_that_is_not_in_the_ledger_is_noticed() -> None:
    events = events_of(ledger())
    without = [event for event in events if event.kind != "rollback"]
    assert gaps(events) == []
    assert gaps(without) == [f"block 19 says that {ONE} answered before it, the blocks before say {TWO}"]


def test_a_step_older_than_the_ledger_counts_from_when_it_happened() -> None:
    reigns = reigns_of(events_of(ledger()), "2026-03-08T00:00:00.000Z")
    assert (reigns[0].dna, reigns[0].since) == (None, "2026-03-01T08:00:00.000Z")
    assert (reigns[1].dna, reigns[1].since) == (ONE, "2026-03-01T09:00:00.000Z")


def test_a_step_recorded_late_does_not_turn_time_back() -> None:
    story = (STORY[1], {**STORY[3], "timestamp": "2026-03-01T08:30:00.000Z"})
    reigns = reigns_of(events_of(ledger(story)), "2026-03-01T07:00:00.000Z")
    at = moment("2026-03-01T09:00:00Z")
    assert at is not None
    assert [reign.dna for reign in reigns] == [None, ONE, TWO]
    found = live_at(reigns, at)
    assert found is not None
    assert found.dna == TWO


# -- audit --------------------------------------------------------------------------------------------------------


def test_audit_names_the_first_defect_exactly(cluster: Cluster) -> None:
    lines = lines_of(BLOCKS)
    lines[7] = lines[7].replace(b'"reason":"sealed"', b'"reason":"opened"')
    Path("bad.jsonl").write_bytes(to_copy([*lines[:12], *lines[13:]]))
    code, out, _ = cluster("audit", "bad.jsonl")
    Path("saved").write_text(checkpoint(BLOCKS, len(BLOCKS)).text() + "\n")
    first = cluster.json("audit", "bad.jsonl", "--checkpoint", "saved")["first"]  # which bounds the missing tail, too
    assert (code, first["reason"], first["firstBlock"], first["lines"]) == (1, "Hash mismatch", 7, [8])
    assert out.splitlines()[:3] == [
        "NOT CLEAN   bad.jsonl: 2 defects in 24 blocks",
        "first   Hash mismatch, block 7, line 8 of the copy",
        "        block 7 does not have its hash",
    ]
    assert [line.split() for line in out.splitlines()[5:]] == [
        ["ALSO", "BLOCKS", "LINES", "WHAT"],
        ["Block", "missing", "12", "-", "blocks", "12", "to", "12", "are", "not", "in", "the", "copy"],
    ]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_no_tampered_copy_passes_the_audit(cluster: Cluster, mutate: Callable[[list[Block], Random], Mutation]) -> None:
    blocks = chain(12)
    Path("saved").write_text(checkpoint(blocks, 12).text() + "\n")
    for seed in range(5):
        tampered = mutate(blocks, seeded(seed))
        Path("bad.jsonl").write_bytes(to_copy(tampered.lines))
        code, out, _ = cluster("audit", "bad.jsonl", "--checkpoint", "saved")
        assert (code, out.startswith("NOT CLEAN")) == (1, True)


def test_a_checkpoint_that_nobody_trusted_signed_is_a_defect_and_no_witness(cluster: Cluster) -> None:
    blocks, keys = (
        chain(6),
        [Signer(ORIGIN, Ed25519PrivateKey.generate()), Signer(ORIGIN, Ed25519PrivateKey.generate())],
    )
    Path("ledger.jsonl").write_bytes(to_copy(lines_of(blocks)))
    point = checkpoint(blocks, 6)
    for name, signer in zip(("good", "forged"), keys, strict=True):
        Path(name).write_text(signer.note(point.size, point.root, str(point.head)))
    Path("key").write_text(f"{keys[0].key}\n")
    assert cluster("audit", "ledger.jsonl", "--checkpoint", "good", "--key", "key")[0] == 0
    code, out, _ = cluster("audit", "ledger.jsonl", "--checkpoint", "forged", "--key", str(keys[0].key))
    assert (code, "Checkpoint not signed" in out) == (1, True)


def test_checkpoints_of_another_ledger_are_not_held_against_this_one(cluster: Cluster) -> None:
    blocks = chain(3)
    Path("one").write_text(checkpoint(blocks, 3).text() + "\n")
    Path("two").write_text(checkpoint(blocks, 3).text().replace("team/demo", "team/other") + "\n")
    code, _, err = cluster("audit", "ledger.jsonl", "--checkpoint", "one", "--checkpoint", "two")
    assert (code, "two is a checkpoint of oneseek.io/team/other, not of oneseek.io/team/demo" in err) == (2, True)


# -- through a records pod ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 2, 3], ids=lambda cut: f"{cut} lines short")
def test_a_dump_whose_connection_broke_is_no_ledger(cut: int) -> None:
    head = json.dumps({"origin": ORIGIN, "head": {"checkpoint": "x"}, "checkpoints": []}).encode()
    lines = [head, *lines_of(BLOCKS)[:2], b'{"end": 2}'][: 4 - cut]
    if cut:
        with pytest.raises(CannotTellError, match="try again"):
            parse_dump(b"".join(line + b"\n" for line in lines), "pod", whole=True)
    else:
        assert len(parse_dump(b"".join(line + b"\n" for line in lines), "pod", whole=True).lines) == 2


@pytest.fixture
def records(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """A real records service with a story of its own, in the pod that kubectl enters."""
    home = tmp_path / "records"
    home.mkdir()
    place = Place.make(home)
    with place.service():
        client = place.client()
        client.append("a", to=ONE, timestamp="2026-03-01T09:00:00.000Z", **{"from": None})
        document = {"queryId": "q1", "question": "Vem är du?", "version": ONE}
        client.call("POST", "/v1/queries", {"queries": [{"query": document}]})
        receipt = client.append("b", to=TWO, timestamp="2026-03-02T09:00:00.000Z", **{"from": ONE})[0]
        seen = {"height": receipt["blockNumber"] + 1, "head": receipt["hash"]}
        cluster.objects = [model(ledger=seen)]
        cluster.containers["statefulset/demo-records/records"] = {"environment": place.environment()}
        yield cluster


def test_history_and_audit_read_the_ledger_through_its_pod(records: Cluster, tmp_path: Path) -> None:
    found = records.json("history", "demo", "--at", "2026-03-01T12:00:00Z")
    assert (found["verified"], found["live"]["dna"], found["live"]["ended"]["block"]) == (True, ONE, 3)
    code, out, _ = records("audit", "demo", "--save", "copy.jsonl")
    assert (code, out) == (0, "clean   statefulset/demo-records: 4 blocks\n")
    code, out, err = records("audit", "./copy.jsonl", "--checkpoint", "copy.jsonl.checkpoint")
    assert (code, err) == (0, "")
    assert out == "clean   copy.jsonl: 4 blocks, the first 4 vouched for by your checkpoints\n".replace(
        "copy", "./copy"
    )
    records.objects = [model(ledger={"height": 4, "head": "f" * 64})]
    code, out, _ = records("audit", "demo")
    assert code == 1
    assert "first   Head differs, block 0 to 3, line 4 of the copy" in out
    (tmp_path / "records" / "token").write_text("another\n")
    records.containers["statefulset/demo-records/records"]["environment"]["ONESEEK_RECORDS"] = "{}"
    code, _, err = records("history", "demo")
    assert code == 2
    assert "ONESEEK_RECORDS does not fit RecordsSettings" in err
