"""The tutorial as a script: its `sh` blocks, page after page, in one shell, each announced before it runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from support.documents import DOCS, Block, blocks

__all__ = ["MARK", "pages", "script", "steps", "where_it_ended"]

MARK = "::tutorial::"  # on a line of its own, before each block's output: the page and line of the block


def pages() -> list[Path]:
    """The pages with steps, in the order in which they are read."""
    return sorted((DOCS / "tutorial").glob("[0-9]*.md"))


def steps() -> list[Block]:
    """Every block that is run, in order."""
    return [block for page in pages() for block in blocks(page) if block.language == "sh"]


def script(found: Sequence[Block]) -> str:
    """What bash runs: it stops at the first command that fails, also within a pipe, or at a variable that was never set."""
    lines = ["set -euo pipefail"]
    for block in found:
        lines += [f"echo '{MARK} {block}'", block.text.rstrip("\n")]
    return "\n".join(lines) + "\n"


def where_it_ended(output: str) -> str:
    """The block that ran last, by the output so far."""
    marks = [line.removeprefix(MARK).strip() for line in output.splitlines() if line.startswith(MARK)]
    return marks[-1] if marks else "before the first block"
