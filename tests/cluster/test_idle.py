"""Idle costs nothing: no write of the operator while nothing changes, from the API server's audit log."""

from __future__ import annotations

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.kube import PATIENCE, Kube, condition, wait_until
from support.operator_process import audit_lines, writes


def test_nothing_is_written_for_two_minutes_while_a_promoted_version_serves(kube: Kube) -> None:
    kube.apply(data(kube.namespace), tiny_model(kube.namespace), small_run(kube.namespace, epochs=1))
    kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=240)
    kube.wait(
        "oneseekmodel", "zero", lambda item: condition(item, "CurrentPublished").get("status") == "True", within=180
    )
    kube.wait("oneseekmodel", "zero", lambda item: condition(item, "Verified").get("status") == "True", within=60)
    kube.wait("oneseekmodel", "zero", lambda item: not item["status"]["outbox"], within=60)
    wait_until(lambda: len(kube.list("deployments")) == 1, within=120, what="one colour is left")
    wait_until(
        lambda: len(kube.list("pods", "app.kubernetes.io/component=serving")) == 1, within=120, what="one pod serves"
    )
    start = audit_lines()
    quiet: list[str] = []

    def somebody_wrote() -> bool:
        quiet[:] = writes(kube.namespace, start)
        return bool(quiet)

    with pytest.raises(AssertionError, match="not within"):
        wait_until(somebody_wrote, within=120 / PATIENCE, what="a write of the operator", every=5)
    assert quiet == []
