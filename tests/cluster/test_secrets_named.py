"""Who names a Secret may read it: on the real API server, for every place of the API that names one.

Nothing is made: each request is a server-side dry run, or an object whose claim or model does not exist.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.kube import Kube, KubectlError
from support.makers import model_manifest
from support.secret_uses import naming, places

SECRETS = ["--verb=get", "--resource=secrets"]


@pytest.fixture(scope="module")
def team(kube: Kube) -> Kube:
    """`editor` may write models and runs; `reader` also read the Secret `mine`, and `owner` every Secret."""
    kube.kubectl("create", "role", "reads-mine", *SECRETS, "--resource-name=mine")
    kube.kubectl("create", "role", "reads-all", *SECRETS)
    people = {"editor": [], "reader": ["reads-mine"], "owner": ["reads-all"]}
    for name, roles in people.items():
        kube.kubectl("create", "rolebinding", name, "--clusterrole=oneseek-edit", f"--user={name}")
        for role in roles:
            kube.kubectl("create", "rolebinding", f"{name}-{role}", f"--role={role}", f"--user={name}")
    return kube


def write(kube: Kube, who: str, manifest: dict[str, Any], *, verb: str = "create", dry: bool = True) -> str:
    """Write an object as somebody."""
    words = [verb, "-f", "-", f"--as={who}", *(["--dry-run=server"] if dry else [])]
    return kube.kubectl(*words, stdin=json.dumps(manifest))


@pytest.mark.parametrize("place", places())
def test_who_names_a_secret_may_read_it(team: Kube, place: str) -> None:
    with pytest.raises(KubectlError) as refused:
        write(team, "editor", naming(place, "mine", team.namespace))
    said = (
        f"editor may not get the Secret mine in namespace {team.namespace}, and so has nobody use it: have somebody who"
    )
    assert said in str(refused.value)
    write(team, "reader", naming(place, "mine", team.namespace))
    with pytest.raises(KubectlError, match="reader may not get the Secret theirs"):
        write(team, "reader", naming(place, "theirs", team.namespace))


ELSEWHERE = "OneSeekModel.serving.externalModels[].keySecret"


def test_a_key_that_is_named_is_sent_nowhere_else(team: Kube) -> None:
    manifest = naming(ELSEWHERE, "mine", team.namespace)
    write(team, "reader", manifest, dry=False)
    team.wait_reason("oneseekmodel", "names-a-secret", "ClaimNotFound", within=30)  # then the operator leaves it alone
    manifest["spec"]["suspend"] = True
    write(team, "editor", manifest, verb="replace")  # what is named already is nobody's business here
    manifest["spec"]["serving"]["externalModels"][0]["url"] = "https://thief.example.org/v1"
    with pytest.raises(KubectlError, match="editor may not get the Secret mine"):
        write(team, "editor", manifest, verb="replace")
    write(team, "reader", manifest, verb="replace")
    manifest["spec"]["serving"] = {}
    write(team, "editor", manifest, verb="replace")


def many(kube: Kube, *, distinct: bool) -> dict[str, Any]:
    """A model that names a Secret in 24 places."""
    elsewhere = [
        {
            "name": f"m{n}",
            "url": "https://a.example.org",
            "model": "m",
            "keySecret": {"name": f"key-{n}" if distinct else "mine"},
        }
        for n in range(8)
    ]
    datasets = [
        {
            "name": f"d{n}",
            "source": {
                "huggingFace": {
                    "repo": f"o/{n}",
                    "file": "a",
                    "tokenSecret": {"name": f"t-{n}" if distinct else "mine"},
                }
            },
        }
        for n in range(15)
    ]
    spec = {"serving": {"externalModels": elsewhere}, "training": {"datasets": datasets}}
    base = naming("OneSeekModel.baseModel.source.huggingFace.tokenSecret", "mine", kube.namespace)["spec"]["baseModel"]
    return model_manifest("many", kube.namespace, storage={"claimName": "nowhere"}, baseModel=base, **spec)


def test_a_secret_that_is_named_everywhere_is_asked_about_once(team: Kube) -> None:
    write(team, "reader", many(team, distinct=False))
    with pytest.raises(KubectlError, match="editor may not get the Secret mine"):
        write(team, "editor", many(team, distinct=False))


def test_more_than_can_be_checked_at_once_is_refused_and_said(team: Kube) -> None:
    with pytest.raises(KubectlError, match="this names 24 Secrets at once that it did not name before, and 20 can be"):
        write(team, "reader", many(team, distinct=True))
    write(team, "owner", many(team, distinct=True))


def test_the_operator_makes_runs_of_what_a_model_names(team: Kube) -> None:
    place = "TrainingRun.datasets[].source.huggingFace.tokenSecret"
    operator = "system:serviceaccount:oneseek-system:oneseek-operator"
    write(team, operator, naming(place, "mine", team.namespace))
