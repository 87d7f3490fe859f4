"""`CLUSTER=existing`: somebody's cluster (KUBECONFIG), fed through a registry that it can pull from."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from oneseek_dev import build
from oneseek_dev.console import step
from oneseek_dev.errors import DevError
from oneseek_dev.images import named, references
from oneseek_dev.services import kubectl, node_port, url_of
from oneseek_dev.shell import run


class Existing:
    """A cluster that we neither start nor stop."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def _need(self, name: str, why: str) -> str:
        if value := self._environment.get(name):
            return value
        raise DevError(f"CLUSTER=existing needs {name}: {why}.")

    def tools(self) -> None:
        """Kubectl is enough."""
        kubectl()

    def prepare(self, names: Sequence[str]) -> None:
        """Images come when the cluster is there."""
        self.tools()

    def up(self, *, enforce: bool = False) -> None:
        """It has to be there: raises DevError if it does not answer. What its network enforces is its own."""
        run([kubectl(), "--kubeconfig", self.kubeconfig(), "version"])

    def down(self) -> None:
        """It is not ours to stop."""

    def status(self) -> tuple[list[str], bool]:
        """What kubectl says of it."""
        answer = run([kubectl(), "--kubeconfig", self.kubeconfig(), "get", "nodes"], check=False)
        return answer.splitlines() or ["the cluster does not answer"], bool(answer)

    def images(self, names: Sequence[str], *, only_print: bool) -> str:
        """Build and push into ONESEEK_REGISTRY; who may push is what `buildah login` said."""
        registry = self._need("ONESEEK_REGISTRY", "the registry (host[:port][/path]) that the cluster pulls from")
        if not only_print:
            for name in names or references():
                image = named(name)
                tag = image.tag()
                local = build.build(image, tag)
                with step(f"pushing {name} to {registry}"):
                    build.push(local, image.reference(tag, registry))
        return json.dumps(references(registry=registry, also=names), indent=1)

    def kubeconfig(self) -> Path:
        """The person's own."""
        return Path(self._need("KUBECONFIG", "the path of the cluster's kubeconfig")).expanduser()

    def execute(self, words: Sequence[str]) -> NoReturn:
        """Become the command, with that kubeconfig."""
        os.execvpe(words[0], list(words), {**os.environ, "KUBECONFIG": str(self.kubeconfig())})  # noqa: S606

    def url(self, service: str, port: str) -> str:
        """The first node's address, which may or may not be reachable from here."""
        jsonpath = "jsonpath={.items[0].status.addresses[0].address}"
        address = run([kubectl(), "--kubeconfig", self.kubeconfig(), "get", "nodes", "--output", jsonpath])
        return url_of(address.strip(), node_port(self.kubeconfig(), service, port))
