"""Which tokens the API server is asked about: none that say themselves that they are not ours, and not the same ones again."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from oneseek_runtime.sidecar.cluster.client import NoKube, User
from oneseek_runtime.sidecar.cluster.token_review import ReviewBudget, why_invalid
from oneseek_runtime.sidecar.errors import KubeUnavailableError, TooManyReviewsError
from support.kube_simulator import jwt

NOW = 1_800_000_000.0


class ApiServer(NoKube):
    """Knows the tokens of its users."""

    def __init__(self, *known: str) -> None:
        self.known = known
        self.asked: list[str] = []
        self.away = False

    async def review(self, token: str) -> User | str:
        self.asked.append(token)
        await asyncio.sleep(0)
        if self.away:
            raise KubeUnavailableError("away")
        return User("anna") if token in self.known else "the API server does not know it"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("junk", "it is no JSON Web Token"),
        ("a.b.c", "it is no JSON Web Token"),
        ("..", "it is no JSON Web Token"),
        (f"{part({})}.{part(['oneseek'])}.x", "it is no JSON Web Token"),
        (f"x.{part({'aud': 'oneseek'})}.x", "it is no JSON Web Token"),
        (f"{part({})}.{part({'aud': 'oneseek'})}.x.y", "it is no JSON Web Token"),
        (f"{part({})}.{part({'aud': 'oneseek'})}.", "it is no JSON Web Token"),
        (f"{part({})}.{base64.urlsafe_b64encode(b'[' * 9000).decode()}.x", "it is no JSON Web Token"),
        (jwt("anna", more="x" * 16_384), "it is no JSON Web Token"),
        ("å.å.å", "it is no JSON Web Token"),
        (jwt("anna", aud=["https://kubernetes.default.svc"]), "it was not made for the audience 'oneseek'"),
        (jwt("anna", aud=None), "it was not made for the audience 'oneseek'"),
        (jwt("anna", aud={"oneseek": 1}), "it was not made for the audience 'oneseek'"),
        (jwt("anna", exp=NOW - 61), "it has expired"),
        (jwt("anna", exp=NOW - 59), ""),
        (jwt("anna", exp="soon"), ""),
        (jwt("anna", exp=NOW + 600), ""),
        (jwt("anna", aud="oneseek"), ""),
    ],
)
def test_what_a_token_says_of_itself(token: str, why: str) -> None:
    assert why_invalid(token, NOW) == why


async def test_a_token_that_is_none_of_ours_is_refused_without_asking(clock: Clock) -> None:
    api = ApiServer()
    reviews = ReviewBudget(api, clock, wall=lambda: NOW)
    for number in range(1000):
        assert isinstance(await reviews.owner(f"junk-{number}", "client"), str)
        assert isinstance(await reviews.owner(jwt("x", aud="another", n=number), "client"), str)
    assert api.asked == []


async def test_a_refused_token_is_not_asked_about_again_for_a_while(clock: Clock) -> None:
    api = ApiServer()
    reviews = ReviewBudget(api, clock)
    for _ in range(40):
        assert await reviews.owner(jwt("x"), "client") == "the API server does not know it"
    assert len(api.asked) == 1
    clock.now = 10.5
    await reviews.owner(jwt("x"), "client")
    assert len(api.asked) == 2


async def test_forty_tokens_that_nobody_knows_cost_ten_reviews(clock: Clock) -> None:
    api = ApiServer(jwt("anna"))
    reviews = ReviewBudget(api, clock)
    found = await asyncio.gather(
        *(reviews.owner(jwt("x", n=number), "client") for number in range(40)), return_exceptions=True
    )
    waits = [error for error in found if isinstance(error, TooManyReviewsError)]
    assert (len(api.asked), len(waits)) == (10, 30)
    assert waits[0].wait == 6
    assert str(waits[0]).endswith("came from your address; send a good one in 6 s")
    assert await reviews.owner(jwt("anna"), "another client") == User("anna"), "others are asked about all the same"
    clock.now = 6.0
    assert await reviews.owner(jwt("anna"), "client") == User("anna")
    assert await reviews.owner(jwt("anna", n=1), "client") == "the API server does not know it", (
        "a good one costs nothing"
    )
    with pytest.raises(TooManyReviewsError):
        await reviews.owner(jwt("x", n=41), "client")


async def test_good_tokens_and_an_api_server_that_is_away_cost_a_client_nothing(clock: Clock) -> None:
    good = [jwt("anna", n=number) for number in range(100)]
    api = ApiServer(*good)
    reviews = ReviewBudget(api, clock)
    for token in good:
        assert await reviews.owner(token, "client") == User("anna")
    api.away = True
    for number in range(100):
        with pytest.raises(KubeUnavailableError):
            await reviews.owner(jwt("x", n=number), "client")
    api.away = False
    assert await reviews.owner(good[0], "client") == User("anna")


async def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    reviews = ReviewBudget(ApiServer(), clock)
    for number in range(3000):
        await reviews.owner(jwt("x", n=number), f"client {number}")
    assert len(reviews._refused) == len(reviews._spent) == 1024
