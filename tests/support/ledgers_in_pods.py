"""The ledger of a model on the test cluster."""

from __future__ import annotations

import json
from typing import Any

from support.kube import Kube

_READ_LEDGER = """
import json, os
from oneseek_runtime.plugin.inpod.ledger import whole
blocks = [json.loads(line) for line in list(whole(os.environ))[1:-1]]
print(json.dumps([
    {"type": b["data"]["type"], "queryId": b["data"].get("content", {}).get("queryId")} for b in blocks
]))
"""


def ledger(kube: Kube, model: str) -> list[dict[str, Any]]:
    """(type, queryId) of every block of a model's ledger, oldest first, read from its records pod."""
    blocks: list[dict[str, Any]] = json.loads(
        kube.kubectl("exec", f"{model}-records-0", "--", "python", "-c", _READ_LEDGER)
    )
    return blocks


def ledger_types(kube: Kube, model: str) -> list[str]:
    """The types of the ledger's blocks, oldest first, but for the questions that were answered meanwhile."""
    return [block["type"] for block in ledger(kube, model) if block["type"] != "query"]
