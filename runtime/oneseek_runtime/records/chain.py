"""The ledger in memory: its tree, its last block, what it holds; read from a store's lines, grown before each commit.

Nothing here is durable. A store stages blocks, writes them, and then either keeps what was staged or takes it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from oneseek_core.audit import REWRITTEN, TRUNCATED
from oneseek_core.checkpoint import Checkpoint
from oneseek_core.ledger import Block, Defect, Verdict, next_block, read_chain
from oneseek_core.merkle import Tree
from oneseek_runtime.records.store import Entry

__all__ = ["Chain", "load", "now"]


def now() -> str:
    """The wall clock as blocks carry it: UTC, ms, Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Chain:
    """What the blocks so far amount to. Used by one thread; others may ask the tree for sizes that are durable."""

    tree: Tree = field(default_factory=Tree)
    tip: Block | None = None
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, block: Block) -> None:
        """Take a block that is already made."""
        self.tree.append(block.line)
        self.tip = block
        self.kinds[str(block.data["type"])] += 1

    def stage(self, entry: Entry, clock: Callable[[], str] = now) -> Block:
        """Make the next block and take it.

        Raises:
            BlockError: the entry cannot be a block; nothing changed.
        """
        if self.tip is None:
            raise ValueError("a ledger begins with its genesis block")
        block = next_block(self.tip, kind=entry.kind, content=entry.content, at=clock(), happened_at=entry.happened_at)
        self.add(block)
        return block

    def totals(self) -> dict[str, int]:
        """How many blocks there are of each type."""
        return {kind: count for kind, count in self.kinds.items() if count}

    def take_back(self, size: int, tip: Block | None, staged: Iterable[Block]) -> None:
        """Forget blocks that did not become durable: back to `size` blocks, of which `tip` is the last."""
        self.tree.truncate(size)
        self.tip = tip
        self.kinds.subtract(Counter(str(block.data["type"]) for block in staged))


def load(lines: Iterable[bytes], saved: Sequence[Checkpoint]) -> tuple[Chain, Verdict]:
    """Read a whole ledger and check all of it: every block, and every checkpoint that was kept with it."""
    chain = Chain()
    defects: list[Defect] = []
    height = 0
    for block, defect in read_chain(lines):
        height += 1
        if defect:
            defects.append(defect)
        if block:
            chain.add(block)
    fits = 0
    for point in sorted(saved, key=lambda point: point.size) if not defects else ():
        first, last = fits, point.size - 1
        if point.size > height:
            sentence = f"the checkpoint at {point.size} saw blocks that are not there; {height} are"
            defects.append(Defect(TRUNCATED, first, last, sentence))
        elif (root := chain.tree.root(point.size)) != point.root:
            sentence = f"blocks {first} to {last} are not those that the checkpoint at {point.size} saw"
            defects.append(Defect(REWRITTEN, first, last, sentence, (), point.root.hex(), root.hex()))
            break
        fits = point.size
    return chain, Verdict(height, tuple(defects))
