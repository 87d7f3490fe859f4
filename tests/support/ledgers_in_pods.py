"""The ledger of a model on the test cluster."""

from __future__ import annotations

import json
from typing import Any

from support.kube import Kube

_READ_LEDGER = """
import json, urllib.request
blocks, headers = [], {"Authorization": "Bearer " + open("/token/token").read().strip()}
while True:
    url = f"http://127.0.0.1:8082/v1/blocks?limit=1000&from={len(blocks)}"
    page = json.load(urllib.request.urlopen(urllib.request.Request(url, headers=headers)))["blocks"]
    blocks += [{"type": b["data"]["type"], "queryId": b["data"].get("content", {}).get("queryId")} for b in page]
    if not page:
        break
print(json.dumps(blocks))
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
