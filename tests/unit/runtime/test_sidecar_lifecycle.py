"""When a sidecar that was told to stop may stop. The clock is the test's; each look at the connections moves it."""

import pytest

from oneseek_runtime.sidecar.lifecycle import until_drained


class Scene:
    """Seconds pass by tenths at each look; `open_until` is when the last client leaves."""

    def __init__(self, open_until: float) -> None:
        self.now = 0.0
        self.open_until = open_until

    def connections(self) -> int:
        self.now += 0.1
        return 1 if self.now < self.open_until else 0

    def clock(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneseek_runtime.sidecar.lifecycle._POLL_SECONDS", 0)


async def test_it_stays_for_the_minimum_even_with_no_client() -> None:
    scene = Scene(open_until=0)
    assert await until_drained(scene.connections, minimum=3, maximum=20, clock=scene.clock)
    assert 3 <= scene.now < 3.5


async def test_it_leaves_half_a_second_after_the_last_client() -> None:
    scene = Scene(open_until=7)
    assert await until_drained(scene.connections, minimum=3, maximum=20, clock=scene.clock)
    assert 7.4 <= scene.now < 8


async def test_it_leaves_at_the_maximum_and_says_that_clients_are_left() -> None:
    scene = Scene(open_until=100)
    assert not await until_drained(scene.connections, minimum=3, maximum=20, clock=scene.clock)
    assert 20 <= scene.now < 20.5
