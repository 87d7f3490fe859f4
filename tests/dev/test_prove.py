"""The day's file of proofs: a proof that is run again replaces its own row and figures, and nobody else's."""

from __future__ import annotations

from oneseek_dev.prove import PROOFS, Result, main, page, read

FIRST, SECOND = list(PROOFS)[:2]


def test_what_is_written_is_read_back() -> None:
    results = {
        FIRST: Result(f"| {FIRST} | `pytest a` | 1234567 | 1 passed | 2 |", ("100 kills", "3 lost")),
        SECOND: Result(f"| {SECOND} | `pytest b` | 1234567 | 2 passed | 3 |"),
    }
    assert read(page("2026-11-25", results)) == results


def test_a_proof_run_again_leaves_the_others() -> None:
    old = read(
        page("2026-11-25", {FIRST: Result(f"| {FIRST} | a | 1 | 1 failed | 2 |"), SECOND: Result(f"| {SECOND} | b |")})
    )
    again = read(page("2026-11-25", {**old, FIRST: Result(f"| {FIRST} | a | 2 | 1 passed | 2 |", ("7 things",))}))
    assert again[SECOND] == old[SECOND]
    assert again[FIRST].figures == ("7 things",)


def test_a_word_that_names_no_proof_is_told() -> None:
    assert main(["no-such-proof"]) == 2
