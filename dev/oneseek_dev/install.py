"""Install the operator's chart, as built from this checkout, into the chosen cluster.

`python3 -m oneseek_dev.install [--name NAME] [--set KEY=VALUE …]`. The same chart and RBAC that users install.
"""

import argparse
import json
import os
import sys
from collections.abc import Generator, Sequence

from oneseek_dev import backends
from oneseek_dev.backends import Backend
from oneseek_dev.console import say, step
from oneseek_dev.errors import DevError
from oneseek_dev.layout import Cluster, checkout
from oneseek_dev.shell import lines_of, run

NAMESPACE = "oneseek-system"
RELEASE = "oneseek"


def binary(name: str) -> str:
    """Kubectl or helm: the one built here, else the one on the PATH."""
    local = checkout() / ".local" / "bin" / name
    return str(local) if local.exists() else name


def kubectl(backend: Backend, *words: str, stdin: str | None = None, check: bool = True) -> str:
    """Kubectl against the chosen cluster."""
    return run([binary("kubectl"), *words], stdin=stdin, check=check, env={"KUBECONFIG": str(backend.kubeconfig())})


def kubectl_lines(backend: Backend, *words: str) -> Generator[str, None, None]:
    """What kubectl prints, as it prints it: for `--watch`."""
    return lines_of([binary("kubectl"), *words], env={"KUBECONFIG": str(backend.kubeconfig())})


def namespace(backend: Backend, name: str) -> None:
    """Make a namespace under the `restricted` pod security standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    kubectl(backend, "apply", "-f", "-", stdin=json.dumps(manifest))


def install(backend: Backend, settings: Sequence[str] = (), only: Sequence[str] = ()) -> dict[str, str]:
    """Install or upgrade the chart and wait until the operator runs; returns the images' references.

    `only` some images are built, where what is installed for needs no others: the chart then names no others.

    The references are also left beside the kubeconfig: sources may be edited while a cluster runs, and what it runs
    is what was installed.
    """
    references = backend.images(only, only_print=False)
    images: dict[str, str] = json.loads(references)
    backend.kubeconfig().with_name("images.json").write_text(references)
    namespace(backend, NAMESPACE)
    words = [binary("helm"), "upgrade", "--install", RELEASE, str(checkout() / "charts" / "oneseek")]
    words += ["--namespace", NAMESPACE, "--wait", "--timeout", "900s"]
    for name in ("operator", "slim", "runtime", "firestore"):
        if only and name not in only:
            continue
        words += ["--set-string", f"images.{name}={images[name]}"]
    words += ["--set-string", "images.userPullPolicy=IfNotPresent"]  # base models' images lie in the nodes alone
    for setting in settings:
        words += ["--set", setting]
    with step("installing the operator with helm", quiet_below=1):
        run(words, env={"KUBECONFIG": str(backend.kubeconfig())})
    return images


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="oneseek_dev.install", description=__doc__)
    parser.add_argument("--name", default="demo", help="which cluster (default: demo)")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="a chart value")
    arguments = parser.parse_args()
    try:
        install(backends.chosen(os.environ, Cluster(checkout(), arguments.name)), arguments.settings)
    except DevError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
