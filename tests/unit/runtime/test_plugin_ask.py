from __future__ import annotations

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_runtime.plugin.comparing import Sources, compare, facts_of
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.inpod.__main__ import main as in_pod
from oneseek_runtime.plugin.inpod.ask import ask
from support.certified import certify, shared_keys
from support.plugin_objects import DIGESTS, ONE, THREE, TWO, Cluster, colour, model, pod, run
from support.silent import full_queue

SERVICE = "/api/v1/namespaces/team/services/demo:http/proxy/api/oqt/query"
POD = "/api/v1/namespaces/team/pods/new:8080/proxy/api/oqt/query"


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cluster:
    made = Cluster(tmp_path, capsys)
    made.objects = [model()]
    return made


def answer(version: str = TWO) -> dict[str, Any]:
    """What a sidecar answers."""
    return {
        "success": True,
        "queryId": "q-1",
        "version": version,
        "response": "Jag är OneSeek.\nVem är du?\x1b[2J",
        "confidence": 0.9312,
        "metadata": {"tokens": 12, "latency_ms": 340, "temperature": 0.0},
    }


def posted(cluster: Cluster) -> list[list[Any]]:
    return [json.loads(line) for line in (cluster.home / "cluster.json.posts").read_text().splitlines()]


def test_a_question_goes_through_the_service_and_its_answer_says_who_gave_it(cluster: Cluster) -> None:
    cluster.posts = {SERVICE: answer()}
    code, out, err = cluster("ask", "demo", "Vem är du?", "--max-tokens=20")
    assert (code, err) == (0, "")
    assert out == f"Jag är OneSeek.\nVem är du?\\x1b[2J\n\n{TWO}   confidence 0.931   12 tokens   340 ms\n"
    assert posted(cluster) == [[SERVICE, {"question": "Vem är du?", "options": {"maxTokens": 20}}]]
    found = cluster.json("ask", "demo", "Vem är du?")
    assert (found["version"], found["confidence"], found["latencyMilliseconds"]) == (TWO, 0.9312, 340)


@pytest.mark.parametrize("flags", [("--candidate",), ("--dna", "v3")], ids=str)
def test_a_version_is_asked_in_a_pod_that_serves_it(cluster: Cluster, flags: tuple[str, ...]) -> None:
    cluster.objects = [
        model(candidate={"dna": THREE, "digest": DIGESTS[THREE], "since": ""}),
        colour("1a2b3c4d", TWO),
        colour("99ffee00", THREE),
        pod("old", "1a2b3c4d"),
        pod("starting", "99ffee00", ready=False),
        pod("new", "99ffee00"),
    ]
    cluster.posts = {POD: answer(THREE)}
    assert cluster("ask", "demo", "Vem är du?", *flags)[:1] == (0,)
    assert posted(cluster)[0][0] == POD


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--candidate",), "NoCandidate: demo has no candidate"),
        (("--dna", "v9"), "NoSuchVersion: demo has no version v9"),
        (("--dna", "v1"), f"NotServed: no pod that is ready serves {ONE} now"),
    ],
    ids=str,
)
def test_what_nobody_serves_is_refused_with_the_reason(cluster: Cluster, flags: tuple[str, ...], said: str) -> None:
    code, out, err = cluster("ask", "demo", "Vem är du?", *flags)
    assert (code, said in out, err) == (1, True, "")
    assert cluster.json("ask", "demo", "Vem är du?", *flags)["answer"] is None


def test_where_the_proxy_is_forbidden_the_question_is_put_within_a_pod(cluster: Cluster) -> None:
    cluster.objects += [colour("1a2b3c4d", TWO), pod("one", "1a2b3c4d")]
    cluster.posts = {SERVICE: '(Forbidden): services "demo" is forbidden: User cannot create resource "services/proxy"'}
    cluster.containers["pod/one/sidecar"] = {"says": json.dumps(answer())}
    code, out, _ = cluster("ask", "demo", "Vem är du?")
    assert (code, out.startswith("Jag är OneSeek.")) == (0, True)
    entered = next(call for call in cluster.calls() if call[0] == "exec")
    assert entered[-5:] == ["python", "-m", "oneseek_runtime.plugin.inpod", "ask", "60"]
    assert "--stdin" in entered
    cluster.containers.clear()
    assert "neither through the API server's proxy" in cluster("ask", "demo", "Vem är du?")[2]


def test_what_the_sidecar_refuses_is_told_and_not_asked_again(cluster: Cluster) -> None:
    cluster.posts = {SERVICE: "(TooManyRequests): the server has received too many requests"}
    code, out, err = cluster("ask", "demo", "Vem är du?")
    assert (code, out, "too many requests" in err) == (2, "", True)
    assert not [call for call in cluster.calls() if call[0] == "exec"]


def test_what_is_no_sidecar_is_no_answer(cluster: Cluster) -> None:
    cluster.posts = {SERVICE: {"hello": "world"}}
    assert "what answered is no OneSeek sidecar" in cluster("ask", "demo", "Vem är du?")[2]


class _Sidecar(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["question"]
        self.send_response(200 if question else 400)
        self.end_headers()
        self.wfile.write(json.dumps({"response": question.upper()}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def put(question: dict[str, Any], port: int, seconds: str = "5") -> bytes:
    """What a query within a pod, whose sidecar listens on `port`, writes to stdout."""
    out = io.BytesIO()
    ask([seconds], {}, out, source=io.BytesIO(json.dumps(question).encode()), port=port)
    return out.getvalue()


def test_within_a_pod_the_query_is_passed_on() -> None:
    server = HTTPServer(("127.0.0.1", 0), _Sidecar)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        assert json.loads(put({"question": "who"}, server.server_port)) == {"response": "WHO"}
        with pytest.raises(CannotTellError, match="the sidecar answered 400"):
            put({"question": ""}, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(CannotTellError, match=r"^the sidecar does not answer: connection refused$"):
        put({}, server.server_port)


def test_within_a_pod_a_sidecar_that_is_silent_is_told_from_one_that_is_away() -> None:
    with full_queue() as listener, pytest.raises(CannotTellError, match=r"^the sidecar did not answer within 0.1 s$"):
        put({}, listener.getsockname()[1], "0.1")


def test_within_a_pod_a_wrong_command_and_a_failure_are_sentences_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ([], ["nothing"], ["ask"], ["folder", ONE, TWO], ["verify", "x"]):
        assert in_pod(words, {}, io.BytesIO()) == 2
        assert "usage: python -m oneseek_runtime.plugin.inpod ask SECONDS | folder DNA |" in capsys.readouterr().err
    assert in_pod(["folder", ONE], settings(Path("/nowhere")), io.BytesIO()) == 2
    assert capsys.readouterr().err == f"the claim holds no certified version {ONE}\n"


# ---- diff


def settings(root: Path) -> dict[str, str]:
    """A sidecar's environment."""
    told = {
        "model": "demo",
        "namespace": "team",
        "family": "F",
        "baseName": "B",
        "basePath": "/b",
        "certifiedPath": str(root),
    }
    return {"ONESEEK_SERVING": json.dumps(told)}


def test_within_a_pod_the_certified_metadata_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = certify(tmp_path, keys=shared_keys())
    out = io.BytesIO()
    assert in_pod(["metadata", folder.name, ONE], settings(folder.parent), out) == 0
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["dna"], first["metadata"]["dna"]) == (folder.name, folder.name)
    assert second == {"dna": ONE, "metadata": None}
    assert in_pod(["metadata", "../../etc"], settings(folder.parent), out) == 2
    assert "is not a DNA" in capsys.readouterr().err


def test_two_versions_are_compared_by_what_is_certified_and_what_the_run_says(cluster: Cluster, tmp_path: Path) -> None:
    folder, report = certify(tmp_path, keys=shared_keys(), scores={"factsContained": 0.5})
    spec = {"modelRef": {"name": "demo"}, "epochs": 9, "learningRate": 0.0002, "lora": {"rank": 8}, "seed": 42}
    resolved = {
        "datasets": [{"name": "civic", "digest": DIGESTS[TWO], "rows": 40}],
        "steps": 96, "finalLoss": 0.31, "durationSeconds": 12.5,
    }  # fmt: skip
    made = run("civic-1", dna=TWO, resolved=resolved)
    made["spec"] = spec
    mine = {
        "dna": folder.name, "digest": report.version.digest, "type": "Major", "state": "Certified",
        "createdAt": "2026-03-10T10:00:00Z", "scores": {"questions": 24, "factsContained": 0.5, "exact": 0.5},
    }  # fmt: skip
    cluster.objects = [model(), made, pod("one", "1a2b3c4d")]
    cluster.objects[0]["status"]["versions"].append(mine)
    cluster.containers["pod/one/sidecar"] = {"environment": settings(folder.parent)}
    code, out, err = cluster("diff", "demo", folder.name)
    assert (code, err) == (0, "")
    lines = {" ".join(line.split()).removesuffix(" -") for line in out.splitlines()}
    assert "scores all: facts 0.500 0.917 +0.417" in lines
    assert "data dataset civic - sha256:200000000000, 40 rows" in lines
    assert "parameters epochs 3 9" in lines
    assert "version parent the base model " + ONE in lines
    assert any(line.startswith("the same: ") and "all: exact" in line for line in lines)
    found = cluster.json("diff", "demo", folder.name, TWO)
    facts = {(fact["section"], fact["name"]): fact for fact in found["facts"]}
    assert facts["training", "final loss"]["right"] == 0.31
    assert facts["parameters", "lora rank"]["left"] == 4


def test_without_a_pod_the_objects_alone_are_compared_and_that_is_said(cluster: Cluster) -> None:
    code, out, err = cluster("diff", "demo", "v1", "v2", "--all")
    assert (code, "no pod is ready to read the certified metadata in" in err) == (0, True)
    assert "scores   sv: loss" in out
    assert "2026-03-01T08:00:00Z" in out
    assert cluster("diff", "demo", "v1", "v7")[:2] == (
        1, f"NoSuchVersion: demo has no version v7; there are {THREE}, {TWO}, {ONE}\n"
    )  # fmt: skip


def test_what_only_one_of_them_has_is_no_change_of_a_number() -> None:
    one, two = lenient.read(Version, {"dna": ONE}), lenient.read(Version, {"dna": TWO, "digest": "d"})
    rows = {row.name: row for row in compare(facts_of(Sources(one)), facts_of(Sources(two)))}
    assert (rows["manifest"].left, rows["manifest"].right, rows["manifest"].same) == (None, "d", False)
    assert rows["parent"].same
