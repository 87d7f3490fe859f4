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
from oneseek_core.roles import Role
from oneseek_operator.clients.pod_http import Peer, PodHttpClient
from oneseek_operator.clients.records import ModelRecords, Records
from oneseek_operator.errors import RecordsError
from oneseek_operator.model.ledger_witness import Proof, difference
from support.access import HERE, TOKENS, trust
from support.ledgers import transition
from support.makers import SETTINGS, model_manifest
from support.records import Place


async def how(client: ModelRecords, witness: LedgerHead) -> str:
    """How what the service holds contradicts the witness."""
    found = await client.head()
    higher = found.height > witness.height
    return difference(witness, found, await client.proof(witness, found) if higher else Proof())


@asynccontextmanager
async def asking(place: Place) -> AsyncIterator[ModelRecords]:
    """The operator's client of the service."""
    place.tls = True
    http = PodHttpClient.connect()
    peer = Peer("127.0.0.1", place.port, "of the records service", TOKENS[Role.OPERATOR], trust(), HERE)
    try:
        yield ModelRecords(http, peer)
    finally:
        await http.close()


@asynccontextmanager
async def serving(place: Place) -> AsyncIterator[ModelRecords]:
    """The service at work, and a client of it: a connection to the one before would be broken."""
    async with asking(place) as client:
        with place.service():
            yield client


async def test_records_put_back_to_an_older_copy_are_told_from_those_that_went_on(
    on_disk: Place, tmp_path: Path
) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    async with serving(on_disk) as client:
        early = (await client.append([transition(key) for key in "abc"])).head
    shutil.copytree(on_disk.data, older)
    async with serving(on_disk) as client:
        witness = (await client.append([transition(key) for key in "def"])).head
        assert (early.height, witness.height) == (4, 7)
        for seen in (early, early.model_copy(update={"root": None}), witness):
            assert await how(client, seen) == ""
    on_disk.data.rename(newer)
    shutil.copytree(older, on_disk.data)
    async with serving(on_disk) as client:  # an older copy is in itself without a fault
        assert on_disk.client().call("GET", "/v1/verify")["valid"] is True
        assert await how(client, witness) == "it ends before that"
        # Somebody lets it grow again, beyond what was witnessed.
        await client.append([transition(key, reason="another") for key in "defg"])
        assert await how(client, witness) == "it does not prove that it goes on from there"
        of_the_release_before = witness.model_copy(update={"root": None})
        assert await how(client, of_the_release_before) == "it has another block there"
        assert await how(client, early) == ""
    shutil.rmtree(on_disk.data)
    newer.rename(on_disk.data)
    async with serving(on_disk) as client:
        assert await how(client, witness) == ""


async def test_a_lost_status_does_not_make_this_process_forget_the_witness() -> None:
    manifest = model_manifest()
    manifest["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    model = OneSeekModel.model_validate(manifest)
    http = PodHttpClient.connect()
    try:
        records = Records(http, SETTINGS, trust)
        assert records.witness(model) is None
        head = LedgerHead(height=7, head="a" * 64)
        known = model.model_copy(update={"status": model.status.model_copy(update={"ledger": head})})
        assert records.witness(known) == records.witness(model) == head
    finally:
        await http.close()


async def test_a_refused_transition_is_named_and_all_others_are_recorded(place: Place) -> None:
    async with asking(place) as client:
        with place.service():
            done = await client.append([transition("a"), transition("b")])
            assert (done.acknowledged, done.refused, done.head.height) == (("a", "b"), (), 3)
            waiting = [transition("c"), transition("a", reason="another"), transition("d")]
            done = await client.append(waiting)
            assert done.acknowledged == ("c", "d")
            (sentence,) = done.refused
            assert sentence.startswith("promote a: ")
            assert "'a' already stands in block 1 with another content" in sentence
            keys = [parse_block(line).data["content"]["idempotencyKey"] for line in place.client().audited()[1:]]
            assert keys == ["a", "b", "c", "d"]
            assert done.head.height == 5
        with pytest.raises(RecordsError, match="/v1/transitions of the records service: "):
            await client.append(waiting)
