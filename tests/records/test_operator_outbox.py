"""The operator's client against a real records service: one entry that the ledger refuses keeps no other from it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger import parse_block
from oneseek_operator.build import records as build
from oneseek_operator.decide.witness import Proof, difference
from oneseek_operator.errors import RecordsError
from oneseek_operator.records import Records
from support.ledgers import transition
from support.makers import model_manifest
from support.records import TOKEN, Place


class Client(Records):
    """The operator's client, with the token and address of the service that the test started."""

    def token(self, model: OneSeekModel) -> str:
        return TOKEN


@pytest.fixture
def model(place: Place, monkeypatch: pytest.MonkeyPatch) -> OneSeekModel:
    """A model whose records service listens on this machine."""
    return model_at(place, monkeypatch)


def model_at(place: Place, monkeypatch: pytest.MonkeyPatch) -> OneSeekModel:
    monkeypatch.setattr(build, "url", lambda _: f"http://127.0.0.1:{place.port}")
    manifest = model_manifest()
    manifest["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    return OneSeekModel.model_validate(manifest)


async def how(client: Client, model: OneSeekModel, witness: LedgerHead) -> str:
    """How what the service holds contradicts the witness."""
    found = await client.head(model)
    higher = found.height > witness.height
    return difference(witness, found, await client.proof(model, witness, found) if higher else Proof())


@asynccontextmanager
async def serving(place: Place) -> AsyncIterator[Client]:
    """The service at work, and a client of it: a connection to the one before would be broken."""
    with place.service():
        client = Client.connect(b"key")
        try:
            yield client
        finally:
            await client.close()


async def test_records_put_back_to_an_older_copy_are_told_from_those_that_went_on(
    on_disk: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_at(on_disk, monkeypatch)
    older, newer = tmp_path / "older", tmp_path / "newer"
    async with serving(on_disk) as client:
        early = (await client.append(model, [transition(key) for key in "abc"])).head
    shutil.copytree(on_disk.data, older)
    async with serving(on_disk) as client:
        witness = (await client.append(model, [transition(key) for key in "def"])).head
        assert (early.height, witness.height) == (4, 7)
        for seen in (early, early.model_copy(update={"root": None}), witness):
            assert await how(client, model, seen) == ""
    on_disk.data.rename(newer)
    shutil.copytree(older, on_disk.data)
    async with serving(on_disk) as client:  # an older copy is in itself without a fault
        assert on_disk.client().call("GET", "/v1/verify")["valid"] is True
        assert await how(client, model, witness) == "it ends before that"
        # Somebody lets it grow again, beyond what was witnessed.
        await client.append(model, [transition(key, reason="another") for key in "defg"])
        assert await how(client, model, witness) == "it does not prove that it goes on from there"
        of_the_release_before = witness.model_copy(update={"root": None})
        assert await how(client, model, of_the_release_before) == "it has another block there"
        assert await how(client, model, early) == ""
    shutil.rmtree(on_disk.data)
    newer.rename(on_disk.data)
    async with serving(on_disk) as client:
        assert await how(client, model, witness) == ""


async def test_a_lost_status_does_not_make_this_process_forget_the_witness(
    on_disk: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, client = model_at(on_disk, monkeypatch), Client.connect(b"key")
    try:
        assert client.witness(model) is None
        head = LedgerHead(height=7, head="a" * 64)
        known = model.model_copy(update={"status": model.status.model_copy(update={"ledger": head})})
        assert client.witness(known) == client.witness(model) == head
    finally:
        await client.close()


async def test_a_refused_transition_is_named_and_all_others_are_recorded(place: Place, model: OneSeekModel) -> None:
    client = Client.connect(b"key")
    try:
        with place.service():
            done = await client.append(model, [transition("a"), transition("b")])
            assert (done.acknowledged, done.refused, done.head.height) == (("a", "b"), (), 3)
            waiting = [transition("c"), transition("a", reason="another"), transition("d")]
            done = await client.append(model, waiting)
            assert done.acknowledged == ("c", "d")
            (sentence,) = done.refused
            assert sentence.startswith("promote a: ")
            assert "'a' already stands in block 1 with another content" in sentence
            keys = [parse_block(line).data["content"]["idempotencyKey"] for line in place.client().audited()[1:]]
            assert keys == ["a", "b", "c", "d"]
            assert done.head.height == 5
        with pytest.raises(RecordsError, match="does not answer"):
            await client.append(model, waiting)
    finally:
        await client.close()
