from __future__ import annotations

from pathlib import Path

import pytest

from support.records import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder for the records of one model, with token and key; nothing runs there yet."""
    return Place.make(tmp_path)
