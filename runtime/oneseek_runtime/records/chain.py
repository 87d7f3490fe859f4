"""The ledger in memory: its tree, its last block, what it holds; read from a store's lines, grown before each commit.

Nothing here is durable. A store stages blocks, writes them, and then either keeps what was staged or takes it back.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from oneseek_core.audit import REWRITTEN, TRUNCATED
from oneseek_core.checkpoint import Checkpoint
from oneseek_core.ledger import Block, Defect, Verdict, next_block, read_chain
from oneseek_core.merkle import Frontier, Tree
from oneseek_runtime.records.store import Entry

__all__ = ["GENESIS_KEY", "GENESIS_MESSAGE", "Chain", "load", "now", "verify"]

GENESIS_KEY = "genesis"
GENESIS_MESSAGE = "The ledger of what was trained, certified, served and asked."
_LISTED = 1000  # defects that `verify` names


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
        if self.tip is None or entry.kind is None:
            raise ValueError("a ledger begins with its genesis block, and this entry must be a block")
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
    return chain, _read(lines, saved, chain.add, chain.tree)


def verify(lines: Iterable[bytes], saved: Sequence[Checkpoint]) -> Verdict:
    """Check a whole ledger, of any length, in memory that does not grow with it."""
    frontier = Frontier()
    return _read(lines, saved, lambda block: frontier.append(block.line), frontier)


def _read(
    lines: Iterable[bytes], saved: Sequence[Checkpoint], take: Callable[[Block], None], tree: Tree | Frontier
) -> Verdict:
    """Judge lines and checkpoints. `take` is given every block and lets `tree` grow by it."""
    defects: list[Defect] = []
    height = unlisted = fits = 0
    points = deque(sorted(saved, key=lambda point: point.size))
    for block, defect in read_chain(lines):
        height += 1
        if defect and len(defects) < _LISTED:
            defects.append(defect)
        elif defect:
            unlisted += 1
        if block:
            take(block)
        if defects:  # what the checkpoints saw says no more than the blocks themselves
            continue
        while points and points[0].size == tree.size:
            point = points.popleft()
            if (root := tree.root()) != point.root:
                sentence = f"blocks {fits} to {point.size - 1} are not those that the checkpoint at {point.size} saw"
                expected, actual = point.root.hex(), root.hex()
                defects.append(Defect(REWRITTEN, fits, point.size - 1, sentence, (), expected, actual))
                break
            fits = point.size
    for point in points if not defects else ():
        sentence = f"the checkpoint at {point.size} saw blocks that are not there; {height} are"
        defects.append(Defect(TRUNCATED, fits, point.size - 1, sentence))
        fits = point.size
    return Verdict(height, tuple(defects), unlisted)
