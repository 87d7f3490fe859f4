"""The sliding window, with a clock that the test moves."""

from oneseek_runtime.sidecar.http.rate_limit import ROUTERS, Admission, SlidingWindow


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_limit_holds_in_any_60_seconds_not_per_calendar_minute() -> None:
    clock = Clock()
    window = SlidingWindow(2, clock)
    assert window.admit("a").wait == 0
    clock.now += 50
    assert window.admit("a").wait == 0
    clock.now += 9
    assert window.admit("a").wait == 1.0
    clock.now += 1
    assert window.admit("a").wait == 0
    assert window.admit("a").wait == 50.0


def test_refused_requests_are_not_counted_and_clients_do_not_share() -> None:
    clock = Clock()
    window = SlidingWindow(1, clock)
    assert window.admit("a").wait == 0
    assert [window.admit("a").wait for _ in range(3)] == [60.0] * 3
    assert window.admit("b").wait == 0
    clock.now += 60
    assert window.admit("a").wait == 0


def test_addresses_that_went_quiet_are_forgotten() -> None:
    clock = Clock()
    window = SlidingWindow(1, clock)
    for client in range(10_000):
        window.admit(str(client))
    clock.now += 61
    window.admit("last")
    assert set(window._seen) == {"last"}


def test_micro_train_is_unlimited_and_models_have_their_own_bucket() -> None:
    def covered(path: str) -> list[int]:
        return [router.limit for router in ROUTERS if router.covers(path)]

    assert covered("/api/oqt/query") == [60]
    assert covered("/api/oqt/whatever") == [60]
    assert covered("/api/oqt/micro-train") == []
    assert covered("/api/models/current") == covered("/api/models/set-current") == [20]
    assert covered("/api/models/certified") == covered("/health") == []


def test_what_is_left_and_when_more_is_there_is_told() -> None:
    clock = Clock()
    window = SlidingWindow(2, clock)
    assert window.admit("a") == Admission(0.0, 1, 60.0)
    clock.now += 10
    assert window.admit("a") == Admission(0.0, 0, 50.0)
    assert window.admit("a") == Admission(50.0, 0, 50.0)
