"""How much memory this process may use: the machine's, and the limits of the control groups that it is in."""

from contextlib import suppress
from pathlib import Path


def free() -> int:
    """Bytes that can be had without pushing anything out."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}["MemAvailable"]


def limit() -> int | None:
    """The smallest limit of the control groups, of both versions; None without one."""
    limits = []
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in {"", "memory"}:
            continue
        root, name = (
            (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")
            if controllers
            else (Path("/sys/fs/cgroup"), "memory.max")
        )
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            text = _text(place / name).strip()
            if text.isdigit():
                limits.append(int(text))
            if place == root:
                break
    return min(limits, default=None)


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
