"""The real readers over the recorded objects of every phase: nobody reads done too early, or waits for a person for ever."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from support.gitops import APPS, built
from support.kube import ROOT
from support.phases import PHASES
from support.phases.phase import Means, Phase
from support.readers import BEGIN, DOCUMENT, END, ask, document, load, table
from support.world.api_server import Object

#                 kstatus        Flux with our expressions   Argo CD
WANTED = {
    Means.DONE: ("Current", "Current", "Healthy"),
    Means.UNDER_WAY: ("InProgress", "InProgress", "Progressing"),
    Means.NEEDS_A_PERSON: ("Failed", "Failed", "Degraded"),
    Means.WAITS: ("Current", "Current", "Suspended"),
    Means.STOPPED: ("InProgress", "Current", "Suspended"),
    Means.LEAVING: ("Terminating", "InProgress", "Progressing"),
}
SLUGS = [phase.slug for phase in PHASES]
Verdicts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def verdicts() -> Verdicts:
    """What every reader makes of every phase."""
    return dict(zip(SLUGS, ask(load(phase) for phase in PHASES), strict=True))


@pytest.mark.parametrize("phase", PHASES, ids=SLUGS)
def test_every_reader_reads_a_phase_as_what_it_means(phase: Phase, verdicts: Verdicts) -> None:
    said = verdicts[phase.slug]
    assert (said["kstatus"]["status"], said["flux"]["status"], said["argo"]["status"]) == WANTED[phase.means]
    assert said["fluxKstatus"] == said["kstatus"], "Flux' and Helm 4's copy of kstatus agrees"
    assert said["kubectlWait"]["status"] == ("Met" if phase.answers else "NotMet")
    assert said["helm3"]["status"] == "Ready", "Helm 3 knows no custom resources; docs/reference/readers.md says so"


@pytest.mark.parametrize(
    "phase", [item for item in PHASES if item.means is Means.NEEDS_A_PERSON], ids=lambda phase: phase.slug
)
def test_the_sentence_arrives_at_those_who_show_one(phase: Phase, verdicts: Verdicts) -> None:
    sentence = next(item for item in load(phase)["status"]["conditions"] if item["type"] == "Stalled")["message"]
    assert verdicts[phase.slug]["kstatus"]["message"] == sentence
    assert verdicts[phase.slug]["argo"]["message"] == sentence


def test_the_table_in_the_documentation_is_this_one(verdicts: Verdicts) -> None:
    text = DOCUMENT.read_text()
    assert BEGIN in text
    assert END in text
    assert document(text, table(PHASES, list(verdicts.values()))) == text, "run `make readers` and commit"


def columns(said: dict[str, Any]) -> dict[str, str]:
    """The cells of `kubectl get -o wide`."""
    return {item["name"]: item["value"] for item in said["columns"]}


def test_kubectl_get_tells_the_story(verdicts: Verdicts) -> None:
    rolling = columns(verdicts["model-rolling-out"])
    assert (rolling["Ready"], rolling["Reason"], rolling["Doing"]) == ("True", "BaseModelServing", "RollingOut")
    assert rolling["Candidate"].startswith("OneSeek-7B-Zero.v1.0.")
    idle = columns(verdicts["model-serving"])
    assert (idle["Current"][:20], idle["Doing"], idle["Stalled"]) == ("OneSeek-7B-Zero.v1.0", "", "")
    assert columns(verdicts["model-template-unschedulable"])["Stalled"] == "Unschedulable"
    assert "in quarantine" in columns(verdicts["model-quarantined"])["Message"]
    training = columns(verdicts["run-training"])
    assert (training["State"], training["Progress"], training["Loss"], training["ETA"]) == (
        "Training",
        "40",
        "1.25",
        "90",
    )
    assert columns(verdicts["run-out-of-memory"])["State"] == "OutOfMemory"
    assert columns(verdicts["run-certified"])["DNA"].startswith("OneSeek-7B-Zero.v1.0.")


# -- Argo CD's actions ---------------------------------------------------------------------------------------------------


def offered(said: dict[str, Any]) -> set[str]:
    """The actions that a person can choose."""
    return {item["name"] for item in said["actions"] if not item["disabled"]}


def test_argo_cd_offers_what_would_not_be_refused(verdicts: Verdicts) -> None:
    assert offered(verdicts["model-base-serving"]) == {"suspend"}
    assert offered(verdicts["model-serving"]) == {"rollback", "reset", "suspend"}
    assert offered(verdicts["model-quarantined"]) == {"rollback", "release", "reset", "suspend"}
    assert offered(verdicts["model-waiting-for-promotion"]) == {"promote", "reset", "suspend"}
    assert offered(verdicts["model-pinned"]) == {"rollback", "suspend"}
    assert offered(verdicts["model-pin-rolled-back"]) == {"rollback", "release", "suspend"}
    assert offered(verdicts["model-rolling-back"]) == {"suspend"}, "one request at a time"
    assert offered(verdicts["model-suspended"]) == {"rollback", "reset", "resume"}
    assert offered(verdicts["run-training"]) == {"suspend"}
    assert offered(verdicts["run-suspended"]) == {"resume"}
    assert offered(verdicts["run-certified"]) == set()
    assert offered(verdicts["run-bad-data"]) == {"retry"}


def phase(slug: str) -> Object:
    """The object of a phase."""
    return load(next(item for item in PHASES if item.slug == slug))


def patch(slug: str, action: str, **parameters: str) -> dict[str, Any]:
    """What Argo CD would send for an action on the object of a phase."""
    return ask([{"action": action, "parameters": parameters, "object": phase(slug)}])[0]


def annotated(verb: str, value: str) -> dict[str, Any]:
    """A patch that sets one annotation and touches nothing else."""
    return {"patch": {"metadata": {"annotations": {f"oneseek.io/{verb}": value}}}}


def test_an_action_sets_its_annotation_and_touches_nothing_else() -> None:
    tampered = phase("model-quarantined")["status"]["quarantine"][-1]["dna"]
    assert patch("model-serving", "rollback") == annotated("rollback", "previous")
    assert patch("model-serving", "rollback", version="base") == annotated("rollback", "base")
    assert patch("model-waiting-for-promotion", "promote") == annotated("promote", "candidate")
    assert patch("model-quarantined", "release") == annotated("release", tampered)
    assert patch("model-quarantined", "release", version="all") == annotated("release", "all")
    assert patch("model-serving", "reset", confirm="RESET") == annotated("reset", "RESET")
    assert patch("run-bad-data", "retry") == annotated("retry", "true")


def test_an_action_never_asks_in_the_name_of_who_asked_before() -> None:
    seen = phase("model-serving")
    seen["metadata"]["annotations"] = {"oneseek.io/requested-by": "alice", "team": "search"}
    (answer,) = ask([{"action": "rollback", "object": seen}])
    wanted = {"oneseek.io/requested-by": None, "oneseek.io/rollback": "previous"}
    assert answer == {"patch": {"metadata": {"annotations": wanted}}}


def test_suspend_and_resume_change_that_field_alone() -> None:
    for slug in ("model-serving", "run-training"):
        assert patch(slug, "suspend") == {"patch": {"spec": {"suspend": True}}}
    assert patch("run-suspended", "resume") == {"patch": {"spec": {"suspend": False}}}


def test_a_reset_without_the_word_is_refused_before_anything_is_sent() -> None:
    for parameters in ({}, {"confirm": ""}, {"confirm": "reset"}, {"confirm": "yes"}):
        answer = patch("model-serving", "reset", **parameters)
        assert "patch" not in answer
        assert "RESET" in answer["error"]


def test_nothing_to_release_is_said_and_not_sent() -> None:
    assert patch("model-serving", "release") == {"error": "nothing is in quarantine"}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_kustomize_builds_the_examples_as_their_tests_take_them(environment: str) -> None:
    command = [str(ROOT / ".local/bin/kubectl"), "kustomize", str(APPS / environment)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    def order(item: Object) -> str:
        return str(item["kind"])

    assert sorted(yaml.safe_load_all(done.stdout), key=order) == sorted(built(environment), key=order)
