"""Tampering with a ledger is found, and located: more than 8,000 mutations of a small and of a large one."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from oneseek_core.audit import audit, first_difference
from oneseek_core.checkpoint import Checkpoint
from oneseek_core.ledger import Block, from_copy, to_copy, verify_chain
from support.ledgers import MUTATIONS, Mutation, chain, checkpoint, flip, lines_of, seeded

SMALL, LARGE = 14, 400
SAVED_SMALL, SAVED_LARGE = (4, 9, 14), (100, 150, 300, 400)


def _check(mutation: Mutation, saved: list[Checkpoint]) -> None:
    """Every mutation is found; located exactly, or bounded between the checkpoints around it."""
    verdict = audit(mutation.lines, saved, own=mutation.signed or saved[-1])
    assert not verdict.ok, mutation.kind
    if not mutation.bounded:
        where = {(defect.first, defect.last, defect.lines) for defect in verdict.defects}
        assert where == {(mutation.first, mutation.last, mutation.places)}, (mutation.kind, verdict.defects)
        return
    first = verdict.defects[0].first
    sizes = [0, *(point.size for point in saved)]
    below = max(size for size in sizes if size <= mutation.first)
    assert below <= first <= mutation.first, verdict.defects
    if verdict.defects[0].reason == "History rewritten":
        assert verdict.defects[0].last + 1 == min(size for size in sizes if size > mutation.first), verdict.defects


def _saved(blocks: list[Block], sizes: tuple[int, ...]) -> list[Checkpoint]:
    return [checkpoint(blocks, size) for size in sizes]


def test_every_byte_of_a_small_ledger_is_guarded_and_its_block_named() -> None:
    blocks = chain(SMALL)
    saved = _saved(blocks, SAVED_SMALL)
    dice = seeded(1)
    done = 0
    for place, block in enumerate(blocks):
        for offset in range(len(block.line)):
            _check(flip(blocks, dice, at=(place, offset)), saved)
            done += 1
    assert done > 5000
    sys.stdout.write(f"proved: {done} flipped bytes of a ledger of {SMALL} blocks, each found and located\n")


def test_3000_random_mutations_of_a_small_ledger_are_found_and_located() -> None:
    blocks = chain(SMALL)
    saved = _saved(blocks, SAVED_SMALL)
    dice = seeded(2)
    kinds = Counter()
    for _ in range(3000):
        mutation = dice.choice(MUTATIONS)(blocks, dice)
        _check(mutation, saved)
        kinds[mutation.kind] += 1
    assert min(kinds.values()) > 300
    assert len(kinds) == 8
    sys.stdout.write(f"proved: mutations of a ledger of {SMALL} blocks, by kind: {dict(kinds)}\n")


def test_random_mutations_of_a_large_ledger_are_found_and_located() -> None:
    blocks = chain(LARGE)
    saved = _saved(blocks, SAVED_LARGE)
    dice = seeded(3)
    for number in range(400):
        _check(MUTATIONS[number % len(MUTATIONS)](blocks, dice), saved)


def test_an_untouched_ledger_is_clean_against_any_of_its_checkpoints() -> None:
    blocks = chain(40)
    for size in range(1, 41):
        assert audit(lines_of(blocks), [checkpoint(blocks, size)]).ok
    assert audit(lines_of(blocks), []).ok


def test_blocks_after_the_newest_saved_checkpoint_are_no_defect_of_a_living_ledger() -> None:
    blocks = chain(8)
    saved = [checkpoint(blocks, 5)]
    assert audit(lines_of(blocks), saved).ok
    late = audit(lines_of(blocks), saved, own=saved[0]).defects
    assert [(defect.reason, defect.first, defect.last) for defect in late] == [("Block after the head", 5, 7)]


def test_two_checkpoints_of_one_size_that_differ_convict_the_signer() -> None:
    blocks = chain(6)
    other = [*blocks[:3], *chain(3, after=blocks[2], tag="x")]
    verdict = audit(lines_of(blocks), [checkpoint(blocks, 6), checkpoint(other, 6)])
    assert [defect.reason for defect in verdict.defects] == ["History rewritten"]


@pytest.mark.parametrize("length", [9, 12])
def test_two_copies_of_a_forked_ledger_part_at_a_known_block(length: int) -> None:
    blocks = chain(9)
    other = [*blocks[:6], *chain(length - 6, after=blocks[5], tag="x")]
    assert first_difference(lines_of(blocks), lines_of(other)) == 6
    assert first_difference(lines_of(blocks), lines_of(blocks[:4])) is None


def test_several_tamperings_at_once_are_all_named() -> None:
    blocks = chain(20)
    lines = lines_of(blocks)
    lines[3] = lines[3].replace(b"2025", b"2024")
    del lines[10]
    lines.append(lines[5])
    verdict = audit(lines, [checkpoint(blocks, 20)])
    assert [(defect.reason, defect.first) for defect in verdict.defects] == [
        ("Hash mismatch", 3),
        ("Block replayed", 5),
        ("Block missing", 10),
    ]


def test_a_flipped_newline_in_a_copy_is_found_beside_the_blocks_it_joins() -> None:
    blocks = chain(6)
    saved = [checkpoint(blocks, 6)]
    copy = to_copy(lines_of(blocks))
    assert audit(from_copy(copy), saved, own=saved[0]).ok
    place = -1
    for number in range(6):
        place = copy.index(b"\n", place + 1)
        verdict = audit(from_copy(copy[:place] + b"\x0b" + copy[place + 1 :]), saved, own=saved[0])
        where = {(defect.first, defect.last) for defect in verdict.defects if defect.reason == "Not canonical"}
        # At the very end there is no later block that says how many the broken line was.
        assert where == {(number, number + 1 if number < 4 else number)}


def test_a_copy_that_was_cut_within_a_line_is_bounded_at_that_line() -> None:
    blocks = chain(6)
    copy = to_copy(lines_of(blocks[:4]))
    verdict = audit(from_copy(copy[:-30]), _saved(blocks, (2, 6)))
    assert [(defect.reason, defect.first, defect.last) for defect in verdict.defects] == [
        ("Tail missing", 2, 5),
        ("Not canonical", 3, 3),
    ]


def test_the_chain_alone_already_names_each_bad_block_past_the_hundredth() -> None:
    lines = lines_of(chain(130))
    for number in (5, 105, 120):
        lines[number] = lines[number].replace(b"2025", b"2024")
    verdict = verify_chain(lines)
    assert (verdict.height, [defect.first for defect in verdict.defects]) == (130, [5, 105, 120])
