"""[I/O] The cluster as the user's own kubectl shows it: their context, their rights, no client library.

`KUBECTL` in the environment names another program ("k3s kubectl").
"""

from __future__ import annotations

import json
import shlex
import subprocess
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import IO, Any, Self

from oneseek_runtime.plugin.errors import KubectlError

__all__ = ["Kubectl"]

_READ_SECONDS = 30  # for one answer of the API server


class Kubectl:
    """Runs kubectl with the flags that the user gave us."""

    def __init__(self, program: Sequence[str], flags: Sequence[str]) -> None:
        self._program = tuple(program)
        self._flags = tuple(flags)

    @classmethod
    def of(cls, environment: Mapping[str, str], arguments: Namespace) -> Self:
        """The program that the environment names, with the connection flags among the arguments.

        Raises:
            KubectlError: KUBECTL cannot be read as a command.
        """
        try:
            program = shlex.split(environment.get("KUBECTL", "")) or ["kubectl"]
        except ValueError as error:
            raise KubectlError(f"KUBECTL is no command: {error}") from error
        flags = [f"--{name}={value}" for name in ("kubeconfig", "context") if (value := getattr(arguments, name))]
        if arguments.namespace:
            flags.append(f"--namespace={arguments.namespace}")
        return cls(program, flags)

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get ... -o json`: the object, or the List.

        Raises:
            KubectlError: not found, forbidden, no cluster; the sentence is kubectl's.
        """
        out = self._run(["get", *arguments, "-o", "json", f"--request-timeout={_READ_SECONDS}s"])
        try:
            found = json.loads(out)
        except ValueError as error:
            raise KubectlError(f"kubectl get {' '.join(arguments)} answered no JSON: {error}") from error
        if not isinstance(found, dict):
            raise KubectlError(f"kubectl get {' '.join(arguments)} answered no object")
        return found

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a List.

        Raises:
            KubectlError: as `get`.
        """
        return list(self.get(*arguments).get("items", []))

    def execute(self, target: str, container: str, command: Sequence[str], *, namespace: str) -> bytes:
        """What a command in a running container writes to stdout. No time limit: it may have gigabytes to read.

        Raises:
            KubectlError: there is no such pod, it may not be entered, or the command ended with an error.
        """
        # The namespace comes last and wins: the object was found there, whatever the flags said.
        return self._run(["exec", f"--namespace={namespace}", target, "-c", container, "--", *command])

    def stream(self, target: str, container: str, command: Sequence[str], file: IO[bytes], *, namespace: str) -> None:
        """As `execute`, into a file: what is too large to hold in memory.

        Raises:
            KubectlError: as `execute`; the file then holds whatever came before.
        """
        self._run(["exec", f"--namespace={namespace}", target, "-c", container, "--", *command], file)

    def _run(self, arguments: Sequence[str], file: IO[bytes] | None = None) -> bytes:
        command = [*self._program, *self._flags, *arguments]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own program
                command, stdout=file or subprocess.PIPE, stderr=subprocess.PIPE, check=False
            )
        except OSError as error:
            sentence = f"{self._program[0]} cannot be run ({error.strerror}); install kubectl or set KUBECTL"
            raise KubectlError(sentence) from error
        if done.returncode:
            raise KubectlError(_sentence(done.stderr.decode(errors="replace"), done.returncode, arguments))
        return done.stdout or b""


def _sentence(stderr: str, code: int, arguments: Sequence[str]) -> str:
    """Kubectl's own words; where a command within a pod failed, that command's words too."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    # A client that cannot connect repeats itself in klog lines (E1123 11:55:48 ...) before it says it plainly.
    plain = [line for line in lines if not (line[0] in "EWI" and line[1:5].isdigit())] or lines
    return "; ".join(plain[-3:]) or f"kubectl {arguments[0]} ended with exit code {code} and said nothing"
