"""Long-running programs: started apart from us, found again by process id *and* start time.

A process id alone may have passed to somebody else's program since; the start time, in clock ticks since boot,
tells them apart, and the boot id does so across reboots.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oneseek_dev.errors import DevError, ProcessEndedError

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}

_KILLED_WITHIN = 30.0  # seconds; a large process on a busy machine takes a few
_EXITING = 0x4  # PF_EXITING in the kernel's flags of a process
_CHILDREN: list[subprocess.Popen[bytes]] = []  # those that this very process started; most outlive it


def boot_id() -> str:
    """What is new after each reboot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """When the process started, or None if there is none (a zombie counts as none)."""
    fields = _stat(pid)
    return None if not fields or fields[0] in {"Z", "X"} else int(fields[19])


def is_dying(pid: int) -> bool:
    """Whether the process was killed and is not yet gone: it still holds its ports and files.

    That is so while SIGKILL is pending, while it exits, and while its first thread waits for the others to end.
    """
    fields = _stat(pid)
    if not fields:
        return False
    if fields[0] in {"Z", "X"}:
        return int(fields[17]) > 1
    return bool(int(fields[6]) & _EXITING) or _kill_is_pending(pid)


def _stat(pid: int) -> list[str]:
    """The fields of the kernel's one-line description from the state on; empty if there is no such process."""
    try:
        # The name in parentheses may hold spaces and parentheses itself: cut after the last one.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _kill_is_pending(pid: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))]
    return any(mask & (1 << (signal.SIGKILL - 1)) for mask in masks)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A program with a name, of which the state folder remembers the process."""

    name: str
    state: Path

    @property
    def record(self) -> Path:
        """The file that says which process it is."""
        return self.state / "pids" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.state / "logs" / f"{self.name}.log"

    def pid(self) -> int | None:
        """The process, if it is still the one that we started."""
        try:
            record = json.loads(self.record.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        pid = int(record["pid"])
        same = record["boot"] == boot_id() and start_time(pid) == record["started"]
        return pid if same else None

    def start(
        self, argv: Sequence[str | Path], *, netns: Path | None = None, env: Mapping[str, str] | None = None
    ) -> int:
        """Start it unless it runs; inside the network namespace when one is given.

        `nsenter` becomes the program, so the process id is the program's own. `ip netns exec` will not do: it
        mounts a new /sys and hides the cgroups from the kubelet.
        """
        self._wait_until_gone_if_killed()
        if running := self.pid():
            return running
        self.record.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        words = [str(word) for word in argv]
        if netns:
            words = ["nsenter", f"--net={netns}", "--", *words]
        with self.log.open("ab") as sink:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**_ENVIRONMENT, **(env or {})},
                cwd="/",
            )
        _CHILDREN.append(process)
        record = {"pid": process.pid, "started": start_time(process.pid), "boot": boot_id(), "argv": words}
        part = self.record.with_suffix(".part")
        part.write_text(json.dumps(record))
        part.replace(self.record)
        return process.pid

    def _wait_until_gone_if_killed(self, *, within: float = 10.0) -> None:
        """`kill -9` and `up` may follow each other faster than the kernel ends a process."""
        try:
            pid = int(json.loads(self.record.read_text())["pid"])
        except (FileNotFoundError, json.JSONDecodeError):
            return
        deadline = time.monotonic() + within
        while is_dying(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
            _reap()

    def stop(self, *, within: float = 10.0) -> None:
        """End it: ask first, kill after `within` seconds. Nothing happens if it is not running."""
        pid = self.pid()
        if pid:
            started = start_time(pid)
            end_processes({pid: started}, within=within)
        self.record.unlink(missing_ok=True)

    def tail(self, lines: int = 8) -> str:
        """The last words in its log."""
        try:
            return "\n  ".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    def assert_alive(self) -> None:
        """Raises ProcessEndedError with the end of its log if it is gone."""
        if self.pid() is None:
            raise ProcessEndedError(f"{self.name} ended by itself; its log is {self.log}:\n  {self.tail()}")


def end_processes(processes: Mapping[int, int | None], *, within: float, killed_within: float = _KILLED_WITHIN) -> None:
    """End the given processes (by id and start time): SIGTERM, and SIGKILL to those still there at the deadline.

    Raises:
        DevError: one is still there `killed_within` seconds later.
    """
    left = _left_after(_signal(processes, signal.SIGTERM), within)
    held = _left_after(_signal(left, signal.SIGKILL), killed_within)
    if held:
        named = ", ".join(f"{pid} ({_name(pid)})" for pid in held)
        raise DevError(
            f"SIGKILL has not ended process {named} in {killed_within:.0f} s: the kernel holds it, most often for a disk or a"
            f" mount that does not answer; see `cat /proc/{min(held)}/stack`, mend that, then run this again."
        )


def _left_after(processes: Mapping[int, int | None], seconds: float) -> dict[int, int | None]:
    """Those that are there still when the time is over."""
    deadline = time.monotonic() + seconds
    left = dict(processes)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        _reap()
        left = {pid: started for pid, started in left.items() if start_time(pid) == started}
    return left


def _name(pid: int) -> str:
    """What the kernel calls the process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _signal(processes: Mapping[int, int | None], which: signal.Signals) -> dict[int, int | None]:
    """Send a signal to those that are still themselves; returns them."""
    alive: dict[int, int | None] = {
        pid: started for pid, started in processes.items() if started is not None and start_time(pid) == started
    }
    for pid in alive:
        try:
            os.kill(pid, which)
        except ProcessLookupError:
            continue
    return alive


def _reap() -> None:
    """Collect those of our children that ended, so that they do not linger as zombies."""
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]
