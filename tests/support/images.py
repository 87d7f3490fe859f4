"""Full references of the images that the test cluster's operator was installed with."""

from __future__ import annotations

import functools
import json

from support.kube import NAME, ROOT


@functools.cache
def images() -> dict[str, str]:
    """Image name -> reference."""
    recorded = ROOT / ".local" / NAME / "images.json"
    assert recorded.exists(), "the operator is not installed: run `make cluster-test`, which installs it"
    found: dict[str, str] = json.loads(recorded.read_text())
    return found
