from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneseek_runtime.plugin.answers import Clock
from oneseek_runtime.plugin.curve import draw
from oneseek_runtime.plugin.text import cropped
from support.plugin_objects import ONE, TWO, Cluster, condition, model, run


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("LINES", "12")
    return Cluster(tmp_path, capsys)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens in the pauses, one after the other; after the last of them somebody presses Ctrl-C."""

    def play(*steps: Callable[[], object]) -> None:
        left = list(steps)

        def sleep(_clock: Clock, _seconds: float) -> None:
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(Clock, "sleep", sleep)

    return play


def nothing() -> None:
    """A pause in which nothing happens."""


# ---- status -w


def test_watching_appends_what_has_changed_and_ends_with_ctrl_c(cluster: Cluster, between: Callable[..., None]) -> None:
    cluster.objects = [model(), run("civic-2")]

    def further() -> None:
        cluster.objects[1]["status"]["progress"] |= {"percent": 75, "step": 72}
        cluster.save()

    between(nothing, further, nothing)
    code, out, err = cluster("status", "demo", "-w")
    assert (code, err) == (130, "")
    assert [" 50 %" in part for part in out.strip().split("\n\n")] == [True, False]
    between(nothing, further)
    code, out, _ = cluster("status", "demo", "-w", "-o", "json")
    assert (code, len(out.splitlines())) == (130, 1)
    assert json.loads(out)["runs"][0]["status"]["progress"]["percent"] == 75


def test_watching_outlives_a_cluster_that_is_away_for_a_moment(
    cluster: Cluster, between: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.objects = [model()]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    def away() -> None:
        cluster.forbidden = ["oneseekmodels.oneseek.io"]
        cluster.save()

    between(away)
    code, out, _ = cluster("status", "demo", "-w")
    first, second = out.split("\x1b[11F")
    assert code == 130
    assert "demo (team)   Ready=True Serving" in first
    assert "demo (team)   Ready=True Serving" in second
    assert all(len(line.replace("\x1b[K", "")) <= 70 for line in first.splitlines())
    assert "more lines" in second


def test_watching_ends_when_the_model_is_gone(cluster: Cluster, between: Callable[..., None]) -> None:
    cluster.objects = [model()]

    def delete() -> None:
        cluster.objects = []
        cluster.save()

    between(delete, nothing)
    code, _, err = cluster("status", "demo", "-w")
    assert (code, '"demo" not found' in err) == (2, True)


def test_the_tree_tells_what_is_asked_for_and_what_people_chose(cluster: Cluster) -> None:
    request = {
        "id": "7", "verb": "rollback", "value": "previous", "dna": ONE, "requestedBy": "åsa", "outcome": "Pending",
        "reason": "Requested", "message": "the preview is being probed", "createdAt": "2026-03-10T11:59:48Z",
    }  # fmt: skip
    chosen = {"verb": "rollback", "dna": ONE, "since": "2026-03-10T11:59:48Z"}
    cluster.objects = [model(request=request, selection=chosen)]
    cluster.objects[0]["spec"]["version"] = TWO
    out = cluster("status", "demo")[1]
    assert f"├─ request   rollback previous ({ONE})   Pending Requested" in out
    assert "by åsa\n│  └─ the preview is being probed" in out
    assert f"├─ pinned by spec.version to {TWO}" in out
    assert f"├─ rolled back by hand to {ONE}" in out


def test_lines_are_cut_where_the_terminal_ends() -> None:
    assert cropped("one\ntwo\nthree", columns=3, rows=2) == ["one", "… 2"]
    assert cropped("åäö日本", columns=6, rows=9) == ["åäö日…"]
    assert cropped("åäö日本", columns=7, rows=9) == ["åäö日本"]


# ---- plot


def test_a_falling_curve_falls(cluster: Cluster) -> None:
    losses = [{"step": step, "loss": 4.0 / (1 + step)} for step in range(50)]
    cluster.objects = [run("civic-2", losses=losses)]
    code, out, err = cluster("plot", "civic-2")
    head, *curve = out.splitlines()
    assert (code, err) == (0, "")
    assert head == "civic-2   Training   loss 4.000 → 0.080   least 0.080 at step 49   step 49/96"
    assert (len(curve), max(map(len, curve))) == (8, 70)
    assert curve[0].startswith("       4 ┤⡇")
    assert curve[5].rstrip().endswith("⣀")
    assert curve[-1].split() == ["0", "49"]
    assert cluster.json("plot", "civic-2")["losses"][0] == {"step": 0, "loss": 4.0}


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([(1.0, 2.0)], id="one"),
        pytest.param([(1.0, 2.0), (2.0, 2.0)], id="level"),
        pytest.param([(1.0, float("nan")), (2.0, 1.0), (3.0, float("inf"))], id="gaps"),
        pytest.param([], id="none"),
    ],
)
def test_odd_curves_are_drawn_too(points: list[tuple[float, float]]) -> None:
    lines = draw(points, width=1, height=1).splitlines()
    assert len(lines) == 5
    known = [pair for pair in points if pair[1] == pair[1] and pair[1] != float("inf")]
    assert any(ord(sign) > 0x2800 for line in lines for sign in line) == bool(known)


def test_a_run_without_losses_says_how_far_it_is(cluster: Cluster) -> None:
    cluster.objects = [run("civic-2")]
    code, out, err = cluster("plot", "civic-2")
    assert (code, out) == (2, "")
    assert "civic-2 has no losses yet; Training: step 48 of 96" in err


# ---- logs


def pod(step: str, created: str, *, started: bool = True, of: str = "civic-2") -> dict[str, Any]:
    labels = {"oneseek.io/run": of, "app.kubernetes.io/component": step}
    state = {"running": {}} if started else {"waiting": {"reason": "ContainerCreating"}}
    return {
        "kind": "Pod",
        "metadata": {"name": f"{of}-{step}-x", "namespace": "team", "labels": labels, "creationTimestamp": created},
        "status": {"containerStatuses": [{"name": "main", "state": state}]},
    }


def test_the_newest_steps_log_is_shown_unless_one_is_named(cluster: Cluster) -> None:
    cluster.objects = [run("civic-2"), pod("train", "2026-03-10T11:59:00Z"), pod("prepare", "2026-03-10T11:58:00Z")]
    cluster.logs = {"civic-2-train-x": ['{"step": 1}', "\x1b[31mred"], "civic-2-prepare-x": ["3 rows"]}
    assert cluster("logs", "civic-2") == (0, '{"step": 1}\n\\x1b[31mred\n', "")
    assert cluster("logs", "civic-2", "--step", "prepare", "--tail=5")[1] == "3 rows\n"
    assert [call for call in cluster.calls() if call[0] == "logs"][-1][-1] == "--tail=5"
    found = cluster.json("logs", "civic-2")
    assert (found["step"], found["pods"][0]["lines"][0]) == ("train", '{"step": 1}')
    code, out, err = cluster("logs", "civic-2", "--step", "certify")
    assert (code, out, "civic-2 has no pod of step certify whose log could be read" in err) == (2, "", True)


def test_following_goes_from_step_to_step_until_the_run_has_ended(
    cluster: Cluster, between: Callable[..., None]
) -> None:
    cluster.objects = [run("civic-2")]
    cluster.logs = {f"civic-2-{step}-x": [f"{step} is done"] for step in ("prepare", "train", "certify")}

    def comes(*pods: dict[str, Any], ended: bool = False) -> Callable[[], None]:
        def change() -> None:
            cluster.objects += pods
            if ended:
                cluster.objects[0]["status"]["conditions"] = [condition("Ready", "True", "Certified")]
            cluster.save()

        return change

    between(
        comes(pod("prepare", "2026-03-10T11:58:00Z", started=False)),
        comes(pod("train", "2026-03-10T11:59:00Z")),
        nothing,
        comes(pod("certify", "2026-03-10T11:59:30Z"), ended=True),
        nothing,
    )
    code, out, err = cluster("logs", "civic-2", "-f")
    assert code == 0
    assert out == "(waiting for a pod; Training: step 48 of 96)\ntrain is done\ncertify is done\n"
    assert "train, pod civic-2-train-x" in err


def test_following_one_step_ends_with_it(cluster: Cluster, between: Callable[..., None]) -> None:
    cluster.objects = [run("civic-2"), pod("prepare", "2026-03-10T11:58:00Z"), pod("train", "2026-03-10T11:59:00Z")]
    cluster.logs = {"civic-2-prepare-x": ["3 rows"]}
    between(nothing)
    code, out, _ = cluster("logs", "civic-2", "-f", "--step", "prepare", "-o", "json")
    assert (code, json.loads(out)["line"]) == (0, "3 rows")
