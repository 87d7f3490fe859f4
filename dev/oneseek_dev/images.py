"""The images and what goes into each. Pure, apart from reading the sources that the tags are made of.

A tag is the hash of everything that is built in, so an image that did not change is neither built nor pushed again.
The part below our own code has a key of its own: it is what is expensive and changes seldom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oneseek_dev.content import key_of
from oneseek_dev.dashboard import NODE_FROM_PYPI, SOURCES
from oneseek_dev.layout import REGISTRY_NAME, checkout

_CODE = Path("core/oneseek_core")
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
BASE_SUITE = "bookworm"
BASE_KEY = key_of("base", BASE_SUITE, *BASE_PACKAGES)
PYTHON_BASE = "python"  # the usual base of our Dockerfiles, or what stands in for it
NO_BASE = "scratch"


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its Dockerfile, and the files and arguments that decide its content."""

    name: str
    dockerfile: Path
    dependencies: tuple[Path, ...] = ()
    code: tuple[Path, ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()
    builder: str = ""  # the image whose `dependencies` stage builds this one
    base: str = PYTHON_BASE
    packages: str = ""  # the folder that the dependencies fill, in gigabytes maybe
    alias: str = ""  # a second tag for manifests that people write by hand; it moves with the image

    def dependencies_key(self) -> str:
        """What the expensive lower layers are made of."""
        root = checkout()
        below = CATALOGUE[self.builder].dependencies_key() if self.builder else ""
        words = [self.base, BASE_KEY, below, *(f"{key}={value}" for key, value in self.arguments)]
        return key_of(*words, root=root, paths=[root / path for path in (self.dockerfile, *self.dependencies)])

    def tag(self) -> str:
        """What the whole image is made of."""
        root = checkout()
        return key_of(self.dependencies_key(), root=root, paths=[root / path for path in self.code])

    def reference(self, tag: str = "", registry: str = REGISTRY_NAME) -> str:
        """The image's full name; its tag is taken from the sources unless it was already."""
        return f"{registry}/oneseek/{self.name}:{tag or self.tag()}"


def _python(
    name: str,
    folder: str,
    requirements: str,
    arguments: tuple[tuple[str, str], ...] = (),
    pages: tuple[Path, ...] = (),
) -> Image:
    return Image(
        name,
        Path(folder) / "Dockerfile",
        dependencies=tuple(
            Path("requirements") / file for file in ("build.txt", f"{requirements}.txt", f"{requirements}.imports")
        ),
        code=(_CODE, Path(folder) / f"oneseek_{folder}", *pages),
        arguments=arguments,
        packages="/opt/venv",
    )


def _model(name: str) -> Image:
    return Image(
        f"base-{name}",
        Path("dev/models/Dockerfile"),
        dependencies=(
            Path("requirements/build.txt"),
            Path("requirements/models.txt"),
            Path(f"dev/models/make_{name}.py"),
        ),
        arguments=(("MODEL", name),),
        builder="runtime",
        alias="v1",
    )


PAUSE = Image("pause", Path("dev/pause/Dockerfile"), dependencies=(Path("dev/node/pause"),), base=NO_BASE)
_ALL = (
    PAUSE,
    _python("operator", "operator", "operator"),
    _python("slim", "runtime", "slim", (("REQUIREMENTS", "slim"),), (NODE_FROM_PYPI, *SOURCES)),
    _python("runtime", "runtime", "runtime", (("REQUIREMENTS", "runtime"),)),
    _python("firestore", "runtime", "firestore", (("REQUIREMENTS", "firestore"),)),
    _model("tiny"),
    _model("smollm2"),
)
CATALOGUE = {image.name: image for image in _ALL}
DEMO = ("pause", "operator", "runtime", "base-smollm2", "slim")  # what the demo runs; the slowest first of its kind
_BAD_ENGINE = Path("tests/support/bad_engine")
FOR_TESTS = {  # built only when they are asked for by name
    image.name: image for image in (Image("bad-engine", _BAD_ENGINE / "Dockerfile", (_BAD_ENGINE / "engine.py",)),)
}


def named(name: str) -> Image:
    """An image by its name, whoever it is for."""
    return CATALOGUE.get(name) or FOR_TESTS[name]


def wanted(goal: str) -> tuple[str, ...]:
    """The images that a make target needs."""
    return DEMO if goal == "demo" else tuple(CATALOGUE)


def references(
    tags: Mapping[str, str] | None = None, registry: str = REGISTRY_NAME, also: Sequence[str] = ()
) -> dict[str, str]:
    """The images that a chart or a manifest may name, under their full names; tags not given are taken now."""
    known = tags or {}
    images = [image for image in CATALOGUE.values() if image is not PAUSE]
    images += [FOR_TESTS[name] for name in also if name in FOR_TESTS]
    return {image.name: image.reference(known.get(image.name, ""), registry) for image in images}
