"""[I/O] The pod's own copies of versions (HotSwap): a folder per DNA, and a mark beside it once it is whole and proved.

The watching verifier is the one writer; the engine sees the folder read-only and loads nothing without a mark. Which
version answers is noted here as well: the note outlives any container of the pod, the ConfigMap of the pod may lag.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.dna import Dna
from oneseek_core.errors import DnaError
from oneseek_core.files import fsync_dir, is_full, write_atomic
from oneseek_core.jobs.verify import VerifyReport, VerifyRequest
from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.log import say
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.folder import verdict, verify_copy, verify_folder
from oneseek_runtime.verify.refusal import RefusedError
from oneseek_runtime.verify.trust import trusted_keys

__all__ = ["Copies"]

_INCOMING = ".incoming"
_NOTE = ".in-use.json"


class Copies:
    """The copies below `verified`, made from the versions below `certified`."""

    def __init__(self, request: VerifyRequest, certified: Path, verified: Path) -> None:
        self._request = request
        self._certified = certified
        self._verified = verified
        self._turn = threading.Lock()

    def make(self, wanted: WantedVersion) -> VerifyReport:
        """Prove a version on the claim and leave a marked copy of it; refusals are values."""
        with self._turn:
            return verdict(lambda: self._make(wanted)).model_copy(update={"dna": wanted.dna})

    def check(self, wanted: WantedVersion) -> VerifyReport:
        """Prove once more what lies on the claim and in the copy; nothing is written.

        Raises:
            RefusedError: with the reason.
        """
        dna, digest = _named(wanted)
        report = verify_folder(self._certified / dna, self._expected(dna, digest))
        verify_copy(self._verified / dna, digest)
        return report

    def use(self, wanted: WantedVersion) -> None:
        """Note which version answers from now on, and remove every other copy."""
        with self._turn:
            write_atomic(self._verified / _NOTE, wanted.model_dump_json(by_alias=True).encode())
            for path in self._verified.iterdir():
                if path.name not in (names.VERIFIED_MARKS, _NOTE, wanted.dna):
                    self._remove(path)

    def in_use(self) -> WantedVersion | None:
        """The note; None where nothing has answered yet."""
        try:
            return WantedVersion.from_wire((self._verified / _NOTE).read_bytes())
        except (OSError, ValidationError):
            return None

    def _make(self, wanted: WantedVersion) -> VerifyReport:
        dna, digest = _named(wanted)
        home, mark = self._verified / dna, self._verified / names.VERIFIED_MARKS / dna
        try:
            if mark.is_file() and self._is_whole(home, digest):
                return verify_folder(self._certified / dna, self._expected(dna, digest))
            self._remove(home)
            incoming = self._verified / _INCOMING
            self._remove(incoming)
            incoming.mkdir()
            report = verify_folder(self._certified / dna, self._expected(dna, digest), incoming)
            incoming.rename(home)
            fsync_dir(self._verified)
            mark.parent.mkdir(exist_ok=True)
            write_atomic(mark, WantedVersion(dna=dna, digest=digest).model_dump_json(by_alias=True).encode())
        except OSError as error:
            if is_full(error):
                raise RefusedError(names.STORAGE_FULL, f"the pod has no room for a copy of {dna}") from error
            raise RefusedError(names.ARTIFACT_UNREADABLE, f"the volume gives errors: {error.strerror}") from error
        say("copied", dna=dna, digest=digest, bytes=report.bytes)
        return report

    @staticmethod
    def _is_whole(home: Path, digest: str) -> bool:
        try:
            verify_copy(home, digest)
        except RefusedError:
            return False
        return True

    def _remove(self, path: Path) -> None:
        """The mark goes first: a copy without one is nothing."""
        (self._verified / names.VERIFIED_MARKS / path.name).unlink(missing_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _expected(self, dna: str, digest: str) -> Expected:
        asked = self._request.model_copy(update={"dna": dna, "digest": digest})
        return Expected.of(asked, trusted_keys(self._request.trusted_keys))


def _named(wanted: WantedVersion) -> tuple[str, str]:
    try:
        dna = str(Dna.parse(wanted.dna or ""))
    except DnaError as error:
        raise RefusedError(names.DNA_DIFFERS, str(error)) from error
    if wanted.digest is None:
        raise RefusedError(names.ARTIFACT_DIGEST_DIFFERS, f"no digest was named for {dna}")
    return dna, wanted.digest
