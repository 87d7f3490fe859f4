"""The examples are what they say: our objects fit the API, promotion is one line, no manifest carries a request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.dna import Dna
from support.gitops import APPS, EXAMPLES, built, documents, overlaid

FILES = sorted(EXAMPLES.rglob("*.yaml"))
KINDS = {"OneSeekModel": OneSeekModel, "TrainingRun": TrainingRun}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_what_a_cluster_would_get_fits_the_api(environment: str) -> None:
    objects = built(environment)
    assert objects
    for item in objects:
        assert item["apiVersion"] == names.API_VERSION
        KINDS[item["kind"]].model_validate(overlaid(item, {"metadata": {"uid": "given by the API server"}}))


def test_production_trains_nothing_and_pins_a_version() -> None:
    (model,) = built("prod")
    assert str(Dna.parse(model["spec"]["version"])) == model["spec"]["version"]
    assert model["spec"]["imports"]
    assert model["spec"]["certification"]["trustedKeys"]


def test_promotion_is_one_line() -> None:
    text = (APPS / "prod/version.yaml").read_text()
    (line,) = [item for item in text.splitlines() if re.match(r"  version: ", item)]
    assert text.endswith(f"{line}\n")
    assert line.strip() in (EXAMPLES / "gitops/README.md").read_text(), "the README shows this very line"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_no_manifest_carries_a_request(path: Path) -> None:
    requests = {names.request_annotation(verb) for verb in (*names.REQUEST_VERBS, names.RETRY_VERB)}
    for item in documents(path):
        assert not requests & set(item.get("metadata", {}).get("annotations", {}))


@pytest.mark.parametrize("tool", ["flux/clusters/dev/oneseek.yaml", "flux/clusters/prod/oneseek.yaml"])
def test_flux_waits_for_a_folder_that_is_there(tool: str) -> None:
    source, kustomization = documents(EXAMPLES / "gitops" / tool)
    assert kustomization["spec"]["wait"] is True
    assert kustomization["spec"]["sourceRef"]["name"] == source["metadata"]["name"]
    assert (EXAMPLES / "gitops" / kustomization["spec"]["path"] / "kustomization.yaml").is_file()


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_argo_cd_heals_itself_from_a_folder_that_is_there(environment: str) -> None:
    (application,) = documents(EXAMPLES / f"gitops/argocd/application-{environment}.yaml")
    assert application["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert (EXAMPLES / "gitops" / application["spec"]["source"]["path"] / "kustomization.yaml").is_file()
    assert application["spec"]["destination"]["namespace"] == f"models-{environment}"
