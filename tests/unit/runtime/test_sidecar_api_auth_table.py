"""docs/reference/auth.md says what the app does, and no route that changes something has forgotten its guard."""

from __future__ import annotations

from support.auth_matrix import BEGIN, DOCUMENT, END, OPEN, rows, table


def test_every_route_that_takes_posts_is_guarded_or_open_on_purpose() -> None:
    unguarded = {row.path for row in rows() if not row.right}
    assert unguarded <= OPEN, (
        "wrap the endpoint with auth.needs(...), or add it to OPEN in tests/support/auth_matrix.py"
    )


def test_the_documents_table_is_the_apps() -> None:
    shown = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0].strip()
    assert shown == table(), (
        "run `PYTHONPATH=core:runtime:tests python -m support.auth_matrix` and commit docs/reference/auth.md"
    )
