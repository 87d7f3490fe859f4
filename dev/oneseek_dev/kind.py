"""`CLUSTER=kind`: a kind cluster on a machine with a container engine; images are loaded from an archive."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from oneseek_dev import build
from oneseek_dev.console import step
from oneseek_dev.errors import DevError
from oneseek_dev.images import Image, named, references
from oneseek_dev.layout import Cluster
from oneseek_dev.services import kubectl, node_port, url_of
from oneseek_dev.shell import run

CONFIG = """kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}]
"""


class Kind:
    """A kind cluster; kind's own default storage class honours claims, and its node's address is on the machine."""

    def __init__(self, which: Cluster) -> None:
        self._cluster = which
        self._name = f"oneseek-{which.id}"

    def tools(self) -> None:
        """Kind and the engine are the person's own."""
        if not shutil.which("kind"):
            raise DevError("There is no `kind` on this machine; see https://kind.sigs.k8s.io, or use CLUSTER=embedded.")

    def _exists(self) -> bool:
        return self._name in run(["kind", "get", "clusters"], check=False).split()

    def prepare(self, names: Sequence[str]) -> None:
        """Images come when the cluster is there."""
        self.tools()

    def up(self, *, enforce: bool = False) -> None:
        """Create it unless it exists; kind's network enforces policies by itself."""
        self.tools()
        if self._exists():
            return
        self._cluster.state.mkdir(parents=True, exist_ok=True)
        config = self._cluster.state / "kind.yaml"
        config.write_text(CONFIG)
        with step(f"creating the kind cluster {self._name}"):
            words: list[str | Path] = ["kind", "create", "cluster", "--name", self._name, "--config", config]
            run([*words, "--kubeconfig", self._cluster.kubeconfig, "--wait", "120s"])

    def down(self) -> None:
        """Delete it."""
        self.tools()
        run(["kind", "delete", "cluster", "--name", self._name])
        shutil.rmtree(self._cluster.state, ignore_errors=True)

    def status(self) -> tuple[list[str], bool]:
        """Whether kind knows it."""
        exists = bool(shutil.which("kind")) and self._exists()
        return [f"kind cluster {self._name}: {'exists' if exists else 'does not exist'}"], exists

    def images(self, names: Sequence[str], *, only_print: bool) -> str:
        """Build, and load into the node what it does not have yet."""
        if not only_print:
            for name in names or references():
                self._load(named(name))
        return json.dumps(references(also=names), indent=1)

    def _load(self, image: Image) -> None:
        tag = image.tag()
        marker = self._cluster.state / "loaded" / f"{image.name}-{tag}"
        if marker.exists():
            return
        local = build.build(image, tag)
        with step(f"loading {image.name} into kind"), tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "image.tar"
            build.save(local, archive, image.reference(tag))
            run(["kind", "load", "image-archive", archive, "--name", self._name])
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()

    def kubeconfig(self) -> Path:
        """Written by kind."""
        return self._cluster.kubeconfig

    def execute(self, words: Sequence[str]) -> NoReturn:
        """Become the command; kind's node is reachable from the machine itself."""
        os.execvpe(words[0], list(words), {**os.environ, "KUBECONFIG": str(self._cluster.kubeconfig)})  # noqa: S606

    def url(self, service: str, port: str) -> str:
        """The node's address and the service's NodePort."""
        jsonpath = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
        address = run([kubectl(), "--kubeconfig", self._cluster.kubeconfig, "get", "nodes", "--output", jsonpath])
        return url_of(address.strip(), node_port(self._cluster.kubeconfig, service, port))
