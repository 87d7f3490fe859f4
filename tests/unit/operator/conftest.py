"""What every simulated cluster here shares."""

from __future__ import annotations

import pytest

from oneseek_operator.rollout import drain


@pytest.fixture(autouse=True)
def no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated cluster has no kube-proxy that needs a moment after a flip, and its clock stands still."""
    monkeypatch.setattr(drain, "_SETTLE_SECONDS", 0)
    monkeypatch.setattr(drain, "warm_seconds", lambda _: 0)
