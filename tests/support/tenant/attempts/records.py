"""What is said to the records service by those who have no token, or a token of another role."""

from __future__ import annotations

from support.tenant.attempt import Attempt, Who, answer
from support.tenant.calls import port, with_its_token

__all__ = ["ATTEMPTS"]

SIDECAR, LOOKALIKE = Who.SIDECAR, Who.LOOKALIKE
_OBJECT = {"kind": "OneSeekModel", "namespace": "$namespace", "name": "zero", "uid": "0"}
_PROMOTION = {
    "type": "promote",
    "idempotencyKey": "mallory/1",
    "actor": {"name": "anna", "verified": True},
    "object": _OBJECT,
    "dna": "$first",
}
_OTHERS = answer("records service", 401, "a bearer token of this model's is needed")
_NOT_ITS = answer("records service", 403, "the token of sidecar does not open this; it is for operator")

ATTEMPTS = (
    Attempt("read the ledger in a serving pod's labels", LOOKALIKE, port("$records", 8084, "GET", "/v1/blocks"), _OTHERS),
    Attempt("read clients' questions", LOOKALIKE, port("$records", 8084, "GET", "/v1/documents/oqt_queries"), _OTHERS),
    Attempt("enter a promotion", LOOKALIKE, port("$records", 8084, "POST", "/v1/transitions", {"transitions": [_PROMOTION]}), _OTHERS),
    Attempt("enter an answer that was never given", LOOKALIKE, port("$records", 8084, "POST", "/v1/queries", {"queries": []}), _OTHERS),
    Attempt("enter a promotion with a guessed token", LOOKALIKE, port("$records", 8084, "POST", "/v1/transitions", {"transitions": [_PROMOTION]}, Authorization="Bearer " + "a" * 64), _OTHERS),
    Attempt("enter a promotion in a person's verified name", SIDECAR, with_its_token("", 0, "POST", "/v1/transitions", {"transitions": [_PROMOTION]}), _NOT_ITS, "M1"),
    Attempt("take the key of a transition of the operator's before it", SIDECAR, with_its_token("", 0, "POST", "/v1/transitions", {"transitions": [{**_PROMOTION, "idempotencyKey": "quarantine/$current"}]}), _NOT_ITS, "M1"),
)  # fmt: skip
