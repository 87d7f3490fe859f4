"""A namespace per test module on the test cluster; `make cluster-test` starts it and installs the operator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.kube import Kube, scratch_namespace

# Those that take longest, first: a worker that begins one of them last would keep the others waiting for it.
LONGEST = (
    "test_hostile_tenant",
    "test_multi_model",
    "test_plugin",
    "test_certified",
    "test_micro",
    "test_idle",
    "test_bad_input",
    "test_between_clusters",
    "test_bad_models",
    "test_firestore",
    "test_http_requests",
    "test_hub",
    "test_deletion",
    "test_contract",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest modules first; everything else stays in its order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def operator() -> None:
    """The operator runs; without it every test here would wait for nothing."""
    found = Kube("oneseek-system").get("deployment", "oneseek-operator")
    assert found, "the operator is not installed: run `make cluster-test`, which installs it"


@pytest.fixture(scope="module")
def kube(request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of its own for a module's tests."""
    prefix = request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_").replace("_", "-")[:30]
    with scratch_namespace(prefix) as kube:
        yield kube
