"""[I/O] Adapters that come and go while the engine runs: vLLM's two calls, for a version under its DNA.

Two slots, the version that answers and one spare. Only the verifier's copies are loaded, and a name never comes to mean
other bytes than it did once: a DNA that was loaded with another digest before is refused, also after it was unloaded.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.dna import Dna
from oneseek_core.errors import DnaError
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.engine.checks import adapter_folder
from oneseek_runtime.engine.errors import AdapterError, EngineStartError
from oneseek_runtime.engine.model import LoadedModel
from oneseek_runtime.log import say

__all__ = ["SLOTS", "Slots"]

SLOTS = 2
_LARGEST_MARK = 4096  # bytes


class Slots:
    """Loads and unloads, one at a time; generation goes on meanwhile."""

    def __init__(self, model: LoadedModel, serving: ServingSettings, verified: Path) -> None:
        self._model = model
        self._serving = serving
        self._verified = verified
        self._digests: dict[str, str] = {}
        self._turn = asyncio.Lock()

    async def load(self, body: object) -> str:
        """POST /v1/load_lora_adapter.

        Raises:
            AdapterError: with vLLM's status and kind.
        """
        name, path = _text(body, "lora_name"), _text(body, "lora_path")
        if not name or not path:
            raise AdapterError.bad("Both 'lora_name' and 'lora_path' must be provided.")
        async with self._turn:
            if name in self._model.names:
                raise AdapterError.bad(f"The lora adapter '{name}' has already been loaded.")
            if len(self._model.names) > SLOTS:
                raise AdapterError.bad(f"{SLOTS} lora adapters are loaded, there is no slot left; unload one first")
            started = time.monotonic()
            digest = await asyncio.to_thread(self._load, name, path)
            say("loaded", adapter=name, digest=digest, seconds=round(time.monotonic() - started, 3))
        return f"Success: LoRA adapter '{name}' added successfully."

    async def unload(self, body: object) -> str:
        """POST /v1/unload_lora_adapter. Answers under way on the adapter finish on it.

        Raises:
            AdapterError: with vLLM's status and kind.
        """
        name = _text(body, "lora_name")
        if not name:
            raise AdapterError.bad("'lora_name' needs to be provided to unload a LoRA adapter.")
        async with self._turn:
            if name not in self._model.names[1:]:
                raise AdapterError.missing(f"The lora adapter '{name}' cannot be found.")
            self._model.remove(name)
        say("unloaded", adapter=name)
        return f"Success: LoRA adapter '{name}' removed successfully."

    def _load(self, name: str, path: str) -> str:
        folder, digest = self._accepted(name, path)
        known = self._digests.setdefault(name, digest)
        if known != digest:
            raise AdapterError.bad(f"'{name}' was loaded as {known} before; {digest} is another version of that name")
        try:
            # One more look at the copy itself: metadata and weights must be those of the name.
            serving = self._serving.model_copy(update={"dna": name, "adapter_path": str(folder)})
            adapter_folder(serving)
            with _often_interrupted():
                self._model.add(name, folder)
        except EngineStartError as error:
            raise AdapterError.failed(str(error)) from error
        return digest

    def _accepted(self, name: str, path: str) -> tuple[Path, str]:
        """The folder and the digest it was verified with."""
        try:
            dna = str(Dna.parse(name))
        except DnaError as error:
            raise AdapterError.bad(str(error)) from error
        folder = self._verified / dna
        if Path(path) != folder or folder.is_symlink():
            raise AdapterError.bad(f"{path} is not {folder}: only what the verifier has copied there is loaded")
        try:
            mark = (self._verified / names.VERIFIED_MARKS / dna).read_bytes()[:_LARGEST_MARK]
            verified = WantedVersion.from_wire(mark)
            digest = digest_bytes((folder / names.MANIFEST).read_bytes())
        except (OSError, ValidationError) as error:
            raise AdapterError.missing(f"Loading lora {name} failed: the verifier has not passed {folder}") from error
        if verified.dna != dna or verified.digest != digest:
            raise AdapterError.bad(f"{folder} is not what the verifier passed: it is {digest} now")
        return folder, digest


@contextmanager
def _often_interrupted() -> Iterator[None]:
    """Have the interpreter change threads ten times as often.

    A load is much Python, and after each of a token's hundreds of products the generating thread has to win the
    interpreter back from it.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 10)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _text(body: object, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else ""
