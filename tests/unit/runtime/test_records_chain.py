from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from oneseek_core.ledger import first_block, verify_chain
from oneseek_runtime.records.chain import Chain, load, now
from oneseek_runtime.records.store import Entry
from support.ledgers import AT, chain, checkpoint, lines_of


@given(kept=st.integers(1, 20), lost=st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_what_is_taken_back_leaves_no_trace(kept: int, lost: int) -> None:
    clean, tried = Chain(), Chain()
    for one in (clean, tried):
        one.add(first_block("x", AT))
        for number in range(kept):
            one.stage(Entry(f"t:{number}", "train", {"n": number}), lambda: AT)
    tip = tried.tip
    staged = [tried.stage(Entry(f"t:x{number}", "reset", {}), lambda: AT) for number in range(lost)]
    tried.take_back(kept + 1, tip, staged)
    assert (tried.tree.root(), tried.tip, tried.totals()) == (clean.tree.root(), clean.tip, clean.totals())


def test_a_loaded_ledger_is_checked_against_every_kept_checkpoint() -> None:
    blocks = chain(30)
    found, verdict = load(lines_of(blocks), [checkpoint(blocks, 10), checkpoint(blocks, 30)])
    assert verdict.ok
    assert (found.tree.size, found.tip, found.totals()["genesis"]) == (30, blocks[-1], 1)
    other = [*blocks[:12], *chain(18, after=blocks[11], tag="x")]
    _, verdict = load(lines_of(other), [checkpoint(blocks, 10), checkpoint(blocks, 20), checkpoint(blocks, 30)])
    assert [(one.reason, one.first, one.last) for one in verdict.defects] == [("History rewritten", 10, 19)]
    _, verdict = load(lines_of(blocks[:25]), [checkpoint(blocks, 10), checkpoint(blocks, 30)])
    assert [(one.reason, one.first, one.last) for one in verdict.defects] == [("Tail missing", 10, 29)]


def test_the_clock_speaks_the_blocks_form() -> None:
    assert verify_chain([first_block("x", now()).line]).ok
