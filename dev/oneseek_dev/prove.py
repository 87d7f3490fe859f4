"""`make prove`: the proofs that are too long for every change, at full count; one result file a day in docs/proofs/."""

import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from oneseek_dev.console import say
from oneseek_dev.layout import checkout
from oneseek_dev.shell import run

COUNT = "100"
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
    "The spool cut off at every change of its files": ["tests/unit/runtime/test_sidecar_spool.py"],
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
    "200 flips under 50 requests a second; going back, warm and cold; a manifest applied 100 times": [
        "tests/cluster/test_flips.py"
    ],
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


def main() -> int:
    """Run each proof and write down how it ended; the exit status is 0 only if all held."""
    root, today = checkout(), datetime.now(UTC).date().isoformat()
    commit = run(["git", "-C", root, "rev-parse", "--short", "HEAD"], check=False).strip()
    lines = [f"# Proofs of {today}", "", f"`make prove` at {commit}, count {COUNT}. {machine()}.", ""]
    lines += ["| proof | command | result | seconds |", "| --- | --- | --- | --- |"]
    figures: list[str] = []
    failed = False
    logs = root / ".local" / "proofs"
    logs.mkdir(parents=True, exist_ok=True)
    for number, (title, arguments) in enumerate(PROOFS.items(), start=1):
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
        failed = failed or done.returncode != 0
        log = logs / f"{number:02d}-{Path(arguments[0]).stem}.log"
        log.write_text(done.stdout + done.stderr)
        closing = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr.strip()[-200:]
        say(f"    {closing}" if done.returncode == 0 else f"    {closing}; why: {log.relative_to(root)}")
        words = " ".join(arguments)
        lines.append(f"| {title} | `pytest {words}` | {closing} | {time.monotonic() - started:.0f} |")
        figures += [f"- {line.partition('proved: ')[2]}" for line in done.stdout.splitlines() if "proved: " in line]
    folder = root / "docs" / "proofs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{today}.md").write_text("\n".join([*lines, "", *figures]).rstrip() + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
