"""The sidecar's informer of its model: one watch, resumed, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from oneseek_runtime.sidecar.cluster import informer as module
from oneseek_runtime.sidecar.cluster.client import KubeClient
from oneseek_runtime.sidecar.cluster.informer import Informer
from oneseek_runtime.sidecar.errors import KubeNotFoundError
from support.asgi import serving
from support.kube_simulator import KubeSimulator
from support.sessions import connected


@dataclass
class Watched:
    """An informer that is kept, and what it mirrors."""

    informer: Informer
    kube: KubeSimulator

    async def sees(self, colour: str) -> bool:
        """Whether the informer comes to show a status."""

        def look(seen: Informer) -> bool | None:
            return True if seen.model and seen.model.status.colour == colour else None

        return await self.informer.until(look, seconds=5) is True


async def eventually(check: Callable[[], bool]) -> None:
    """Until it holds; with a deadline."""
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110 - a simulator has no event for it
            await asyncio.sleep(0.005)


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    """An informer over a simulated API."""
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    (tmp_path / "token").write_text("own")
    kube = KubeSimulator()
    async with (
        serving(kube.app()) as api,
        connected(KubeClient, api, namespace="team", model="zero", access=tmp_path) as client,
    ):
        informer = Informer(client, "zero")
        keeping = asyncio.create_task(informer.run())
        try:
            yield Watched(informer, kube)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            kube.end_watches()


def lists(kube: KubeSimulator) -> int:
    """How often models were listed or watched."""
    return sum(line.endswith("oneseekmodels") for line in kube.asked)


async def test_a_change_is_seen_without_asking_again(watched: Watched) -> None:
    await eventually(lambda: watched.kube.watching == 1)
    before = lists(watched.kube)
    for colour in ("red", "blue"):
        watched.kube.change(colour=colour)
        assert await watched.sees(colour)
    assert lists(watched.kube) == before


async def test_a_watch_that_ends_goes_on_where_it_stood(watched: Watched) -> None:
    await eventually(lambda: watched.kube.watching == 1)
    before = lists(watched.kube)
    watched.kube.end_watches()
    watched.kube.change(colour="green")
    assert await watched.sees("green")
    assert lists(watched.kube) == before + 1, "one more watch, no new list"


async def test_a_watch_that_expired_lists_again(watched: Watched) -> None:
    await eventually(lambda: watched.kube.watching == 1)
    watched.kube.expire_watches()
    watched.kube.change(colour="grey")
    assert await watched.sees("grey")


async def test_an_api_server_that_was_away_is_found_again(watched: Watched) -> None:
    await eventually(lambda: watched.kube.watching == 1)
    watched.kube.away = True
    watched.kube.end_watches()
    await eventually(lambda: watched.kube.watching == 0)
    watched.kube.change(colour="white")
    watched.kube.away = False
    assert await watched.sees("white")


async def test_only_the_models_own_runs_are_shown_oldest_first(watched: Watched) -> None:
    def run(name: str, model: str, created: str) -> dict[str, object]:
        meta = {"name": name, "creationTimestamp": created, "resourceVersion": "1"}
        return {"metadata": meta, "spec": {"modelRef": {"name": model}}}

    watched.kube.runs = [run("b", "zero", "2026-01-02"), run("a", "zero", "2026-01-01"), run("c", "one", "2026-01-01")]
    fresh = Informer(watched.informer._kube, "zero")
    keeping = asyncio.create_task(fresh.run())
    try:
        await eventually(lambda: len(fresh.runs) == 2)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert [item.metadata.name for item in fresh.runs] == ["a", "b"]


async def test_waiting_ends_in_time(watched: Watched) -> None:
    assert await watched.informer.until(lambda _seen: None, seconds=0.01) is None


async def test_a_model_that_is_gone_is_an_error_of_its_own(watched: Watched, tmp_path: Path) -> None:
    async with (
        serving(watched.kube.app()) as api,
        connected(KubeClient, api, namespace="team", model="nobody", access=tmp_path) as client,
    ):
        with pytest.raises(KubeNotFoundError):
            await client.model()
