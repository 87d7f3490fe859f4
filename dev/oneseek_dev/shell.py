"""Running other programs: short ones, whose failure is told with their last words."""

import os
import subprocess
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from oneseek_dev.errors import CommandError

_TAIL = 12  # lines of a failed program's output that are worth showing


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it printed; raises CommandError with its last lines."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
        )
    except FileNotFoundError as error:
        raise CommandError(f"The program {words[0]!r} is not installed; run `python3 -m oneseek_dev tools`.") from error
    if check and done.returncode:
        raise _failed(words, done.returncode, done.stderr.strip() or done.stdout)
    return done.stdout


def lines_of(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> Generator[str, None, None]:
    """What a program prints, line by line as it prints it; it is ended where nobody wants to know more.

    Raises:
        CommandError: it ended with a failure; with its last lines.
    """
    words = [str(word) for word in argv]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env} if env else None
    ) as program:
        try:
            yield from program.stdout or ()
            said = program.stderr.read() if program.stderr else ""
        except BaseException:
            program.kill()
            raise
    if program.returncode:
        raise _failed(words, program.returncode, said)


def _failed(words: Sequence[str], code: int, said: str) -> CommandError:
    lines = said.strip().splitlines()[-_TAIL:]
    return CommandError(f"{' '.join(words)} ended with {code}:\n  " + "\n  ".join(lines))


def run_logged(
    argv: Sequence[str | Path], log: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a long program with its output in `log`; a failure names that file and shows its end."""
    words = [str(word) for word in argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
        )
    if done.returncode:
        tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
        raise CommandError(f"{words[0]} ended with {done.returncode}; all of its output is in {log}:\n  {tail}")
