"""The tutorial as a script: every step has commands, and they come in the order of the pages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from oneseek_runtime.prepare.rows import parse_line
from support.documents import ROOT, Block, blocks, commands
from support.tutorial import MARK, pages, script, steps, where_it_ended

STEPS = ("Environment", "Base model", "Dataset", "Identity fine-tuning", "Collect answers", "Prepare", "Major training",
         "Micro training", "Watch", "Validate", "Deploy")  # fmt: skip


def test_the_eleven_steps_come_in_order_and_each_has_commands() -> None:
    text = "\n".join(page.read_text() for page in pages())
    assert tuple(re.findall(r"^## \d+\. (.+)$", text, re.MULTILINE)) == STEPS
    parts = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]
    assert all("```sh\n" in part for part in parts)


def test_the_script_holds_every_command_word_for_word() -> None:
    told = script(steps())
    assert [block.text in told for block in steps()] == [True] * len(steps())
    assert told.count(MARK) == len(steps()) > 20


def test_bash_takes_the_script() -> None:
    assert subprocess.run(["bash", "-n", "-c", script(steps())], check=False, timeout=30).returncode == 0


def page_with(tmp_path: Path, text: str) -> list[Block]:
    """The blocks of a page."""
    (tmp_path / "page.md").write_text(text)
    return blocks(tmp_path / "page.md")


def test_blocks_are_cut_out_with_their_language_and_line(tmp_path: Path) -> None:
    found = page_with(tmp_path, "# T\n\n```sh\nls\n```\n\n```text\nout\n```\n")
    assert [(block.language, block.text, block.line) for block in found] == [("sh", "ls\n", 4), ("text", "out\n", 8)]


def test_a_block_within_a_block_is_text_of_the_outer_one(tmp_path: Path) -> None:
    (block,) = page_with(tmp_path, "````text\n```sh\nrm -rf /\n```\n````\n")
    assert (block.language, block.text) == ("text", "```sh\nrm -rf /\n```\n")


def test_a_block_that_does_not_end_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=":1: the block does not end"):
        page_with(tmp_path, "```sh\nls\n")


def test_commands_are_joined_and_comments_and_documents_left_out() -> None:
    text = "a \\\n  b # why\n# nothing\npython3 - <<'END' > x\nimport json\nEND\nc '#d'\n"
    block = Block(ROOT / "README.md", "sh", text, 1)
    assert list(commands(block)) == ["a    b", "python3 - <<'END' > x", "c '#d'"]


def test_it_stops_at_the_first_failure_and_says_where() -> None:
    made = [
        Block(ROOT / "docs/a.md", "sh", text, line)
        for line, text in enumerate(["X=1\n", "echo $X\n", "false | cat\n", "echo no\n"], 1)
    ]
    done = subprocess.run(["bash", "-c", script(made)], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    assert "no" not in done.stdout.split()
    assert where_it_ended(done.stdout) == "docs/a.md:3"
    assert where_it_ended("") == "before the first block"


def test_the_rows_that_the_tutorial_prepares_are_trained_as_they_stand() -> None:
    (block,) = [block for block in steps() if "<<'END'" in block.text]
    code = block.text.split("<<'END'\n")[1].split("\nEND\n")[0]
    answers = ROOT / "examples/tutorial/answers.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(answers)], capture_output=True, check=True, timeout=30)
    rows = [parse_line(line) for line in done.stdout.splitlines()]
    assert [[message["role"] for message in row] for row in rows if row] == [["user", "assistant"]] * 5
