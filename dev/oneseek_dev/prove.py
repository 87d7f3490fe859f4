"""`make prove`: the proofs that are too long for every change, at full count; one result file a day in docs/proofs/.

`make prove PROOF="flips kills"` runs those whose command holds one of the words, and leaves the day's other results.
"""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from oneseek_dev.console import say
from oneseek_dev.layout import checkout
from oneseek_dev.shell import run

COUNT = "100"
HEAD = ["| proof | command | at | result | seconds |", "| --- | --- | --- | --- | --- |"]
PROOFS = {
    "The records service killed with SIGKILL under 8 writers": ["tests/records/test_records_crash.py", "-k", "killed"],
    "Two records services started at once: one writes": [
        "tests/records/test_records_service.py",
        "-k",
        "two_processes",
    ],
    "Records away for 60 s under load: all is answered, every answer is recorded once; sidecars killed with SIGKILL": [
        "tests/records/test_recording.py",
        "-k",
        "away_under_load or killed",
    ],
    "Records in Firestore, which is away for 60 s under load: all is answered, every answer is recorded once": [
        "tests/records/test_firestore.py",
        "-k",
        "away_all_is_answered",
    ],
    "The spool cut off at every change of its files": ["tests/unit/runtime/test_sidecar_records_spool.py"],
    "Sealing killed with SIGKILL at random moments; its system calls traced": [
        "tests/hostile/test_sealing_processes.py"
    ],
    "Sealing killed with SIGKILL, and out of room, at every durable step": ["tests/hostile/test_sealing.py"],
    "More than 8,000 mutations of a ledger are found and located": ["tests/unit/core/test_ledger_audit.py"],
    "Hostile artifacts are refused, for the right reason": [
        "tests/hostile/test_hostile.py",
        "tests/hostile/test_swaps.py",
    ],
    "Schemathesis over the whole API: no server error, no body that was not promised": [
        "tests/runtime/test_api_schema.py"
    ],
    "Hostile clients: the sidecar stays up and small": ["tests/runtime/test_sidecar_hostile.py"],
    "Good artifacts are accepted": ["tests/hostile/test_good.py"],
    "200 flips under 50 requests a second, BlueGreen and HotSwap; 20 with kube-proxy frozen; a manifest applied 100 times": [
        "tests/cluster/test_flips.py"
    ],
    "A rollback and a changed byte beside a candidate whose probe takes a minute": [
        "tests/cluster/test_slow_candidate.py"
    ],
    "The demo 20 times, the model made anew, beside two busy loops": ["tests/dev/test_demo_again.py"],
    "The tutorial, word for word": ["tests/dev/test_tutorial.py"],
    "Ten ways for a new version to be bad: the old one answers, and the reason is told": [
        "tests/cluster/test_bad_versions.py"
    ],
    "The operator killed with SIGKILL at 40 random moments of promotions, rollbacks and resets": [
        "tests/cluster/test_kills.py"
    ],
    "Reset of three versions and a running training: no failed request under load, the base within 15 s without": [
        "tests/cluster/test_reset.py"
    ],
}


def machine() -> str:
    """What the figures were made on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores, {model}; Linux {platform.release()}; Python {platform.python_version()}"


@dataclass(frozen=True)
class Result:
    """How one proof ended, as a row of the day's table and what it counted."""

    row: str
    figures: tuple[str, ...] = ()


def read(text: str) -> dict[str, Result]:
    """The results that a day's file holds already, by proof."""
    found: dict[str, Result] = {}
    for title in PROOFS:
        row = next((line for line in text.splitlines() if line.startswith(f"| {title} |")), None)
        if row is not None:
            counted = text.partition(f"\n{title}:\n")[2].lstrip().partition("\n\n")[0].strip().splitlines()
            found[title] = Result(row, tuple(line.removeprefix("- ") for line in counted))
    return found


def page(day: str, results: Mapping[str, Result]) -> str:
    """The day's file."""
    told = [results[title].row for title in PROOFS if title in results]
    lines = [f"# Proofs of {day}", "", f"`make prove`, count {COUNT}. {machine()}.", "", *HEAD, *told]
    for title in PROOFS:
        if title in results and results[title].figures:
            lines += ["", f"{title}:", "", *(f"- {figure}" for figure in results[title].figures)]
    return "\n".join(lines) + "\n"


def prove(title: str, arguments: Sequence[str], root: Path, commit: str) -> tuple[Result, bool]:
    """Run one; its result, and whether it held."""
    say(f"  … {title}")
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", *arguments],
        cwd=root,
        env={**os.environ, "ONESEEK_PROVE_COUNT": COUNT},
        capture_output=True,
        text=True,
        check=False,
    )
    log = root / ".local" / "proofs" / f"{Path(arguments[0]).stem}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout + done.stderr)
    closing = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr.strip()[-200:]
    say(f"    {closing}" if done.returncode == 0 else f"    {closing}; why: {log.relative_to(root)}")
    words, seconds = " ".join(arguments), time.monotonic() - started
    figures = tuple(line.partition("proved: ")[2] for line in done.stdout.splitlines() if "proved: " in line)
    row = f"| {title} | `pytest {words}` | {commit} | {closing} | {seconds:.0f} |"
    return Result(row, figures), done.returncode == 0


def main(words: Sequence[str]) -> int:
    """Run the proofs asked for and write down after each how it ended; the exit status is 0 only if all held."""
    root, day = checkout(), datetime.now(UTC).date().isoformat()
    commit = run(["git", "-C", root, "rev-parse", "--short", "HEAD"], check=False).strip()
    file = root / "docs" / "proofs" / f"{day}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    results = read(file.read_text()) if file.exists() else {}
    chosen = {
        title: arguments
        for title, arguments in PROOFS.items()
        if not words or any(word in " ".join(arguments) for word in words)
    }
    if not chosen:
        say(f"No proof's command holds {' or '.join(words)}: dev/oneseek_dev/prove.py names them all.")
        return 2
    held = True
    for title, arguments in chosen.items():
        results[title], well = prove(title, arguments, root, commit)
        held = held and well
        file.write_text(page(day, results))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
