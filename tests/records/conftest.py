from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.firestore import Emulator, emulator
from support.records import Place


@pytest.fixture(scope="session")
def firestore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The one emulator of a run."""
    with emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(params=["sqlite", "firestore"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where the records of one model will lie, with token and key; nothing runs there yet."""
    made = Place.make(tmp_path)
    if request.param == "firestore":
        running = request.getfixturevalue("firestore")
        made.firestore = {"projectId": running.project(), "emulatorHost": running.host}
    return made


@pytest.fixture
def on_disk(tmp_path: Path) -> Place:
    """The same, in a folder."""
    return Place.make(tmp_path)


@pytest.fixture
def in_firestore(tmp_path: Path, firestore: Emulator) -> Place:
    """The same, in Firestore."""
    made = Place.make(tmp_path)
    made.firestore = {"projectId": firestore.project(), "emulatorHost": firestore.host}
    return made
