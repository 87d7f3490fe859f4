"""Every kubectl command in the documents is one that kubectl takes: it comes as far as a server that is not there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from support.documents import ROOT, SHELL, blocks, commands, pages

KUBECTL = ROOT / ".local/bin/kubectl"
NOBODY = ["--server=http://127.0.0.1:1", "--request-timeout=1s"]
# What keeps a command from being sent that is right: no server, a file or folder that the reader has, no kubeconfig.
RIGHT = re.compile(r"refused|no such file or directory|does not exist|no current context")


def calls() -> list[list[str]]:
    """The calls of kubectl itself, as words; variables have some value."""
    found = []
    for page in pages():
        for line in (line for block in blocks(page) if block.language in SHELL for line in commands(block)):
            inner = re.findall(r"\$\((kubectl [^)]*)\)", line)
            outer = re.split(r"\|\||&&|[|;><]", re.sub(r"\$\(.*\)|\$\w+", "X", line))
            found += [shlex.split(call) for call in (*inner, *map(str.strip, outer)) if call.startswith("kubectl ")]
    return [words[1:] for words in found if words[1] != "oneseek"]


def test_the_documents_call_kubectl() -> None:
    assert len(calls()) > 50


def said(words: list[str], home: Path) -> str:
    """What kubectl says of a call."""
    done = subprocess.run(
        [str(KUBECTL), *NOBODY, *words],
        cwd=ROOT,
        env={"HOME": str(home), "KUBECONFIG": str(home / "none"), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr or done.stdout


@pytest.mark.parametrize("words", calls(), ids=" ".join)
def test_kubectl_takes_it(words: list[str], tmp_path: Path) -> None:
    assert RIGHT.search(text := said(words, tmp_path)), text


@pytest.mark.parametrize("words", [["get", "pods", "--nonsense"], ["wait", "osm/a"], ["nonsense"]])
def test_what_kubectl_does_not_take_is_found(words: list[str], tmp_path: Path) -> None:
    assert not RIGHT.search(said(words, tmp_path))
