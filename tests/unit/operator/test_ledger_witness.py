"""An older copy of the ledger, or another one: nothing is entered into it, and no witness gives way, until a person says so."""

from __future__ import annotations

from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger import Block
from oneseek_core.merkle import Tree
from oneseek_operator.model.ledger_witness import Proof, difference
from support.choices import answers, dna_of, status_of, trained
from support.driver import condition, settle
from support.ledgers import chain, checkpoint, seeded
from support.makers import run_manifest
from support.world import World

LEDGER = f"{names.GROUP}/{names.ACKNOWLEDGE_VERB}"


def head_of(blocks: list[Block], size: int, *, root: bool = True) -> LedgerHead:
    point = checkpoint(blocks, size)
    assert point.head
    return LedgerHead(height=size, head=point.head, root=point.root.hex() if root else None)


def path_of(blocks: list[Block], old: int, new: int) -> Proof:
    tree = Tree()
    for block in blocks:
        tree.append(block.line)
    return Proof(path=tuple(tree.consistency(old, new)))


# -- the judgement -----------------------------------------------------------------------------------------------------


def test_every_longer_ledger_of_the_same_history_goes_on_from_every_shorter_one() -> None:
    blocks = chain(24)
    for old in range(1, 25):
        for new in range(old, 25):
            witness, found = head_of(blocks, old), head_of(blocks, new)
            assert difference(witness, found, path_of(blocks, old, new)) == ""
            if old < new:
                assert difference(found, witness, Proof()) == "it ends before that"


def test_no_other_history_and_no_changed_proof_goes_on_from_it() -> None:
    dice = seeded(13)
    blocks = chain(40)
    for _ in range(300):
        old = dice.randrange(2, 39)
        new = dice.randrange(old + 1, 41)
        start = dice.randrange(1, old)  # the other history parts from ours before the witness
        other = blocks[:start] + chain(40 - start, after=blocks[start - 1], tag="other-")
        witness = head_of(blocks, old)
        assert difference(witness, head_of(other, old), Proof()) == "it has another last block"
        said = "it does not prove that it goes on from there"
        assert difference(witness, head_of(other, new), path_of(other, old, new)) == said
        honest = path_of(blocks, old, new).path
        assert honest
        assert difference(witness, head_of(other, new), Proof(path=honest)) == said
        place = dice.randrange(len(honest))
        flipped = bytes([honest[place][0] ^ 1]) + honest[place][1:]
        for path in ((*honest[:place], flipped, *honest[place + 1 :]), honest[:-1], (*honest, bytes(32)), ()):
            assert difference(witness, head_of(blocks, new), Proof(path=path)) == said


@pytest.mark.parametrize("told", [(True, False), (False, True), (False, False)], ids=["old", "new", "neither"])
def test_without_both_roots_the_witnessed_block_itself_must_be_there(told: tuple[bool, bool]) -> None:
    blocks = chain(8)
    witness, found = head_of(blocks, 5, root=told[0]), head_of(blocks, 8, root=told[1])
    assert difference(witness, found, Proof(block=blocks[4].line)) == ""
    other = chain(1, after=blocks[3], tag="other-")[0]
    for line in (None, b"", b"{}", blocks[3].line, blocks[5].line, other.line, blocks[4].line + b" "):
        assert difference(witness, found, Proof(block=line)) == "it has another block there"


# -- what becomes of it ------------------------------------------------------------------------------------------------


async def put_back(height: int) -> tuple[World, dict[str, Any], dict[str, Any]]:
    """A model whose ledger was put back to an older copy; what was witnessed, and the newest entries."""
    world = await trained(2)
    witness = status_of(world)["ledger"]
    newest = world.put_back(height)
    assert witness["height"] > height
    return world, witness, newest


async def world_head(world: World) -> LedgerHead:
    """The ledger's head, also while the operator cannot ask for it."""
    away, world.records_away = world.records_away, False
    try:
        return await world.head()
    finally:
        world.records_away = away


async def test_an_older_copy_is_said_and_neither_appended_to_nor_witnessed() -> None:
    world, witness, _ = await put_back(4)
    before = list(world.ledger)
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", names.STALLED)["reason"] == names.LEDGER_ROLLED_BACK
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "it answers all the same"
    world.apply_as_user(run_manifest("third"))
    await settle(world)
    found = await world_head(world)
    assert (list(world.ledger), status_of(world)["ledger"]) == (before, witness)
    said = condition(world, "OneSeekModel", "zero", names.RECORDS_AVAILABLE)
    assert (said["status"], said["reason"]) == ("False", names.LEDGER_ROLLED_BACK)
    for part in (f"height {witness['height']} with head {witness['head']}", f"height 4 with head {found.head}"):
        assert part in said["message"]
    assert f"kubectl annotate oneseekmodel zero -n team {LEDGER}={found.head}" in said["message"]
    assert [why for _, why, _ in world.events].count(names.LEDGER_ROLLED_BACK) == 1
    assert answers(world) == dna_of(world, "second"), "the third waits for the ledger"
    assert [item["type"] for item in status_of(world)["outbox"]] == ["train", "certify"]


async def test_rollback_and_quarantine_do_not_wait_for_the_ledger_and_reset_does() -> None:
    world, _, _ = await put_back(4)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert answers(world) == dna_of(world, "first")
    world.tampered.add(dna_of(world, "first"))
    await settle(world)
    assert answers(world) is None
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    assert status_of(world)["request"]["outcome"] == "Pending"
    assert condition(world, "OneSeekModel", "zero", names.RECONCILING)["reason"] == names.LEDGER_ROLLED_BACK


async def test_records_that_are_away_meanwhile_do_not_let_sidecars_enter_anything() -> None:
    world, witness, _ = await put_back(4)
    await settle(world)
    world.records_away = True
    world.apply_as_user(run_manifest("third"))
    await settle(world)
    said = condition(world, "OneSeekModel", "zero", names.RECORDS_AVAILABLE)
    assert (said["status"], said["reason"]) == ("False", names.LEDGER_ROLLED_BACK)
    found = await world_head(world)
    world.annotate_as_user("OneSeekModel", "zero", **{names.ACKNOWLEDGE_VERB: found.head})
    await settle(world)
    request = status_of(world)["request"]
    assert (request["outcome"], status_of(world)["ledger"]) == ("Pending", witness), "nobody can tell what is there"
    world.records_away = False
    await settle(world)
    assert status_of(world)["request"]["outcome"] == "Succeeded"


async def test_the_newer_copy_restored_goes_on_by_itself() -> None:
    world, witness, newest = await put_back(4)
    world.apply_as_user(run_manifest("third"))
    await settle(world)
    world.ledger = newest
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", names.RECORDS_AVAILABLE)["status"] == "True"
    assert answers(world) == dna_of(world, "third")
    status = status_of(world)
    assert status["outbox"] == []
    assert status["ledger"]["height"] == len(world.ledger) + 1 > witness["height"]


@pytest.mark.parametrize("roots", [True, False], ids=["this-release", "the-release-before"])
async def test_another_history_of_the_same_or_a_greater_height_is_told_too(roots: bool) -> None:
    world = await trained(1)
    world.roots = roots
    await settle(world)
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", names.RECORDS_AVAILABLE)["status"] == "True"
    assert ("root" in status_of(world)["ledger"]) == roots
    first, *others = world.ledger
    world.ledger[first] = world.ledger[first].model_copy(update={"reason": "another history"})
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", names.RECORDS_AVAILABLE)["reason"] == names.LEDGER_ROLLED_BACK
    world.ledger |= {"one more": world.ledger[others[0]]}
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", names.RECORDS_AVAILABLE)["reason"] == names.LEDGER_ROLLED_BACK


async def test_a_person_may_go_on_with_the_older_copy_and_that_stands_in_it() -> None:
    world, witness, _ = await put_back(4)
    world.apply_as_user(run_manifest("third"))
    await settle(world)
    found = await world_head(world)
    world.annotate_as_user("OneSeekModel", "zero", **{names.ACKNOWLEDGE_VERB: found.head})
    await settle(world)
    request = status_of(world)["request"]
    assert (request["verb"], request["outcome"]) == (names.ACKNOWLEDGE_VERB, "Succeeded")
    assert condition(world, "OneSeekModel", "zero", names.RECORDS_AVAILABLE)["status"] == "True"
    assert condition(world, "OneSeekModel", "zero", names.STALLED) == {}
    (entry,) = [item for item in world.ledger.values() if item.type == "acknowledge"]
    assert entry.reason == (
        f"the ledger goes on from height 4, head {found.head}; witnessed was height {witness['height']},"
        f" head {witness['head']}"
    )
    assert answers(world) == dna_of(world, "third")
    assert status_of(world)["outbox"] == []


@pytest.mark.parametrize("value", ["", "yes", "0" * 64])
async def test_only_the_head_that_was_found_can_be_acknowledged(value: str) -> None:
    world, witness, _ = await put_back(4)
    world.annotate_as_user("OneSeekModel", "zero", **{names.ACKNOWLEDGE_VERB: value})
    await settle(world)
    request = status_of(world)["request"]
    assert (request["outcome"], request["reason"]) == ("Refused", names.NO_SUCH_HEAD)
    assert (await world_head(world)).head in request["message"]
    assert status_of(world)["ledger"] == witness


async def test_where_nothing_is_wrong_there_is_nothing_to_acknowledge() -> None:
    world = await trained(1)
    head = status_of(world)["ledger"]
    world.annotate_as_user("OneSeekModel", "zero", **{names.ACKNOWLEDGE_VERB: head["head"]})
    await settle(world)
    request = status_of(world)["request"]
    assert (request["outcome"], request["reason"]) == ("Refused", names.LEDGER_NOT_ROLLED_BACK)
