"""The operator's client against a real records service: one entry that the ledger refuses keeps no other from it."""

from __future__ import annotations

import pytest

from oneseek_core.ledger import parse_block
from oneseek_core.roles import Role
from oneseek_operator.asking import Asker, Peer
from oneseek_operator.errors import RecordsError
from oneseek_operator.records import ModelRecords
from support.access import HERE, TOKENS, trust
from support.ledgers import transition
from support.records import Place


async def test_a_refused_transition_is_named_and_all_others_are_recorded(place: Place) -> None:
    place.tls = True
    asker = Asker.connect()
    peer = Peer("127.0.0.1", place.port, "of the records service", TOKENS[Role.OPERATOR], trust(), HERE)
    client = ModelRecords(asker, peer)
    try:
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
    finally:
        await asker.close()
