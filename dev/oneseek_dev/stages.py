"""The stages of `make test`, one after the other, each timed: `python -m oneseek_dev.stages TARGET...`.

A stage is a target of the Makefile. The last one must be pytest: tests/conftest.py prints the table above its closing line,
so that what a runner reads last stays the runner's own line.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from oneseek_dev.console import say
from oneseek_dev.layout import checkout

ENVIRONMENT = "ONESEEK_STAGES"  # the file of times, where a stage is run as one of several
Stage = tuple[str, float, float | None]  # name, start and end in seconds since the epoch; no end: it runs


def table(stages: Sequence[Stage], now: float) -> list[str]:
    """A line a stage with its seconds, and one for all of them."""
    lines = [f"{(end or now) - begun:7.0f} s  {name}" for name, begun, end in stages]
    total = (stages[-1][2] or now) - stages[0][1] if stages else 0.0
    return [*lines, f"{total:7.0f} s  all stages"]


def read(environment: dict[str, str]) -> list[Stage] | None:
    """The stages so far, where this process belongs to one of several."""
    file = environment.get(ENVIRONMENT)
    return [(name, begun, end) for name, begun, end in json.loads(Path(file).read_text())] if file else None


def main(targets: Sequence[str]) -> int:
    """Run the targets until one fails; the exit status is make's."""
    file = checkout() / ".local" / "stages.json"
    file.parent.mkdir(exist_ok=True)
    stages: list[Stage] = []
    for target in targets:
        begun = time.time()
        file.write_text(json.dumps([*stages, (target, begun, None)]))
        environment = {**os.environ, ENVIRONMENT: str(file)} if target == targets[-1] else None
        code = subprocess.run(["make", "--no-print-directory", target], env=environment, check=False).returncode
        stages.append((target, begun, time.time()))
        if code:
            for line in table(stages, time.time()):
                say(line)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
