"""Building images with buildah: ordinary Dockerfiles, no container engine. A cluster's containerd gets them by hard links.

buildah's own storage is in the user's cache, so layers are shared by all checkouts.
"""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from oneseek_dev import configs, layers, tools
from oneseek_dev.console import step
from oneseek_dev.content import key_of
from oneseek_dev.errors import DevError
from oneseek_dev.images import BASE_KEY, BASE_PACKAGES, BASE_SUITE, NO_BASE, Image, named
from oneseek_dev.layout import REGISTRY_PORT, cache_folder, checkout
from oneseek_dev.locks import locked
from oneseek_dev.processes import Daemon
from oneseek_dev.readiness import port_answers, wait_until
from oneseek_dev.shell import run, run_logged

_LOCAL = "localhost/oneseek"
_OLD_IMAGES_KEPT = 10
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")


def registry_storage() -> Path:
    """What was pushed, shared by every registry process of this user."""
    return cache_folder() / "registry"


def is_there(image: Image, tag: str) -> bool:
    """Whether exactly this image was built, and so can be handed to a cluster."""
    return layers.image(store(), local_name(image, tag)) is not None


def local_name(image: Image, tag: str) -> str:
    """What buildah calls the image."""
    return f"{_LOCAL}/{image.name}:{tag}"


def hand_over(ctr: Sequence[str], tags: Mapping[str, str]) -> None:
    """Afterwards this containerd has these images under their tags and aliases."""
    for name, tag in tags.items():
        image = named(name)
        references = [image.reference(word) for word in (tag, image.alias) if word]
        layers.hand_over(ctr, store(), local_name(image, tag), references)


def store() -> Path:
    """Buildah's own storage."""
    return cache_folder() / "buildah"


def _buildah(*words: str | Path) -> list[str | Path]:
    run_root = Path("/run/oneseek/buildah")
    return ["buildah", "--root", store(), "--runroot", run_root, "--storage-driver", "overlay", *words]


def ensure(names: Iterable[str]) -> dict[str, str]:
    """Afterwards these images are built from the sources as they are now; returns their tags.

    Images are built while the programs are compiled: the one waits for networks and disks, the other for the CPU.
    """
    # A tag is taken once: somebody may be editing the sources while we build.
    tags = {name: named(name).tag() for name in names}
    missing = [name for name, tag in tags.items() if not is_there(named(name), tag)]
    if not missing:
        return tags
    tools.install_packages()
    with ThreadPoolExecutor(1) as pool:
        programs = pool.submit(tools.ensure)
        # What is made of the programs themselves comes when they are there.
        for name in sorted(missing, key=lambda name: named(name).base == NO_BASE):
            if named(name).base == NO_BASE:
                programs.result()
            with _building(name):
                if not is_there(named(name), tags[name]):
                    _forget_old(name, build(named(name), tags[name]))
        programs.result()
    return tags


def _building(name: str) -> AbstractContextManager[None]:
    """Held while an image is built: a second builder waits, and then finds it done."""
    return locked(cache_folder() / f"build-{name}.lock", saying=f"another build of {name}")


def build(image: Image, tag: str) -> str:
    """Build the image and return its name in buildah's storage."""
    arguments = list(image.arguments)
    if image.base != NO_BASE:
        arguments.append(("BASE_IMAGE", base_image()))
    if image.code:
        _build_dependencies(image)  # a layer of this build, and under its own name never collected
    if image.builder:
        arguments.append(("BUILDER_IMAGE", _build_dependencies(named(image.builder))))
    local = local_name(image, tag)
    with step(f"building the image {image.name}", quiet_below=2):
        _bud(image, local, arguments)
    return local


def _forget_old(name: str, keep: str) -> None:
    """Every change of code leaves an image behind; buildah gets slow with very many of them."""
    listed = run(
        _buildah("images", "--format", "{{.Name}}:{{.Tag}}", "--filter", f"reference={_LOCAL}/{name}"), check=False
    )
    old = [local for local in listed.split() if local.startswith(f"{_LOCAL}/{name}:") and local != keep]
    if len(old) >= _OLD_IMAGES_KEPT:
        run(_buildah("rmi", *old), check=False)


def _build_dependencies(image: Image) -> str:
    local = f"{_LOCAL}/{image.name}-dependencies:{image.dependencies_key()}"
    with _building(f"{image.name}-dependencies"):
        if not _is_stored(local):
            with step(f"building what the image {image.name} depends on", quiet_below=2):
                _bud(image, local, [*image.arguments, ("BASE_IMAGE", base_image())], target="dependencies")
    return local


def base_is_made() -> bool:
    """Whether the base image needs nothing of Debian any more."""
    return _is_stored(f"{_LOCAL}/base:{BASE_KEY}")


def _is_stored(local: str) -> bool:
    return layers.image(store(), local) is not None


def _bud(image: Image, local: str, arguments: list[tuple[str, str]], target: str = "") -> None:
    root = checkout()
    context = tools.node_folder() if image.base == NO_BASE else root
    words: list[str | Path] = ["bud", "--isolation", "chroot", "--layers", "--tag", local]
    words += ["--file", root / image.dockerfile, "--ignorefile", root / "dev" / "dockerignore"]
    for key, value in arguments:
        words += ["--build-arg", f"{key}={value}"]
    if target:
        words += ["--target", target]
    for volume in _volumes():
        words += ["--volume", volume]
    log = cache_folder() / "logs" / f"image-{image.name}.log"
    log.unlink(missing_ok=True)
    run_logged(_buildah(*words, context), log)


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


def base_image() -> str:
    """The base of our Dockerfiles on this machine: ONESEEK_BASE_IMAGE, else a small Debian made by debootstrap."""
    if chosen := os.environ.get("ONESEEK_BASE_IMAGE"):
        return chosen
    local = f"{_LOCAL}/base:{BASE_KEY}"
    with _building("base"):
        if not _is_stored(local):
            _build_base(local)
    return local


def _build_base(local: str) -> None:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (
        step("making the base image with debootstrap"),
        tempfile.TemporaryDirectory(prefix="base-", dir=cache_folder()) as folder,
    ):
        _debootstrap(Path(folder) / "base.tar")
        (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        run_logged(_buildah("bud", "--tag", local, folder), cache_folder() / "logs" / "base.log")


def _debootstrap(archive: Path) -> None:
    log = cache_folder() / "logs" / "debootstrap.log"
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        tree = Path(folder) / "root"
        include = f"--include={','.join(BASE_PACKAGES)}"
        run_logged(["debootstrap", "--variant=minbase", include, BASE_SUITE, tree, debian_mirror()], log)
        for waste in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
            shutil.rmtree(tree / waste, ignore_errors=True)
            (tree / waste).mkdir(parents=True)
        run(["tar", "-C", tree, "--numeric-owner", "--one-file-system", "-cf", archive, "."])


def debian_mirror() -> str:
    """The mirror that this machine's own apt uses for Debian itself."""
    listed = run(["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(CODENAME)"], check=False)
    for line in listed.splitlines():
        site, *rest = line.split()
        if rest == ["Debian", BASE_SUITE]:
            return site
    raise DevError(
        f"This machine's apt knows no mirror of Debian {BASE_SUITE} to make the base image from: run `apt-get update`, "
        "or name an image in ONESEEK_BASE_IMAGE."
    )


def push(local: str, reference: str, *, insecure: bool = False) -> None:
    """Push an image from buildah's storage."""
    words: list[str | Path] = ["push", "--quiet", *(["--tls-verify=false"] if insecure else [])]
    run_logged(_buildah(*words, local, f"docker://{reference}"), cache_folder() / "logs" / "push.log")


def save_layout(local: str, folder: Path) -> None:
    """Write an image from buildah's storage as an OCI image layout."""
    run_logged(_buildah("push", "--quiet", local, f"oci:{folder}"), cache_folder() / "logs" / "save.log")


def push_layout(folder: Path, name: str, tag: str) -> None:
    """Push an OCI image layout into the local registry; nothing of it stays in buildah's storage."""
    image = run(_buildah("pull", "--quiet", f"oci:{folder}")).strip()
    try:
        with passing_registry() as address:
            push(image, f"{address}/oneseek/{name}:{tag}", insecure=True)
    finally:
        run(_buildah("rmi", "--force", image), check=False)


@contextmanager
def passing_registry() -> Iterator[str]:
    """A registry over the shared storage for as long as we push; building needs no cluster.

    Always at the same address: buildah remembers by it which compressed layers are already there.
    """
    address = passing_address(str(cache_folder()))
    with (
        locked(cache_folder() / "push.lock", saying="another push to end"),
        tempfile.TemporaryDirectory(prefix="oneseek-registry-") as folder,
    ):
        daemon = Daemon("registry", Path(folder))
        start_registry(daemon, Path(folder) / "registry.yaml", address)
        try:
            yield address
        finally:
            daemon.stop()


def passing_address(cache: str) -> str:
    """A loopback address of this cache's own, so that two users' registries do not meet."""
    number = int(key_of(cache), 16)
    return f"127.18.{number % 256}.{1 + number // 256 % 254}:{REGISTRY_PORT}"


def start_registry(daemon: Daemon, config: Path, address: str) -> None:
    """Start a registry over the shared storage; returns when it answers."""
    registry_storage().mkdir(parents=True, exist_ok=True)
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(configs.registry(registry_storage(), address))
    daemon.start([tools.node_folder() / "registry", "serve", config], env={"OTEL_TRACES_EXPORTER": "none"})
    wait_until(lambda: port_answers(address), f"the registry to listen on {address}", alive=[daemon])


def save(local: str, archive: Path, reference: str) -> None:
    """Write an image from buildah's storage into an archive, under the name that manifests use."""
    run_logged(
        _buildah("push", "--quiet", local, f"docker-archive:{archive}:{reference}"),
        cache_folder() / "logs" / "save.log",
    )
