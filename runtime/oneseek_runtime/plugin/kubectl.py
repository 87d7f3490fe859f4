"""[I/O] The cluster as the user's own kubectl shows it: their context, their rights, no client library.

`KUBECTL` in the environment names another program ("k3s kubectl"). What is written is written as field manager
`oneseek-plugin`: Flux takes back whatever a manager called `kubectl…` has set.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from tempfile import TemporaryFile
from typing import IO, Any, Self

from oneseek_runtime.plugin.errors import ConflictError, KubectlError, NotFoundError

__all__ = ["FIELD_MANAGER", "Kubectl"]

FIELD_MANAGER = "oneseek-plugin"
_READ_SECONDS = 30  # for one answer of the API server
_IN_POD = ("python", "-m", "oneseek_runtime.plugin.inpod")  # the commands that run in pods


class Kubectl:
    """Runs kubectl with the flags that the user gave us."""

    def __init__(self, program: Sequence[str], flags: Sequence[str]) -> None:
        self._program = tuple(program)
        self._flags = tuple(flags)

    @classmethod
    def of(cls, environment: Mapping[str, str], arguments: Namespace) -> Self:
        """The program that the environment names, with the connection flags among the arguments.

        Raises KubectlError: KUBECTL cannot be read as a command.
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

        Raises KubectlError: not found, forbidden, no cluster; the sentence is kubectl's.
        """
        return self._object(["get", *arguments, "-o", "json", f"--request-timeout={_READ_SECONDS}s"])

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a List. Raises KubectlError: as `get`."""
        return list(self.get(*arguments).get("items", []))

    def execute(
        self, target: str, container: str, command: Sequence[str], *, namespace: str, stdin: bytes | None = None
    ) -> bytes:
        """What a command of `inpod` in a running container writes to stdout. No time limit: it may read gigabytes.

        Raises KubectlError: there is no such pod, it may not be entered, or the command ended with an error.
        """
        # The namespace comes last and wins: the object was found there, whatever the flags said.
        more = [] if stdin is None else ["--stdin"]
        head = ["exec", f"--namespace={namespace}", target, "-c", container, *more]
        return self._run([*head, "--", *_IN_POD, *command], stdin=stdin)

    def stream(self, target: str, container: str, command: Sequence[str], file: IO[bytes], *, namespace: str) -> None:
        """As `execute`, into a file: what is too large to hold in memory.

        Raises KubectlError: as `execute`; the file then holds whatever came before.
        """
        self._run(["exec", f"--namespace={namespace}", target, "-c", container, "--", *_IN_POD, *command], into=file)

    def annotate(self, target: str, annotations: Mapping[str, str], *, namespace: str, version: str) -> None:
        """Write annotations on an object (`resource/name`) that is still as it was read: at `version`.

        Raises:
            ConflictError: the object has changed since.
            KubectlError: forbidden, refused by a policy, no cluster.
        """
        pairs = [f"{key}={value}" for key, value in annotations.items()]
        flags = ["--overwrite", f"--resource-version={version}", f"--field-manager={FIELD_MANAGER}"]
        self._run(["annotate", f"--namespace={namespace}", target, *pairs, *flags])

    def patch(self, target: str, change: Mapping[str, Any], *, namespace: str) -> None:
        """A JSON merge patch of an object (`resource/name`).

        Raises:
            ConflictError: the patch names a resourceVersion, and the object has changed since.
            KubectlError: forbidden, refused, no cluster.
        """
        flags = ["--type=merge", f"--patch={json.dumps(change)}", f"--field-manager={FIELD_MANAGER}"]
        self._run(["patch", f"--namespace={namespace}", target, *flags])

    def post(self, path: str, body: Mapping[str, Any], *, seconds: int) -> bytes:
        """What a path of the API server (a proxy to a pod, say) answers to a POST.

        Raises KubectlError: it answered with an error, or not in time.
        """
        more = [f"--raw={path}", "--filename=-", f"--request-timeout={seconds}s"]
        return self._run(["create", *more], stdin=json.dumps(body).encode())

    def whoami(self) -> str:
        """Who the API server takes the user for.

        Raises KubectlError: kubectl or the API server is too old to say (before 1.28).
        """
        told = self._object(["auth", "whoami", "-o", "json", f"--request-timeout={_READ_SECONDS}s"])
        name = told.get("status", {}).get("userInfo", {}).get("username")
        if not isinstance(name, str) or not name:
            raise KubectlError("kubectl auth whoami named nobody")
        return name

    def lines(self, *arguments: str) -> Iterator[str]:
        """The lines that kubectl writes, as they come. Raises KubectlError: it ended with an error."""
        with TemporaryFile() as words, self._popen(arguments, words.fileno()) as running:
            assert running.stdout is not None  # noqa: S101 - asked for below
            try:
                for line in running.stdout:
                    yield line.decode(errors="replace").rstrip("\r\n")
                code = running.wait()
            finally:
                running.terminate()  # does nothing to what has ended
            if code:
                words.seek(0)
                raise _error(words.read(), code, arguments)

    def _popen(self, arguments: Sequence[str], words: int) -> subprocess.Popen[bytes]:
        command = [*self._program, *self._flags, *arguments]
        try:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words)  # noqa: S603 - the user's own program
        except OSError as error:
            raise self._not_there(error) from error

    def _object(self, arguments: Sequence[str]) -> dict[str, Any]:
        out, asked = self._run(arguments), " ".join(arguments[:2])
        try:
            found = json.loads(out)
        except ValueError as error:
            raise KubectlError(f"kubectl {asked} answered no JSON: {error}") from error
        if not isinstance(found, dict):
            raise KubectlError(f"kubectl {asked} answered no object")
        return found

    def _run(self, arguments: Sequence[str], *, stdin: bytes | None = None, into: IO[bytes] | None = None) -> bytes:
        command = [*self._program, *self._flags, *arguments]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own program
                command, input=stdin, stdout=into or subprocess.PIPE, stderr=subprocess.PIPE, check=False
            )
        except OSError as error:
            raise self._not_there(error) from error
        if done.returncode:
            raise _error(done.stderr, done.returncode, arguments)
        return done.stdout or b""

    def _not_there(self, error: OSError) -> KubectlError:
        return KubectlError(f"{self._program[0]} cannot be run ({error.strerror}); install kubectl or set KUBECTL")


def _error(stderr: bytes, code: int, arguments: Sequence[str]) -> KubectlError:
    text = stderr.decode(errors="replace")
    sentence = _sentence(text, code, arguments)
    if "(Conflict)" in text or "object has been modified" in text:
        return ConflictError(sentence)
    return NotFoundError(sentence) if "(NotFound)" in text else KubectlError(sentence)


def _sentence(stderr: str, code: int, arguments: Sequence[str]) -> str:
    """Kubectl's own words; where a command within a pod failed, that command's words too."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    # A client that cannot connect repeats itself in klog lines (E1123 11:55:48 ...) before it says it plainly.
    plain = [line for line in lines if not (line[0] in "EWI" and line[1:5].isdigit())] or lines
    return "; ".join(plain[-3:]) or f"kubectl {arguments[0]} ended with exit code {code} and said nothing"
