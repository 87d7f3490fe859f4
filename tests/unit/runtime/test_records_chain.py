from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from oneseek_core.ledger import first_block, verify_chain
from oneseek_runtime.records.chain import Chain, load, now, verify
from oneseek_runtime.records.store import Entry
from oneseek_runtime.records.wire import verdict_body
from support.ledgers import AT, chain, checkpoint, lines_of


@given(kept=st.integers(1, 20), lost=st.integers(0, 20))
@settings(max_examples=40)
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


def test_a_ledger_that_is_only_read_is_judged_as_one_that_is_loaded() -> None:
    blocks = chain(30)
    saved = [checkpoint(blocks, 10), checkpoint(blocks, 30)]
    broken = lines_of(blocks)
    broken[20] = broken[20].replace(b"demo", b"Demo")
    rewritten = lines_of([*blocks[:12], *chain(18, after=blocks[11], tag="x")])
    for lines in (lines_of(blocks), broken, rewritten, lines_of(blocks[:25]), []):
        assert verify(lines, saved) == load(lines, saved)[1]
    assert verify(lines_of(blocks), saved).ok


def test_a_ledger_that_is_damaged_all_over_is_told_in_bounded_memory_and_counted_right() -> None:
    verdict = verify((b"no block" for _ in range(5000)), [])
    assert (verdict.height, len(verdict.defects), verdict.unlisted) == (5000, 1000, 4000)
    body = verdict_body(verdict)
    assert (body["valid"], body["verifiedBlocks"], body["integrity"]) == (False, 0, "0.00")
