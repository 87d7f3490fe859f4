"""The sidecars' account over a simulated cluster: made first, entered among those who review tokens, taken out again."""

from __future__ import annotations

from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.reconcile import model as models
from support import driver
from support.driver import condition, settle
from support.makers import SETTINGS, merged, model_manifest
from support.world import World

ACCOUNT = {"kind": "ServiceAccount", "name": "oneseek-sidecar-zero", "namespace": "team"}


def reviewers(world: World) -> list[dict[str, Any]]:
    """Who may review tokens."""
    found: list[dict[str, Any]] = world.objects[("ClusterRoleBinding", "", "token-reviewers")].get("subjects", [])
    return found


async def test_a_models_sidecars_have_an_account_that_may_review_tokens() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        assert (kind, "team", "oneseek-sidecar-zero") in world.objects
    assert reviewers(world) == [ACCOUNT]
    assert condition(world, "OneSeekModel", "zero", names.TOKENS_ACCEPTED)["status"] == "True"


async def test_a_role_that_somebody_deleted_is_made_again() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    del world.objects[("Role", "team", "oneseek-sidecar-zero")]
    await settle(world)
    assert ("Role", "team", "oneseek-sidecar-zero") in world.objects


async def test_legacy_mode_takes_the_right_to_review_tokens_back_and_says_nothing_of_tokens() -> None:
    world = World()
    manifest = model_manifest()
    world.apply_as_user(manifest)
    await settle(world)
    world.apply_as_user(merged(manifest, serving={"auth": {"mode": "Legacy"}}))
    await settle(world)
    assert reviewers(world) == []
    assert condition(world, "OneSeekModel", "zero", names.TOKENS_ACCEPTED) == {}


async def test_without_cluster_scoped_rights_the_model_says_what_still_works() -> None:
    world = World()
    del world.objects[("ClusterRoleBinding", "", "token-reviewers")]
    world.apply_as_user(model_manifest())
    await settle(world)
    said = condition(world, "OneSeekModel", "zero", names.TOKENS_ACCEPTED)
    assert (said["status"], said["reason"]) == ("False", names.REVIEW_FORBIDDEN)
    assert "auth.mode: Legacy" in said["message"]
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "questions are answered all the same"


async def test_without_the_admission_policies_the_model_says_what_nobody_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", names.AUTHORS_CHECKED) == {}
    monkeypatch.setattr(driver, "SETTINGS", SETTINGS.model_copy(update={"admission_policy": False}))
    await settle(world)
    said = condition(world, "OneSeekModel", "zero", names.AUTHORS_CHECKED)
    assert (said["status"], said["reason"]) == ("False", names.NO_ADMISSION_POLICY)
    assert "has any Secret of the namespace used" in said["message"]
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "it answers all the same"


@pytest.mark.parametrize("mode", ["Token", "Legacy"])
async def test_without_the_admission_policy_no_sidecar_may_patch_and_the_model_says_what_works(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    world, role = World(), ("Role", "team", "oneseek-sidecar-zero")
    world.apply_as_user(model_manifest(serving={"auth": {"mode": mode}}))
    await settle(world)
    assert "patch" in world.objects[role]["rules"][0]["verbs"]
    monkeypatch.setattr(driver, "SETTINGS", SETTINGS.model_copy(update={"admission_policy": False}))
    await settle(world)
    assert "patch" not in world.objects[role]["rules"][0]["verbs"], "the one of a release before is changed, too"
    said = condition(world, "OneSeekModel", "zero", names.TOKENS_ACCEPTED)
    assert (said["status"], said["reason"]) == ("False", names.NO_ADMISSION_POLICY)
    assert "admissionPolicy: auto" in said["message"]
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "questions are answered all the same"


async def test_a_deleted_models_account_leaves_the_reviewers() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(model_manifest("other"))
    await settle(world)
    assert len(reviewers(world)) == 2
    model = OneSeekModel.model_validate(world.objects[("OneSeekModel", "team", "zero")])
    await models.finish_deletion(model, cluster=world, settings=SETTINGS)
    assert [item["name"] for item in reviewers(world)] == ["oneseek-sidecar-other"]
