"""Who the ledger believes."""

from __future__ import annotations

import pytest

from oneseek_core.actors import LEGACY_CLIENT, actor_of, via_sidecar


@pytest.mark.parametrize(
    ("requested_by", "policy", "verified"),
    [
        ("anna", True, True),
        ("anna", False, False),
        (via_sidecar("anna", "zero"), True, True),
        (via_sidecar(LEGACY_CLIENT, "zero"), True, False),
    ],
    ids=["own-name", "no-policy", "reviewed-token", "legacy"],
)
def test_a_name_is_verified_where_the_api_server_or_a_token_vouches_for_it(
    requested_by: str, *, policy: bool, verified: bool
) -> None:
    actor = actor_of(requested_by, field_manager="kubectl", admission_policy=policy)
    assert (actor.name, actor.verified) == (requested_by, verified)


def test_without_a_name_the_field_manager_is_named_and_not_believed() -> None:
    actor = actor_of("", field_manager="kubectl-annotate", admission_policy=True)
    assert (actor.name, actor.verified) == ("kubectl-annotate", False)


def test_a_long_name_is_cut_and_still_says_through_whom() -> None:
    value = via_sidecar("a" * 2000, "zero")
    assert len(value) == 512
    assert value.endswith(" via oneseek-sidecar-zero")
