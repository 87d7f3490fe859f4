"""Stands in the way of the system calls that make things durable: to record their order, to fail, to be killed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Steps:
    """Calls `act` instead of the n-th durable step (fsync or rename), counted from 1."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, act: Callable[[], object]) -> None:
        self.taken: list[str] = []
        fsync, rename = os.fsync, os.rename
        lock = threading.Lock()

        def step(name: str, real: Callable[..., Any], *arguments: Any) -> Any:
            with lock:
                self.taken.append(name)
                number = len(self.taken)
            if number == at:
                act()
            return real(*arguments)

        def describe(handle: int) -> str:
            return Path(f"/proc/self/fd/{handle}").readlink().name

        monkeypatch.setattr(os, "fsync", lambda handle: step(f"fsync {describe(handle)}", fsync, handle))
        monkeypatch.setattr(os, "rename", lambda a, b: step(f"rename {Path(a).name} {Path(b).name}", rename, a, b))
