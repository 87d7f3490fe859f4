"""buildah, and its storage in the user's cache, so that layers are shared by all checkouts.

An environment of Python packages (`Image.packages`) is mounted while it is filled and lies beside the storage, "aside":
buildah would write its gigabytes four times to make a layer of them, and a cluster of ours is handed the folder itself.
Images for other clusters have everything in layers, and a storage of their own.
"""

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from oneseek_dev import layers
from oneseek_dev.content import key_of
from oneseek_dev.images import Image
from oneseek_dev.layout import cache_folder, checkout
from oneseek_dev.shell import run, run_logged

_LOCAL = "localhost/oneseek"
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")


def sets_aside() -> bool:
    """Whether images are for a cluster of ours."""
    return (os.environ.get("CLUSTER") or "embedded") == "embedded"


def store() -> Path:
    """Buildah's own storage."""
    return cache_folder() / ("buildah" if sets_aside() else "buildah-whole")


def command(*words: str | Path) -> list[str | Path]:
    """A command on that storage."""
    run_root = Path("/run/oneseek") / f"buildah-{key_of(str(store()))}"
    return ["buildah", "--root", store(), "--runroot", run_root, "--storage-driver", "overlay", *words]


def local_name(name: str, tag: str) -> str:
    """What buildah calls an image."""
    return f"{_LOCAL}/{name}:{tag}"


def is_stored(local: str) -> bool:
    """Whether buildah has an image of this name."""
    return layers.image(store(), local) is not None


def bud(
    image: Image, local: str, arguments: Sequence[tuple[str, str]], context: Path, *options: str, target: str = ""
) -> None:
    """Build a Dockerfile of ours; its output goes to the image's own log."""
    root = checkout()
    words: list[str | Path] = ["bud", "--isolation", "chroot", "--layers", "--tag", local, *options]
    words += ["--file", root / image.dockerfile, "--ignorefile", root / "dev" / "dockerignore"]
    for key, value in arguments:
        words += ["--build-arg", f"{key}={value}"]
    if target:
        words += ["--target", target]
    for volume in _volumes():
        words += ["--volume", volume]
    log = cache_folder() / "logs" / f"image-{image.name}.log"
    log.unlink(missing_ok=True)
    run_logged(command(*words, context), log)


def _volumes() -> list[str]:
    """What RUN steps may use without it staying in the image: the package index, its CA and npm's download cache."""
    folder = cache_folder() / "build"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["export npm_config_cache=/run/npm-cache"]
    if _CA_BUNDLE.exists():
        shutil.copyfile(_CA_BUNDLE, folder / "ca.crt")
        names = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        lines += [f"export {name}=/run/build/ca.crt" for name in names]
    settings = {name: os.environ[name] for name in _INDEX_SETTINGS if os.environ.get(name)}
    configured = run(["python3", "-m", "pip", "config", "get", "global.index-url"], check=False).strip()
    if configured:
        settings.setdefault("PIP_INDEX_URL", configured)
        settings.setdefault("UV_DEFAULT_INDEX", settings["PIP_INDEX_URL"])
    if shutil.which("npm") and (registry := run(["npm", "config", "get", "registry"], check=False).strip()):
        settings["npm_config_registry"] = registry
    lines += [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    (folder / "env").write_text("\n".join(lines) + "\n")
    npm_cache = cache_folder() / "npm"
    npm_cache.mkdir(parents=True, exist_ok=True)
    return [f"{folder}:/run/build:ro", f"{npm_cache}:/run/npm-cache"]
