"""What pods say to the model's ports. A stranger's packets end at the NetworkPolicies; who has an allowed pod's labels
gets past them, and is asked for a token.
"""

from __future__ import annotations

import json
import time

from support.tenant import actors
from support.tenant.attempt import Attempt, Call, Refusal, Seen, Who, answer, network
from support.tenant.calls import api, port, raw, with_its_token
from support.tenant.hands import hands_in
from support.tenant.place import Place

__all__ = ["ATTEMPTS"]

NOBODY, HERE, LOOKALIKE, TRAINER, ENGINE, EDIT = (
    Who.NOBODY, Who.HERE, Who.LOOKALIKE, Who.TRAINER, Who.ENGINE, Who.EDIT,
)  # fmt: skip
LAST = 2**53
_SWAP = {"dna": "$first", "digest": "sha256:" + "0" * 64, "serial": LAST}
_BASE = {"serial": LAST}
_STRANGER = {"previous": {"dna": "$first", "addresses": ["$impostor"]}}
_HANDOVER = {"handover": {"dna": "$first", "addresses": ["$impostor"]}}
_UNLOAD = {"lora_name": "$current"}
_LOAD = {"lora_name": "mine", "lora_path": "/tmp"}
_NO_TOKEN = answer("sidecar", 401, "takes the token of this model's operator")
_NO_POD = answer("sidecar", 401, "no pod of this model")
_NOT_ITS = answer("sidecar", 403, "takes the token of this model's operator")
_LOOPBACK = Refusal("loopback alone", "no connection: ConnectionRefusedError")


def order(host: str, name: str, body: object, **headers: str) -> Call:
    """A POST to the internal port."""
    return port(host, 8081, "POST", f"/internal/{name}", body, **headers)


def told_to_listen(seconds: float) -> Call:
    """A pod with the colour's labels listens on the control ports: does the operator come, and what does it say?"""

    def call(place: Place, who: Who) -> Seen:
        hands = place.hands(who)
        body = json.dumps({"base_name": "tiny", "ready": True, "open_connections": 0})
        redirect = (
            f"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        hands.do("listen", ports=[8081, 8083, 8443], answer=redirect)
        place.kube.kubectl("label", "oneseekmodel", "zero", f"looked=at-{time.time_ns()}", "--overwrite")
        said = hands.do("hits", of=[place.facts["operator"]], seconds=seconds)
        place.kube.kubectl("label", "oneseekmodel", "zero", "looked-")
        return said

    return call


def heir(place: Place, who: Who) -> Seen:
    """A pod that is given the colour's ReplicaSet for its owner once it runs, and does not go when that one deletes it."""
    colour = place.kube.list("pods", "oneseek.io/colour=" + place.facts["colour"])
    own = next(item["metadata"] for item in colour if item["metadata"].get("ownerReferences"))
    pod = actors.pod(place.kube, "heir")
    token_only = {"serviceAccountToken": {"path": "token", "audience": "nobody"}}  # what a pod mounts that knows no TLS
    pod["spec"]["volumes"].append({"name": "access", "projected": {"sources": [token_only]}})
    pod["spec"]["terminationGracePeriodSeconds"] = 120
    made = api("POST", "pods", pod)(place, who)
    if made.status != 201:
        return made
    try:
        place.kube.wait("pod", "heir", lambda item: item["status"].get("phase") == "Running", within=30)
        with hands_in(place.kube, "heir", "main") as hands:
            hands.do("listen", ports=[8081, 8083], answer="HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            meta = {"labels": own["labels"], "ownerReferences": own["ownerReferences"]}
            forged = api("PATCH", "pods/heir", {"metadata": meta})(place, who)
            return hands.do("heard", seconds=8) if forged.status == 200 else forged
    finally:
        place.kube.kubectl("delete", "pod", "heir", "--grace-period=0", "--force", "--ignore-not-found")


def through_the_api_server(of: str, what: str, body: object = None) -> Call:
    """A request that the API server's proxy makes, which no NetworkPolicy keeps from a node's own pods."""

    def call(place: Place, who: Who) -> Seen:
        seen = Seen("")
        for scheme in ("https:", ""):
            path = place.fill(f"/api/v1/namespaces/$namespace/{of.replace('SCHEME', scheme)}{what}")
            method = "GET" if body is None else "POST"
            seen = place.ask(who, method, path, place.fill(body), {"Content-Type": "application/json"})
            if seen.status not in (400, 502, 503):
                return seen
        return seen

    return call


ATTEMPTS = (
    Attempt("order a swap to the base model with serial 2^53", NOBODY, order("$pod", "swap", _BASE), network(), "H1"),
    Attempt("order a swap to another version", HERE, order("$pod", "swap", _SWAP), network(), "H1"),
    Attempt("send clients' questions to a stranger as the version before", NOBODY, order("$pod", "previous", _STRANGER), network(), "H1"),
    Attempt("let the pod's clients go", NOBODY, order("$pod", "drain", {}), network(), "H1"),
    Attempt("unload the version from the engine", NOBODY, port("$pod", 8000, "POST", "/v1/unload_lora_adapter", _UNLOAD), network(), "H1"),
    Attempt("load an adapter into the engine", HERE, port("$pod", 8000, "POST", "/v1/load_lora_adapter", _LOAD), network(), "H1"),
    Attempt("ask the engine past the sidecar", HERE, port("$pod", 8000, "GET", "/v1/models"), network(), "H1"),
    Attempt("read the verifier's verdict", HERE, port("$pod", 8083, "GET", "/verdict"), network(), "H1"),
    Attempt("read the ledger", NOBODY, port("$records", 8084, "GET", "/v1/blocks"), network()),
    Attempt("read the ledger through its Service", HERE, port("$records_service", 8084, "GET", "/v1/blocks"), network()),
    Attempt("look at the operator's health port", NOBODY, port("$operator", 8080, "GET", "/healthz"), network()),
    Attempt("order a swap with serial 2^53", LOOKALIKE, order("$pod", "swap", _BASE), _NO_TOKEN, "H1"),
    Attempt("order a swap to another version in a serving pod's labels", LOOKALIKE, order("$pod", "swap", _SWAP), _NO_TOKEN, "H1"),
    Attempt("name a stranger as the version before", LOOKALIKE, order("$pod", "previous", _STRANGER), _NO_TOKEN, "H1"),
    Attempt("have every new question passed on to a stranger", LOOKALIKE, order("$pod", "handover", _HANDOVER), _NO_TOKEN, "H1"),
    Attempt("end every client's connection", LOOKALIKE, order("$pod", "drain", {"draining": True}), _NO_TOKEN, "H1"),
    Attempt("have the pod ask itself questions without end", LOOKALIKE, order("$pod", "analysis", {"id": "x", "probes": [{"question": "a"}]}), _NO_TOKEN, "H1"),
    Attempt("have the engine generate unrecorded", LOOKALIKE, order("$pod", "probe", {"question": "a", "max_tokens": 9}), _NO_TOKEN, "H1"),
    Attempt("read the pod's state", LOOKALIKE, port("$pod", 8081, "GET", "/internal/state"), _NO_TOKEN, "H1"),
    Attempt("hold the pod's sixteen places for those who wait for changes", LOOKALIKE, port("$pod", 8081, "GET", "/internal/changes?after=-1&wait=30"), _NO_TOKEN),
    Attempt("order with an empty bearer", LOOKALIKE, order("$pod", "swap", _BASE, Authorization="Bearer "), _NO_TOKEN),
    Attempt("order with the digest of the token in place of the token", LOOKALIKE, order("$pod", "swap", _BASE, Authorization="Bearer " + "0" * 64), _NO_TOKEN),
    Attempt("order with a person's token for the API server", LOOKALIKE, order("$pod", "swap", _BASE, Authorization="Bearer $api_token"), _NO_TOKEN),
    Attempt("ask as a client of any address through the pods' own way in", LOOKALIKE, port("$pod", 8081, "GET", "/internal/public/api/oqt/status", oneseek_client="10.9.9.9"), _NO_POD),
    Attempt("leave the pods' way in for the orders", LOOKALIKE, port("$pod", 8081, "POST", "/internal/public/../swap", _BASE), _NO_POD),
    Attempt("reach the engine in a serving pod's labels", LOOKALIKE, port("$pod", 8000, "GET", "/v1/models"), network(), "H1"),
    Attempt("order a swap without TLS", LOOKALIKE, raw("$pod", 8081, "POST /internal/swap HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}", how="plain"), Refusal("sidecar", "no answer: closed")),
    Attempt("order a swap with the token that serving pods have for one another", Who.SIDECAR, with_its_token("$pod", 8081, "POST", "/internal/swap", _BASE), _NOT_ITS),
    Attempt("order a handover with the token that serving pods have for one another", Who.SIDECAR, with_its_token("$pod", 8081, "POST", "/internal/handover", _HANDOVER), _NOT_ITS),
    Attempt("order a swap from within the pod", ENGINE, order("127.0.0.1", "swap", _BASE), _NO_TOKEN, "H1"),
    Attempt("have questions passed on from within the pod", ENGINE, order("127.0.0.1", "handover", _HANDOVER), _NO_TOKEN),
    Attempt("order a swap through the API server's proxy", EDIT, through_the_api_server("pods/SCHEME$pod_name:8081/proxy/", "internal/swap", _BASE), _NO_TOKEN),
    Attempt("read the ledger through the API server's proxy", EDIT, through_the_api_server("pods/SCHEMEzero-records-0:8084/proxy/", "v1/blocks"), answer("records service", 401, "a bearer token of this model's is needed")),
    Attempt("reach the engine through the API server's proxy", EDIT, through_the_api_server("pods/SCHEME$pod_name:8000/proxy/", "v1/models"), Refusal("loopback alone", "connection refused")),
    Attempt("be taken for the model's own pod by its labels", EDIT, told_to_listen(8), Refusal("operator", "nobody asked"), "H3"),
    Attempt("hear the operator's token, as a pod that says the serving pods' ReplicaSet made it and that it speaks no TLS", EDIT, heir, Refusal("operator", "no token came")),
    Attempt("ask the model, with what it has learnt", TRAINER, port("$service", 80, "GET", "/api/inference/status"), network()),
    Attempt("reach the sidecar's orders", TRAINER, order("$pod", "swap", _BASE), network()),
    Attempt("reach the engine", TRAINER, port("$pod", 8000, "GET", "/v1/models"), network()),
    Attempt("reach the records service", TRAINER, port("$records", 8084, "GET", "/v1/blocks"), network()),
    Attempt("reach the API server", TRAINER, port("$api", 443, "GET", "/version"), network()),
    Attempt("reach the kubelet", TRAINER, port("$node", 10250, "GET", "/pods"), network()),
    Attempt("reach the cloud's metadata service", TRAINER, port("169.254.169.254", 80, "GET", "/latest/meta-data/"), network()),
    Attempt("reach a stranger's pod", TRAINER, port("$impostor", 8081, "GET", "/"), network()),
    Attempt("tell a name server what it read", TRAINER, raw("$dns", 53, "x"), network()),
)  # fmt: skip
