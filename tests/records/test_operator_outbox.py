"""The operator's client against a real records service: one entry that the ledger refuses keeps no other from it."""

from __future__ import annotations

import pytest

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.ledger import parse_block
from oneseek_operator.build import records as build
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
    monkeypatch.setattr(build, "url", lambda _: f"http://127.0.0.1:{place.port}")
    manifest = model_manifest()
    manifest["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    return OneSeekModel.model_validate(manifest)


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
