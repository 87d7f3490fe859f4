"""Google's Firestore emulator for the tests of records there, where the machine has none of its own.

The npm package firebase-tools (MIT) says where Google keeps the program and which bytes it has; Java comes from Debian.
The emulator itself is Google's and not open source: it may be used under Google's terms for Firebase, and is in no image.
"""

import hashlib
import json
import shutil
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from oneseek_dev.console import step
from oneseek_dev.dashboard import npm
from oneseek_dev.errors import DevError
from oneseek_dev.layout import cache_folder
from oneseek_dev.tools import install_packages

_CATALOGUE = "firebase-tools@14.27.0"  # the last one whose emulator runs on the Java of Debian 12
_DETAILS = "package/lib/emulator/downloadableEmulatorInfo.json"
_SILENCE = 15  # seconds


def jar() -> Path:
    """Where `get` puts it."""
    return cache_folder() / "firestore" / "cloud-firestore-emulator.jar"


def get() -> None:
    """Afterwards the emulator and a Java are there.

    Raises:
        DevError: one cannot be had; with the reason.
    """
    install_packages({"default-jre-headless": "java"})
    if jar().exists():
        return
    with step("getting Google's Firestore emulator (under Google's terms for Firebase; for tests only)"):
        details = _details()
        jar().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=jar().parent, prefix=".part-", delete=False) as part:
            try:
                with urllib.request.urlopen(details["remoteUrl"], timeout=_SILENCE) as answer:
                    shutil.copyfileobj(answer, part)
                part.flush()
                _check(Path(part.name), details["expectedChecksumSHA256"])
                Path(part.name).rename(jar())
            except OSError as error:
                raise DevError(f"{details['remoteUrl']} cannot be fetched ({error}).") from error
            finally:
                Path(part.name).unlink(missing_ok=True)


def _details() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        npm("pack", "--silent", "--pack-destination", folder, _CATALOGUE)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
            text = package.extractfile(_DETAILS)
            if text is None:
                raise DevError(f"{_CATALOGUE} has no {_DETAILS}.")
            found: dict[str, Any] = json.load(text)["firestore"]
    return found


def _check(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected:
        raise DevError(f"The emulator that was fetched has the SHA-256 {digest}, and {_CATALOGUE} says {expected}.")
