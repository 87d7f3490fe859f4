from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.firestore import Emulator, emulator
from support.learning import EAGER, NEVER, learning, with_micro
from support.legacy import Service
from support.records import Place


@pytest.fixture(scope="session")
def firestore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The one emulator of a run."""
    with emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(params=["sqlite", "firestore"])
def place(request: pytest.FixtureRequest) -> Place:
    """Where the records of one model will lie, with token and key; nothing runs there yet."""
    return request.getfixturevalue("on_disk" if request.param == "sqlite" else "in_firestore")


@pytest.fixture
def on_disk(tmp_path: Path) -> Place:
    """The same, in a folder."""
    return Place.make(tmp_path)


@pytest.fixture
def in_firestore(tmp_path: Path, firestore: Emulator) -> Place:
    """The same, in Firestore."""
    made = Place.make(tmp_path)
    # Whoever builds on a busy machine waits longer for the emulator than anybody would for Firestore.
    made.firestore = {"projectId": firestore.project(), "emulatorHost": firestore.host, "deadlineSeconds": 20}
    return made


@pytest.fixture
async def quiet(place: Place, tmp_path: Path) -> AsyncIterator[Service]:
    """Nothing becomes due."""
    with place.service():
        async with learning(place, tmp_path / "pod", model=with_micro(**NEVER)) as item:
            yield item


@pytest.fixture
async def eager(place: Place, tmp_path: Path) -> AsyncIterator[Service]:
    """Every question is due at once."""
    with place.service():
        async with learning(place, tmp_path / "pod", model=with_micro(**EAGER)) as item:
            yield item
