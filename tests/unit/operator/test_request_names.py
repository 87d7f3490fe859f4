"""Whose name a request carries into status and ledger, and whether somebody vouches for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from oneseek_core import names
from oneseek_core.actors import LEGACY_CLIENT, via_sidecar
from oneseek_core.api.base import ObjectMeta
from oneseek_operator.requests.annotations import find_request, new_request

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("by", "policy", "verified"),
    [
        ("anna", True, True),
        ("anna", False, False),
        ("", True, False),
        (via_sidecar("anna", "zero"), True, True),
        (via_sidecar(LEGACY_CLIENT, "zero"), True, False),
    ],
    ids=["own-name", "no-policy", "no-name", "reviewed-token", "legacy-client"],
)
def test_a_name_is_verified_only_where_somebody_vouches_for_it(by: str, *, policy: bool, verified: bool) -> None:
    notes = {"oneseek.io/rollback": "previous", **({names.ANNOTATION_REQUESTED_BY: by} if by else {})}
    manager = {
        "manager": "kubectl-annotate",
        "operation": "Update",
        "fieldsV1": {"f:metadata": {"f:annotations": {"f:oneseek.io/rollback": {}}}},
    }
    meta = ObjectMeta.model_validate(
        {"name": "zero", "namespace": "team", "uid": "u", "annotations": notes, "managedFields": [manager]}
    )
    found = find_request(meta, names.REQUEST_VERBS)
    assert found is not None
    request = new_request(meta, found, None, NOW, policy=policy)
    assert (request.requested_by, request.verified) == (by or "kubectl-annotate", verified)
