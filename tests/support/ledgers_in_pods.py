"""The ledger of a model on the test cluster."""

from __future__ import annotations

import json

from support.kube import Kube


def ledger_types(kube: Kube, model: str) -> list[str]:
    """The types of the ledger's blocks, oldest first, read from the records pod."""
    program = (
        "import urllib.request, json;"
        "r = urllib.request.Request('http://127.0.0.1:8082/v1/blocks?limit=1000',"
        " headers={'Authorization': 'Bearer ' + open('/token/token').read().strip()});"
        "print(json.dumps([b['data']['type'] for b in json.load(urllib.request.urlopen(r))['blocks']]))"
    )
    text = kube.kubectl("exec", f"{model}-records-0", "--", "python", "-c", program)
    found: list[str] = json.loads(text)
    return found
