"""The base of our Dockerfiles on this machine: ONESEEK_BASE_IMAGE, else a small Debian made here."""

import os

from oneseek_dev import buildah
from oneseek_dev.console import step
from oneseek_dev.errors import DevError
from oneseek_dev.images import BASE_KEY, BASE_PACKAGES, BASE_SUITE
from oneseek_dev.layout import cache_folder
from oneseek_dev.locks import locked
from oneseek_dev.shell import run, run_logged

_NO_WASTE = (  # dpkg syncs each file to the disk, for a machine that may lose power
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)


def image() -> str:
    """Its name; it is made where it is not there yet."""
    if chosen := os.environ.get("ONESEEK_BASE_IMAGE"):
        return chosen
    local = buildah.local_name("base", BASE_KEY)
    with locked(cache_folder() / "build-base.lock", saying="another build of base"):
        if not buildah.is_stored(local):
            _make(local)
    return local


def is_made() -> bool:
    """Whether it needs nothing of Debian any more."""
    return buildah.is_stored(buildah.local_name("base", BASE_KEY))


def _make(local: str) -> None:
    log = cache_folder() / "logs" / "base.log"
    with step("making the base image with mmdebstrap"):
        container = run(buildah.command("from", "scratch")).strip()
        try:
            root = run(buildah.command("mount", container)).strip()
            include = f"--include={','.join(BASE_PACKAGES)}"
            words = ["mmdebstrap", "--variant=minbase", "--mode=root", *_NO_WASTE, include]
            run_logged([*words, BASE_SUITE, root, _mirror()], log)
            run_logged(buildah.command("commit", container, local), log)
        finally:
            run(buildah.command("rm", container), check=False)


def _mirror() -> str:
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
