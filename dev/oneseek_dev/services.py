"""Finding the port of a service that the node offers to this machine."""

import json
import shutil
from pathlib import Path
from typing import Any

from oneseek_dev.errors import DevError
from oneseek_dev.layout import checkout
from oneseek_dev.shell import run


def kubectl() -> str:
    """The kubectl that we built, else the machine's own."""
    ours = checkout() / ".local" / "bin" / "kubectl"
    if ours.exists():
        return str(ours)
    if found := shutil.which("kubectl"):
        return found
    raise DevError("There is no kubectl; run `python3 -m oneseek_dev tools`.")


def node_port(kubeconfig: Path, service: str, port: str) -> int:
    """The NodePort of a service, given as NAME or NAMESPACE/NAME."""
    namespace, _, name = service.rpartition("/")
    words: list[str | Path] = [
        kubectl(),
        "--kubeconfig",
        kubeconfig,
        "--namespace",
        namespace or "default",
        "get",
        "service",
        name,
    ]
    return pick_port(json.loads(run([*words, "--output", "json"])), port)


def pick_port(service: dict[str, Any], port: str) -> int:
    """The NodePort of the port with that name or number; without one given, of the first."""
    for item in service["spec"]["ports"]:
        if port in {"", item.get("name"), str(item["port"])}:
            if "nodePort" in item:
                return int(item["nodePort"])
            raise DevError(
                f"The service {service['metadata']['name']} is of type {service['spec']['type']}: this machine does "
                f"not reach it. Give it the type NodePort, or use `exec`."
            )
    raise DevError(f"The service {service['metadata']['name']} has no port {port!r}.")


def url_of(address: str, port: int) -> str:
    """The base URL, without a slash at its end."""
    return f"http://{address}:{port}"
