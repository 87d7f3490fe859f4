"""What was done to a copy of a ledger: every defect with its place, judged by saved checkpoints.

A clean copy costs one pass (`verify_chain` and the tree). Otherwise the history that the newest known checkpoint
vouches for (the trunk) is followed backwards by hashes, and what is not on it, not in its place or not there is named.
Flipped, deleted, inserted, swapped, replayed and forked blocks are located exactly. A cut tail and a rewritten history
leave no trace in the copy itself; they are found by the checkpoints, between the last that fits and the first that
does not. Checkpoints are believed here: verify their signatures first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from oneseek_core.checkpoint import Checkpoint
from oneseek_core.ledger import Block, Defect, Verdict, read_chain
from oneseek_core.merkle import Tree

__all__ = ["audit", "first_difference"]

# Reasons beside those of `ledger`.
MISSING = "Block missing"
REPLACED = "Block replaced"  # another block stands where the one belongs that its successor names
FOREIGN = "Block inserted"
FORKED = "Block forked"  # follows a block that the history follows with another one
REPLAYED = "Block replayed"  # the same block twice
ENTRY_REPLAYED = "Entry replayed"  # the same entry (idempotency key, query id) in two blocks
OUT_OF_PLACE = "Block out of place"
TRUNCATED = "Tail missing"  # a checkpoint saw more blocks
REWRITTEN = "History rewritten"  # the chain holds, but not the checkpoint's root
AFTER_HEAD = "Block after the head"


def first_difference(left: Sequence[bytes], right: Sequence[bytes]) -> int | None:
    """The first number at which two copies of a ledger part; None where one begins with the other."""
    return next((number for number, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None)


def audit(lines: Sequence[bytes], checkpoints: Iterable[Checkpoint], *, own: Checkpoint | None = None) -> Verdict:
    """Judge a copy by checkpoints that were saved elsewhere.

    `own` is the checkpoint that came with the copy: the copy must be exactly what it saw. It bears no witness beyond
    that, since whoever rewrote the ledger with the real key signed it too.
    """
    saved = sorted(checkpoints, key=lambda checkpoint: checkpoint.size)
    found = _read(lines, [*saved, own] if own else saved)
    defects = _structure(found) if found.suspicious else []
    defects += _entries(found)
    defects += _against(saved, own, found)
    return Verdict(len(lines), tuple(sorted(defects, key=lambda defect: (defect.first, defect.lines))))


@dataclass(slots=True)
class _Copy:
    """What a copy holds. `trunk`: number -> line, of the history that is believed."""

    blocks: dict[int, Block] = field(default_factory=dict)
    """By line; a line that is no block by itself is not here but in `broken`."""
    broken: dict[int, Defect] = field(default_factory=dict)
    suspicious: bool = False
    trunk: dict[int, int] = field(default_factory=dict)


def _read(lines: Sequence[bytes], saved: Sequence[Checkpoint]) -> _Copy:
    found = _Copy()
    for place, (block, defect) in enumerate(read_chain(lines)):
        found.suspicious |= defect is not None
        if block:
            found.blocks[place] = block
        elif defect:
            found.broken[place] = defect
    if found.suspicious:
        found.trunk = _trunk(found.blocks, {(point.size - 1, point.head) for point in saved if point.head})
    else:
        found.trunk = {number: number for number in range(len(lines))}
    return found


def _trunk(blocks: Mapping[int, Block], heads: set[tuple[int, str | None]]) -> dict[int, int]:
    """The believed history: backwards from the newest block that a checkpoint names (else the longest), then on."""
    places = _one_place_each(blocks)
    by_number: dict[int, list[str]] = {}
    for digest, place in places.items():
        by_number.setdefault(blocks[place].number, []).append(digest)
    behind: dict[str, int] = {}  # how many blocks a block's chain has
    ahead: dict[str, tuple[int, str]] = {}  # how many can follow it, and by which the longest goes on
    for number in sorted(by_number):
        for digest in by_number[number]:
            behind[digest] = 1 + behind.get(blocks[places[digest]].previous_hash, 0)
    for number in sorted(by_number, reverse=True):
        for digest in by_number[number]:
            previous, length = blocks[places[digest]].previous_hash, 1 + ahead.get(digest, (0, ""))[0]
            if length > ahead.get(previous, (0, ""))[0]:
                ahead[previous] = (length, digest)
    anchors = [digest for digest, place in places.items() if (blocks[place].number, digest) in heads]
    if anchors:
        digest = max(anchors, key=lambda anchor: blocks[places[anchor]].number)
    else:
        digest = max(places, key=lambda tip: behind[tip], default="")
    trunk: dict[int, int] = {}
    cursor = digest
    while cursor in places:
        block = blocks[places[cursor]]
        trunk[block.number] = places[cursor]
        cursor = block.previous_hash
        if cursor not in places or blocks[places[cursor]].number != block.number - 1:
            # A gap: what stands at the number before has another hash than is named, so it is not to be believed.
            earlier = max((number for number in by_number if number < block.number - 1), default=None)
            cursor = "" if earlier is None else max(by_number[earlier], key=lambda tip: behind[tip])
    while digest in places:
        block = blocks[places[digest]]
        trunk[block.number] = places[digest]
        digest = ahead.get(digest, (0, ""))[1]
        if digest and blocks[places[digest]].number != block.number + 1:
            break
    return trunk


def _one_place_each(blocks: Mapping[int, Block]) -> dict[str, int]:
    """Hash -> line. Of a block that stands in several lines the one whose neighbours fit is the original."""
    places: dict[str, int] = {}
    for place, block in blocks.items():
        if block.hash not in places or _fit(blocks, place) > _fit(blocks, places[block.hash]):
            places[block.hash] = place
    return places


def _fit(blocks: Mapping[int, Block], place: int) -> int:
    block, before, after = blocks[place], blocks.get(place - 1), blocks.get(place + 1)
    follows = place == block.number == 0 or (before is not None and before.hash == block.previous_hash)
    return follows + (after is not None and after.previous_hash == block.hash)


def _structure(found: _Copy) -> list[Defect]:
    """Everything that is not the trunk in its order: gaps, what fills them, intruders, wrong places."""
    numbers = sorted(found.trunk)
    used = set(found.trunk.values())
    hashes = {found.blocks[place].hash for place in used}
    in_place = sorted(used)
    moved = [(number, place) for number, place in zip(numbers, in_place, strict=True) if found.trunk[number] != place]
    defects = []
    if moved:
        span = [number for number, _ in moved]
        sentence = f"blocks {span[0]} to {span[-1]} are not in their order"
        defects.append(Defect(OUT_OF_PLACE, span[0], span[-1], sentence, tuple(place for _, place in moved)))
    strangers = {place: block for place, block in found.blocks.items() if place not in used}
    damaged = set(found.broken)
    borders = [-1, *numbers, numbers[-1] + 1 + len(damaged) if numbers else len(damaged)]
    for low, high in pairwise(borders):
        if high - low < 2:
            continue
        first, last = low + 1, high - 1
        start = found.trunk.get(low, -1)
        end = found.trunk.get(high, len(found.blocks) + len(found.broken))
        bad = [place for place in sorted(damaged) if start < place < end]
        instead = [place for place, block in strangers.items() if first <= block.number <= last]
        if bad:
            damaged -= set(bad)
            last = last if high in found.trunk else low + len(bad)
            whole = found.broken[bad[0]]
            defects.append(Defect(whole.reason, first, last, whole.message, tuple(bad), whole.expected, whole.actual))
        elif instead and high in found.trunk:
            for place in instead:
                del strangers[place]
            sentence = f"block {first} is not the one that its successor names"
            defects.append(Defect(REPLACED, first, last, sentence, tuple(instead)))
        elif high in found.trunk:
            defects.append(Defect(MISSING, first, last, f"blocks {first} to {last} are not in the copy"))
    defects += _intruders(found, strangers, damaged, hashes)
    return defects


def _intruders(found: _Copy, strangers: Mapping[int, Block], damaged: set[int], hashes: set[str]) -> list[Defect]:
    defects = [found.broken[place] for place in sorted(damaged)]
    order = sorted(strangers)
    for _, run in groupby(enumerate(order), key=lambda pair: pair[1] - pair[0]):
        places = tuple(place for _, place in run)
        block, last = strangers[places[0]], strangers[places[-1]]
        if block.hash in hashes:
            reason, sentence = REPLAYED, f"line {places[0] + 1} repeats block {block.number}"
        elif block.previous_hash in hashes and block.number in found.trunk:
            reason, sentence = FORKED, f"a second history leaves the ledger at block {block.number}"
        else:
            reason, sentence = FOREIGN, f"line {places[0] + 1} holds a block that is not in the history"
        numbers = sorted((block.number, last.number))
        defects.append(Defect(reason, numbers[0], numbers[-1], sentence, places))
    return defects


def _entries(found: _Copy) -> list[Defect]:
    """Entries that are recorded twice: an idempotency key or query id stands in one block only."""
    seen: dict[tuple[str, str], int] = {}
    defects = []
    for number in sorted(found.trunk):
        content = found.blocks[found.trunk[number]].data.get("content")
        if not isinstance(content, dict):
            continue
        for name in ("idempotencyKey", "queryId"):
            key = content.get(name)
            if isinstance(key, str) and seen.setdefault((name, key), number) != number:
                sentence = f"block {number} records again what block {seen[name, key]} does ({name} {key})"
                defects.append(Defect(ENTRY_REPLAYED, number, number, sentence, (found.trunk[number],)))
    return defects


def _against(saved: Sequence[Checkpoint], own: Checkpoint | None, found: _Copy) -> list[Defect]:
    """Compare with the checkpoints: roots where the trunk has no gap before them, the height anyway."""
    tree = Tree()
    while tree.size in found.trunk:
        tree.append(found.blocks[found.trunk[tree.size]].line)
    # A damaged last line is one defect, not also a missing tail.
    end = max(found.trunk, default=-1) + 1 + sum(place >= len(found.trunk) for place in found.broken)
    fits = 0
    defects: list[Defect] = []
    for checkpoint in [*saved, own] if own else saved:
        if checkpoint.size > tree.size:
            continue
        if (root := tree.root(checkpoint.size)) != checkpoint.root:
            last = checkpoint.size - 1
            sentence = f"blocks {fits} to {last} are not those that the checkpoint at {checkpoint.size} saw"
            defects.append(Defect(REWRITTEN, fits, last, sentence, (), checkpoint.root.hex(), root.hex()))
            break
        fits = checkpoint.size if checkpoint is not own else fits
    newest = max((checkpoint.size for checkpoint in ([*saved, own] if own else saved)), default=end)
    if newest > end:
        # What stands before the cut but after the last checkpoint that fits may be rewritten too; nobody can tell.
        sentence = f"the newest checkpoint saw {newest} blocks, the copy ends after {end}; {fits} are vouched for"
        defects.append(Defect(TRUNCATED, fits, newest - 1, sentence))
    if own and end > own.size:
        lines = tuple(found.trunk[number] for number in range(own.size, end) if number in found.trunk)
        defects.append(Defect(AFTER_HEAD, own.size, end - 1, "the copy goes on after its own checkpoint", lines))
    return defects
