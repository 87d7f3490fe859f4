"""Sealing as the kernel sees it: real processes killed at random moments, and the traced order of system calls.

A kill leaves the page cache, so kills alone do not show what a power failure would: that is what the order is for.
`make prove` asks for 100 kills, and for the trace, which elsewhere needs strace and a kernel that allows it.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oneseek_runtime.artifact.folders import certified_versions
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.folder import verify_folder
from oneseek_runtime.verify.trust import trusted_keys
from support.artifacts import RUN, certify_request, environment, tree_of
from support.asgi import runtime
from support.certified import lora_weights, shared_keys, stage

PROVING = bool(os.environ.get("ONESEEK_PROVE_COUNT"))
RANK = 64
KILLS = int(os.environ.get("ONESEEK_PROVE_COUNT") or "3")
CALLS = "write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2"


@contextmanager
def certifying(staging: Path, certified: Path, *, trace: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The certify Job's program, as a process of its own."""
    lora = {"rank": RANK, "alpha": 8, "dropout": 0.05, "targetModules": ["q_proj"]}
    request = certify_request(staging, certified, signingKeysPath=str(shared_keys().private), lora=lora)
    told = environment(request, ONESEEK_TERMINATION_PATH=str(staging.parent / "termination"))
    tracer = ["strace", "-f", "-y", "-qq", "-e", f"trace={CALLS}", "-o", str(trace)] if trace else []
    with runtime("certify", told, output_of(staging), under=tracer) as process:
        yield process


def output_of(staging: Path) -> Path:
    return staging.parent / "output"


def incoming(certified: Path) -> list[Path]:
    return list(certified.glob(".incoming-*"))


def wait_until_it_writes(process: subprocess.Popen[bytes], staging: Path, certified: Path) -> float:
    """The moment at which its folder appears."""
    deadline = time.monotonic() + 60
    while not incoming(certified):
        assert process.poll() is None, output_of(staging).read_text()
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    return time.monotonic()


def check_what_is_listed(certified: Path) -> list[str]:
    """Whatever a reader would find is whole, signed and right."""
    expected = Expected(trusted=trusted_keys(str(shared_keys().trusted)))
    found = [item.version.dna for item in certified_versions(certified)]
    for dna in found:
        assert verify_folder(certified / dna, expected).signed_by
    assert sorted(found) == sorted(
        child.name for child in certified.iterdir() if child.is_dir() and child.name[0] != "."
    )
    return found


def test_a_process_killed_at_any_moment_lists_no_half_version(tmp_path: Path) -> None:
    weights = lora_weights(RANK, width=16384 if PROVING else 4096)  # 8 MiB in 24: writing them takes a while
    staging, certified = stage(tmp_path / "staging", weights, rank=RANK), tmp_path / "oneseek-certified"
    certified.mkdir()
    with certifying(staging, certified) as process:
        began = wait_until_it_writes(process, staging, certified)
        assert process.wait(60) == 0
        took = time.monotonic() - began
    (dna,) = check_what_is_listed(certified)
    whole = tree_of(certified / dna)
    shutil.rmtree(certified / dna)
    (certified / "ledger_proof.json").unlink()

    seed = int(os.environ.get("ONESEEK_PROVE_SEED", "0")) or time.time_ns()
    dice, left = random.Random(seed), Counter[str]()  # noqa: S311 - when to kill
    while left["by the kill"] < KILLS:
        with certifying(staging, certified) as process:
            began = wait_until_it_writes(process, staging, certified)
            time.sleep(max(0.0, began + dice.uniform(0, 1.5 * took) - time.monotonic()))
            process.send_signal(signal.SIGKILL)
            ended = process.wait(60)
        assert ended in (0, -signal.SIGKILL), output_of(staging).read_text()
        if check_what_is_listed(certified):
            left["with the version sealed"] += 1
            shutil.rmtree(certified / dna)
            (certified / "ledger_proof.json").unlink(missing_ok=True)
        else:
            left["with files half written"] += bool(incoming(certified))
        left["by the kill" if ended else "by themselves, before it"] += 1
    sys.stdout.write(f"proved: sealing processes ended {dict(left)} (seed {seed})\n")
    if PROVING:
        assert left["with files half written"] >= KILLS // 4, "the kills did not hit the writing"

    with certifying(staging, certified) as process:  # over what the last kill left
        assert process.wait(60) == 0, output_of(staging).read_text()
    assert check_what_is_listed(certified) == [dna]
    assert incoming(certified) == []
    again = tree_of(certified / dna)
    assert {path: data for path, data in again.items() if path != "model.sig"} == {
        path: data for path, data in whole.items() if path != "model.sig"
    }


def cannot_trace(why: str) -> None:
    if PROVING:
        pytest.fail(f"the order of system calls cannot be proved: {why}")
    pytest.skip(f"{why}; the order of the calls in Python is tested beside this")


def test_the_kernel_sees_files_then_folders_then_the_name_then_the_parent(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        cannot_trace("strace is not installed (apt-get install strace)")
    staging, certified = stage(tmp_path / "staging", lora_weights(RANK), rank=RANK), tmp_path / "oneseek-certified"
    certified.mkdir()
    with certifying(staging, certified, trace=tmp_path / "trace") as process:
        code, output = process.wait(120), output_of(staging).read_text()
    if "ptrace" in output:
        cannot_trace("the kernel does not let processes be traced here")
    assert code == 0, output
    (version,) = certified_versions(certified)
    sealed = certified / version.version.dna
    calls = [line.split(None, 1)[1] for line in (tmp_path / "trace").read_text().splitlines()]
    calls = [call for call in calls if "oneseek-certified" in call]
    named = one(
        calls, rf'rename\w*\(.*"{re.escape(str(certified))}/\.incoming-[^"]*".*"{re.escape(str(sealed))}".*= 0$'
    )
    folder = certified / f".incoming-{RUN['uid']}"

    def last(call: str, path: Path) -> int:
        found = [at for at, line in enumerate(calls) if re.match(rf"{call}\(\d+<{re.escape(str(path))}>", line)]
        assert found, f"no {call} of {path}"
        return found[-1]

    files = [path.relative_to(sealed) for path in sealed.rglob("*") if path.is_file()]
    folders = [path.relative_to(sealed) for path in sealed.rglob("*") if path.is_dir()]
    durable = []
    for path in files:
        written, synced = last(r"(?:write|pwrite64|writev)", folder / path), last("fsync", folder / path)
        assert written < synced, f"{path} was written after its fsync"
        durable.append(synced)
    inner = [last("fsync", folder / path) for path in folders]
    outer = last("fsync", folder)
    assert max(durable) < min([*inner, outer])
    assert max(inner) < outer < named
    parent = [at for at, line in enumerate(calls) if re.match(rf"fsync\(\d+<{re.escape(str(certified))}>", line)]
    assert parent[0] == named + 1, "the parent's fsync follows the rename"
    touched = [line for line in calls[named:] if f"<{sealed}" in line and re.match("p?write", line)]
    assert touched == [], "nothing is written once it has its name"
    sys.stdout.write(f"proved: {len(calls)} traced calls, {len(durable)} files, {len(inner) + 1} folders, in order\n")


def one(calls: list[str], pattern: str) -> int:
    """Where the one call is that fits."""
    (found,) = (at for at, line in enumerate(calls) if re.match(pattern, line))
    return found
