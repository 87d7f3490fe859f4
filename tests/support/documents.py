"""What the documents hold that can be checked: fenced blocks, inline code, links. Pure, over text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SHELL = ("sh", "console")
_FENCE = re.compile(r"^ *(`{3,})(\w*)")
_HEREDOC = re.compile(r"<<'(\w+)'")
_COMMENT = re.compile(r"(?:^|\s)#(?:\s.*)?$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the page where its text begins."""

    page: Path
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that people write: not what is a record (proofs, decisions) and not what is made of code."""
    made = {
        DOCS / "reference" / f"{name}.md"
        for name in ("routes", "models", "attempts", "cli", "oneseekmodel", "trainingrun")
    }
    kept = [
        page for page in sorted(DOCS.rglob("*.md")) if page.parent.name not in {"adr", "proofs"} and page not in made
    ]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *kept]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order.

    Raises:
        ValueError: a block that does not end.
    """
    found, fence, language, begun, text = [], "", "", 0, list[str]()
    for number, line in enumerate(page.read_text().splitlines(), 1):
        match = _FENCE.match(line)
        if not fence and match:
            fence, language, begun, text = match[1], match[2], number + 1, []
        elif fence and line.strip() == fence:
            found.append(Block(page, language, "\n".join(text) + "\n", begun))
            fence = ""
        elif fence:
            text.append(line)
    if fence:
        raise ValueError(f"{page}:{begun - 1}: the block does not end")
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    lines, inside = [], False
    for line in page.read_text().splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def code(page: Path) -> list[str]:
    """The inline code of a page."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page go."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as MkDocs and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _is_closed(line: str) -> bool:
    """Whether every quotation in a line ends in it."""
    try:
        shlex.split(line)
    except ValueError:
        return False
    return True


def commands(block: Block) -> Iterator[str]:
    """The command lines of a shell block: lines that go on joined, comments and here-documents left out."""
    end, held = "", ""
    for line in block.text.splitlines():
        if end:
            end = "" if line.strip() == end else end
            continue
        if match := _HEREDOC.search(line):
            end = match[1]
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        told = _COMMENT.sub("", held + line).strip()
        if not _is_closed(told):
            held = f"{told} "
            continue
        held = ""
        if told:
            yield told
