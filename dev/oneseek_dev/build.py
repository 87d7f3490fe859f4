"""Building images with buildah: ordinary Dockerfiles, no container engine. A cluster's containerd gets them by hard links."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from oneseek_dev import base, buildah, configs, layers, tools
from oneseek_dev.console import step
from oneseek_dev.content import key_of
from oneseek_dev.images import NO_BASE, Image, named
from oneseek_dev.layout import REGISTRY_PORT, cache_folder, checkout
from oneseek_dev.locks import locked
from oneseek_dev.processes import Daemon
from oneseek_dev.readiness import port_answers, wait_until
from oneseek_dev.shell import run, run_logged

_OLD_IMAGES_KEPT = 10


def registry_storage() -> Path:
    """What was pushed, shared by every registry process of this user."""
    return cache_folder() / "registry"


def is_there(image: Image, tag: str) -> bool:
    """Whether exactly this image was built, and so can be handed to a cluster."""
    return buildah.is_stored(buildah.local_name(image.name, tag))


def hand_over(ctr: Sequence[str], tags: Mapping[str, str]) -> None:
    """Afterwards this containerd has these images under their tags and aliases."""
    for name, tag in tags.items():
        image = named(name)
        references = [image.reference(word) for word in (tag, image.alias) if word]
        local = buildah.local_name(name, tag)
        below = _dependencies_name(image)
        layers.hand_over(ctr, buildah.store(), local, references, aside=_aside(image), below=below)


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
    arguments, options = list(image.arguments), list[str]()
    if image.base != NO_BASE:
        arguments.append(("BASE_IMAGE", base.image()))
    if image.code:
        _build_dependencies(image)  # a layer of this build, and under its own name never collected
    if image.builder:
        builder = named(image.builder)
        arguments.append(("BUILDER_IMAGE", _build_dependencies(builder)))
        options = _mount(builder, _aside(builder), "ro")
    local = buildah.local_name(image.name, tag)
    context = tools.node_folder() if image.base == NO_BASE else checkout()
    with step(f"building the image {image.name}", quiet_below=2):
        buildah.bud(image, local, arguments, context, *options)
    return local


def _forget_old(name: str, keep: str) -> None:
    """Every change of code leaves an image behind; buildah gets slow with very many of them."""
    reference = keep.rpartition(":")[0]
    listed = run(
        buildah.command("images", "--format", "{{.Name}}:{{.Tag}}", "--filter", f"reference={reference}"), check=False
    )
    old = [local for local in listed.split() if local.startswith(f"{reference}:") and local != keep]
    if len(old) >= _OLD_IMAGES_KEPT:
        run(buildah.command("rmi", *old), check=False)


def _dependencies_name(image: Image) -> str:
    return buildah.local_name(f"{image.name}-dependencies", image.dependencies_key())


def _aside(image: Image) -> Path | None:
    """What lies beside the dependencies' layers, as if it were one more; None: they are whole, or not built yet.

    It goes by the stored image, which is the same as long as no step of its stage changed.
    """
    found = layers.image(buildah.store(), _dependencies_name(image))
    if found is None or not image.packages or not buildah.sets_aside():
        return None
    return cache_folder() / "aside" / json.loads(found[0])["config"]["digest"].removeprefix("sha256:")


def _mount(image: Image, aside: Path | None, how: str) -> list[str]:
    return ["--volume", f"{aside}{image.packages}:{image.packages}:{how}"] if aside else []


def _build_dependencies(image: Image) -> str:
    """Build the stage `dependencies`; what is set aside is in place once it is whole."""
    local = _dependencies_name(image)
    with _building(f"{image.name}-dependencies"):
        aside = _aside(image)
        if buildah.is_stored(local) and (aside is None or aside.is_dir()):
            return local
        arguments = [*image.arguments, ("BASE_IMAGE", base.image())]
        with step(f"building what the image {image.name} depends on", quiet_below=2):
            if image.packages and buildah.sets_aside():
                _build_aside(image, local, arguments)
            else:
                buildah.bud(image, local, arguments, checkout(), target="dependencies")
    return local


def _build_aside(image: Image, local: str, arguments: Sequence[tuple[str, str]]) -> None:
    part = cache_folder() / "aside" / f".{image.name}"
    place = part / image.packages.lstrip("/")
    # Where buildah finds all layers it runs nothing and fills nothing. If what they go with is lost: anew.
    for options in ([], ["--no-cache"]):
        run(["rm", "-rf", part])
        place.mkdir(parents=True)
        mounted = _mount(image, part, "rw")
        buildah.bud(image, local, arguments, checkout(), *options, *mounted, target="dependencies")
        aside = _aside(image)
        if aside and not aside.exists() and any(place.iterdir()):
            part.rename(aside)
        if aside and aside.exists():
            break
    run(["rm", "-rf", part])


def push(local: str, reference: str, *, insecure: bool = False) -> None:
    """Push an image from buildah's storage."""
    words: list[str | Path] = ["push", "--quiet", *(["--tls-verify=false"] if insecure else [])]
    run_logged(buildah.command(*words, local, f"docker://{reference}"), cache_folder() / "logs" / "push.log")


def save_layout(local: str, folder: Path) -> None:
    """Write an image from buildah's storage as an OCI image layout."""
    run_logged(buildah.command("push", "--quiet", local, f"oci:{folder}"), cache_folder() / "logs" / "save.log")


def push_layout(folder: Path, name: str, tag: str) -> None:
    """Push an OCI image layout into the local registry; nothing of it stays in buildah's storage."""
    image = run(buildah.command("pull", "--quiet", f"oci:{folder}")).strip()
    try:
        with passing_registry() as address:
            push(image, f"{address}/oneseek/{name}:{tag}", insecure=True)
    finally:
        run(buildah.command("rmi", "--force", image), check=False)


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
        buildah.command("push", "--quiet", local, f"docker-archive:{archive}:{reference}"),
        cache_folder() / "logs" / "save.log",
    )
