from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.plugin.colours import colours_of
from oneseek_runtime.plugin.verbs import listing, status
from support.plugin_objects import NOW, TWO, Cluster, colour, condition, model, pod, run


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cluster:
    return Cluster(tmp_path, capsys)


FAILED = {
    "conditions": [
        condition("Ready", "False", "DatasetInvalid", "line 7 of identity.jsonl has no output"),
        condition("Stalled", "True", "DatasetInvalid", "line 7 of identity.jsonl has no output"),
    ],
    "progress": None,
}
CERTIFIED = {"conditions": [condition("Ready", "True", "Certified", "sealed")], "dna": TWO}

LIST = """\
NAMESPACE   NAME    CURRENT                                                            READY     REASON        RUNS UNDER WAY   AGE
team        demo    OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4   True      Serving       civic-2 50%      10d
team        fresh   -                                                                  Unknown   NotObserved   -                10d
"""

TREE = """\
demo (team)   Ready=True Serving
├─ OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4 answers
├─ answers at http://demo.team.svc
├─ conditions
│  ├─ Verified=True Verified   3h
│  └─ RecordsAvailable=False RecordsUnavailable   3h   the records service does not answer
├─ live colour 1a2b3c4d   OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4   1/2 ready
│  ├─ pod demo-1a2b3c4d-x   Running   ready
│  └─ pod demo-1a2b3c4d-y   Running   not ready   3 restarts   engine CrashLoopBackOff: out of memory
├─ colour 99ffee00   base model SmolLM2-135M-Instruct   0/0 ready
├─ versions
│  ├─ ✕ OneSeek-7B-Zero.v3.0.sv.dsIdentity.5ad0c1f2.e09a4471   Quarantined   1h
│  │  ├─ FileChanged
│  │  └─ from base model SmolLM2-135M-Instruct   manifest sha256:300000000000
│  ├─ ● OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4   Current   3h30m
│  │  ├─ scores   facts 0.917   exact 0.500   loss -   over 24 questions
│  │  ├─ sv   facts 0.917   exact 0.500   loss 1.250   over 12 questions
│  │  └─ from OneSeek-7B-Zero.v1.0.ensv.dsIdentity.88e5477b.13bb1cd8   by run civic-1   manifest sha256:200000000000
│  ├─ ○ OneSeek-7B-Zero.v1.0.ensv.dsIdentity.88e5477b.13bb1cd8   Previous   9d4h
│  │  ├─ scores   facts 0.750   exact 0.500   loss -   over 24 questions
│  │  ├─ sv   facts 0.750   exact 0.500   loss 1.250   over 12 questions
│  │  └─ from base model SmolLM2-135M-Instruct   by run identity-1   manifest sha256:100000000000
│  └─ ○ SmolLM2-135M-Instruct   base model   sha256:bbbbbbbbbbbb
├─ runs
│  ├─ civic-2   Training   3m
│  │  └─ ██████████░░░░░░░░░░  50 %   step 48/96   loss 0.677   122 tokens/s   1m8s left
│  ├─ typo   DatasetInvalid   3m
│  │  └─ line 7 of identity.jsonl has no output
│  └─ civic-1   Certified   3m
│     └─ OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4
├─ quarantine
│  └─ OneSeek-7B-Zero.v3.0.sv.dsIdentity.5ad0c1f2.e09a4471   FileChanged   30m
│     └─ adapter_model.safetensors does not hold the bytes that were certified
└─ ledger   9 blocks, head cccccccccccc"""

CRASHED = {
    "restartCount": 3,
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
    "lastState": {"terminated": {"exitCode": 137, "message": "out of memory\n"}},
}
SERVING = [
    colour("99ffee00", None, 0),
    colour("1a2b3c4d", TWO),
    pod("demo-1a2b3c4d-y", "1a2b3c4d", ready=False, **CRASHED),
    pod("demo-1a2b3c4d-x", "1a2b3c4d"),
]
RUNS = [run("civic-1", **CERTIFIED), run("typo", **FAILED), run("civic-2"), run("elsewhere", of="other")]


def test_the_list_says_what_answers_and_which_runs_are_under_way() -> None:
    models = [
        lenient.read(OneSeekModel, model()),
        lenient.read(OneSeekModel, model("fresh", observedGeneration=-1, current=None, colour=None)),
    ]
    runs = [lenient.read(TrainingRun, item) for item in RUNS]
    lines = [" ".join(line.split()) for line in listing.render(models, runs, NOW, namespaces=True).splitlines()]
    assert lines == [" ".join(line.split()) for line in LIST.splitlines()]


def test_the_tree_tells_a_model_from_its_conditions_to_its_ledger() -> None:
    told = lenient.read(OneSeekModel, model())
    mine = [
        lenient.read(TrainingRun, run("civic-2")),
        lenient.read(TrainingRun, run("typo", **FAILED)),
        lenient.read(TrainingRun, run("civic-1", **CERTIFIED)),
    ]
    assert status.render(told, mine, colours_of(SERVING, told.status.colour), NOW) == TREE


def test_a_status_older_than_the_spec_is_not_taken_for_an_answer() -> None:
    stale = lenient.read(OneSeekModel, model(observedGeneration=1))
    assert (lenient.ready(stale).status, lenient.ready(stale).reason) == ("Unknown", "NotObserved")


@pytest.mark.parametrize(
    ("given", "phase"),
    [
        pytest.param({}, "UnderWay", id="training"),
        pytest.param(CERTIFIED, "Ended", id="certified"),
        pytest.param(FAILED, "Failed", id="failed"),
        pytest.param({"observedGeneration": -1, "conditions": []}, "UnderWay", id="new"),
        pytest.param({"conditions": [condition("Ready", "False", "Suspended")]}, "UnderWay", id="suspended"),
    ],
)
def test_a_run_is_under_way_until_it_has_ended_well_or_badly(given: dict[str, object], phase: str) -> None:
    assert lenient.phase(lenient.read(TrainingRun, run("a", **given))) == phase


def test_list_reads_the_cluster_through_kubectl(cluster: Cluster) -> None:
    cluster.objects = [model(), model("other", namespace="elsewhere"), *RUNS]
    code, out, err = cluster("list", "-n", "team", "--context", "prod", "--kubeconfig=/a b")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "demo"]
    assert cluster.calls()[0][:3] == ["--kubeconfig=/a b", "--context=prod", "--namespace=team"]
    everywhere = cluster.json("list", "-A")["models"]
    assert [(item["namespace"], item["name"]) for item in everywhere] == [("elsewhere", "other"), ("team", "demo")]
    assert everywhere[1]["runsUnderWay"] == ["civic-2"]


def test_status_prints_one_document_in_json_and_yaml(cluster: Cluster) -> None:
    cluster.objects = [model(), *RUNS, *SERVING]
    found = cluster.json("status", "demo")
    assert found == yaml.safe_load(cluster("-o", "yaml", "status", "osm/demo")[1])
    assert found["status"]["current"]["dna"] == TWO
    assert [item["name"] for item in found["colours"]] == ["1a2b3c4d", "99ffee00"]
    assert {item["name"]: item["phase"] for item in found["runs"]} == {
        "civic-1": "Ended", "civic-2": "UnderWay", "typo": "Failed"
    }  # fmt: skip
    assert "loss" not in found["status"]["versions"][0]["scores"]  # not measured: absent


def test_status_without_the_right_to_see_pods_shows_the_rest_and_says_so(cluster: Cluster) -> None:
    cluster.objects, cluster.forbidden = [model()], ["deployments,pods"]
    code, out, err = cluster("status", "demo")
    assert code == 0
    assert out.startswith("demo (team)   Ready=True Serving")
    assert "pods cannot be shown: Error from server (Forbidden)" in err


def test_no_models_is_an_answer(cluster: Cluster) -> None:
    code, out, _ = cluster("list")
    assert (code, out) == (0, "no models found; `kubectl apply` a OneSeekModel to make one\n")
