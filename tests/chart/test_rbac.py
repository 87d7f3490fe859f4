"""Granted minus used: each rule of our accounts is needed by something that a run of the cluster suite did.

tests/golden/rbac_used.txt is what the API server's audit log of such a run shows (`make rbac` writes it).
"""

from __future__ import annotations

import json

import pytest

from support.rbac import Right, Rule, explained, rules, seen, unused, used


@pytest.fixture(scope="module")
def granted() -> list[Rule]:
    """Every rule of our accounts."""
    return rules()


def rights(found: list[Rule]) -> list[Right]:
    """The rights that rules give."""
    return [right for rule in found for right in rule.rights]


def noticed(found: list[Rule]) -> list[str]:
    """What is wrong with these rules: a right without a use, a use without a right, an explanation of none."""
    have, uses, why = rights(found), used(), explained()
    wrong = [f"{right} is granted and never used" for right in unused(have, uses) if right not in why]
    wrong += [f"{use} is used and not granted" for use in uses if not any(right.covers(use) for right in have)]
    return wrong + [f"{right} is explained and not granted" for right in why if right not in have]


def test_what_is_granted_is_used_or_explained_and_what_is_used_is_granted(granted: list[Rule]) -> None:
    assert noticed(granted) == [], "after a run of the cluster suite: make rbac"


def test_taking_away_any_one_rule_is_noticed(granted: list[Rule]) -> None:
    for rule in granted:
        assert noticed([other for other in granted if other is not rule]), f"nothing needs {rule}"


def test_taking_away_any_one_verb_is_noticed(granted: list[Rule]) -> None:
    for rule in granted:
        for right in rule.rights:
            less = Rule(rule.role, tuple(other for other in rule.rights if other != right))
            assert noticed([less if other is rule else other for other in granted]), f"nothing needs {right}"


def test_a_right_that_nothing_uses_is_noticed(granted: list[Rule]) -> None:
    more = Rule("more", (Right("operator", "delete", "secrets"),))
    assert set(noticed([*granted, more])) - set(noticed(granted)) == {
        "operator delete secrets is granted and never used"
    }


def test_the_audit_log_is_read_as_the_api_server_writes_it() -> None:
    def line(user: str, verb: str, decision: str = "allow", code: int = 200, **about: str) -> str:
        kept = {"annotations": {"authorization.k8s.io/decision": decision}, "responseStatus": {"code": code}}
        return json.dumps({"user": {"username": user}, "verb": verb, "objectRef": about, **kept})

    operator, sidecar = (
        "system:serviceaccount:oneseek-system:oneseek-operator",
        "system:serviceaccount:a:oneseek-sidecar-z",
    )
    log = [
        line(operator, "get", resource="pods", subresource="log", name="p"),
        line(operator, "create", code=201, resource="jobs", apiGroup="batch"),
        line(operator, "patch", code=201, resource="services", name="applied-first"),
        line(sidecar, "patch", resource="oneseekmodels", apiGroup="oneseek.io", name="z"),
        line(sidecar, "get", "forbid", resource="secrets", name="z"),
        line("system:serviceaccount:a:somebody", "get", resource="secrets"),
        '{"user": {"usern',
    ]
    allowed, refused = seen(log, [Right("sidecar", "patch", "oneseekmodels.oneseek.io", "MODEL")])
    assert {str(right) for right in allowed} == {
        "operator get pods/log",
        "operator create jobs.batch",
        "operator create services",
        "operator patch services",
        "sidecar patch oneseekmodels.oneseek.io MODEL",
    }
    assert {str(right) for right in refused} == {"sidecar get secrets"}
