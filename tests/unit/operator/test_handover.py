"""What answers is what the status says, whatever a node's proxy still does and wherever the operator is killed.

Clients of the simulated cluster have a way to every pod that a Service ever selected: a connection that is kept alive, or
a proxy that never hears of a flip. After every write of the operator the world looks whether a request that begins now
could be answered by anything but what the status names, or what has begun to take over from it (`World.look`).
"""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oneseek_core import names
from oneseek_operator.reconcile.pod_contacts import PodContacts
from oneseek_operator.rollout import drain, handover
from support.choices import dna_of, status_of
from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.world import World
from support.world.api_server import Crash
from support.world.clients import REFUSED, WAITS, current_of

Step = Callable[[World], None]
EXAMPLES = 200 if os.environ.get("ONESEEK_PROVE_COUNT") else 10


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch, no_settling: None) -> None:
    """What was left behind stays, as it does while a version is watched."""
    monkeypatch.setattr(drain, "warm_seconds", lambda _: 3600)


def asked(**request: str) -> Step:
    def step(world: World) -> None:
        world.annotate_as_user("OneSeekModel", "zero", **request)

    step.__name__ = "_".join(f"{verb} {value}" for verb, value in request.items())
    return step


def tamper(world: World) -> None:
    """The verifiers refuse what answers."""
    world.tampered.add(status_of(world).get("current", {}).get("dna", "nothing"))


def fail(world: World) -> None:
    """What answers fails while it is watched."""
    world.counts[status_of(world).get("current", {}).get("dna", "nothing")] = (100, 50)


def certify(world: World) -> None:
    """Another version is certified."""
    count = sum(key[0] == "TrainingRun" for key in world.objects)
    world.apply_as_user(run_manifest(f"more-{count}"))


def retemplate(world: World) -> None:
    """Git changes the serving template: the same version, by other pods."""
    item = world.objects[("OneSeekModel", "team", "zero")]
    serving = {
        **item["spec"].get("serving", {}),
        "engine": {"nodeSelector": {"gpu": str(item["metadata"]["generation"])}},
    }
    world.apply_as_user({**item, "spec": {**item["spec"], "serving": serving}})


STEPS: Sequence[Step] = (
    asked(rollback="previous"),
    asked(rollback="base"),
    asked(promote="candidate"),
    asked(release="all"),
    asked(reset="RESET"),
    tamper,
    fail,
    certify,
    retemplate,
)
WAYS = [("BlueGreen", 1), ("BlueGreen", 3), ("HotSwap", 1), ("Auto", 3)]


_READY: dict[tuple[str, int, int], World] = {}


async def ready(strategy: str, replicas: int, versions: int = 2) -> World:
    """The last of some versions answers, and clients have a way to every pod that ever answered."""
    key = (strategy, replicas, versions)
    if key not in _READY:
        _READY[key] = await answering(strategy, replicas, versions)
    return copy.deepcopy(_READY[key])


async def answering(strategy: str, replicas: int, versions: int) -> World:
    world = World()
    # The stories share a world, and on a busy machine they take longer than a version is watched by default.
    promotion = {"strategy": strategy, "watch": {"seconds": 3600}}
    world.apply_as_user(model_manifest(promotion=promotion, serving={"replicas": replicas}))
    await settle(world)
    world.looking = True
    for name in ("first", "second", "third")[:versions]:
        world.apply_as_user(run_manifest(name))
        await settle(world)
    return world


async def at_rest(world: World) -> None:
    """It comes to rest, and everybody is answered by what the status says."""
    await settle(world, rounds=120)
    current = current_of(status_of(world))
    found = {pod: world.outcome(pod) for pod in world.reached if ("Pod", "team", pod) in world.objects}
    assert set(found.values()) == {current}, (current, found)
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", condition(world, "OneSeekModel", "zero")


async def told(steps: Sequence[tuple[Step, int]], strategy: str, replicas: int, crash: tuple[int, bool] | None) -> None:
    world = await ready(strategy, replicas)
    if crash:
        world.crash_at, world.crash_after_effect = world._mutations + crash[0], crash[1]
    for step, rounds in steps:
        step(world)
        for _ in range(rounds):
            try:
                await round_trip(world)
            except Crash:
                world.crash_at = None
    try:
        await settle(world, rounds=120)
    except Crash:
        world.crash_at = None
    await at_rest(world)


@pytest.mark.parametrize(("strategy", "replicas"), WAYS)
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 6)), min_size=1, max_size=5),
    crash=st.none() | st.tuples(st.integers(1, 60), st.booleans()),
)
@settings(max_examples=EXAMPLES, phases=(Phase.explicit, Phase.generate))
def test_no_request_is_answered_by_another_version_whatever_happens_when(
    strategy: str, replicas: int, steps: list[tuple[Step, int]], crash: tuple[int, bool] | None
) -> None:
    asyncio.run(told(steps, strategy, replicas, crash))


STORIES: dict[str, Sequence[Step]] = {
    "promote": (certify,),
    "rollback": (asked(rollback="previous"),),
    "release": (asked(rollback="previous"), asked(release="all")),
    "reset": (asked(reset="RESET"),),
    "tamper": (tamper,),
    "watch": (fail,),
    "template": (retemplate,),
}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize(("strategy", "replicas"), WAYS)
async def test_a_crash_at_any_write_of_a_flip_lets_nothing_else_answer(
    story: str, strategy: str, replicas: int
) -> None:
    async def run(at: int | None, *, after: bool) -> int:
        world = await ready(strategy, replicas)
        start = world._mutations
        if at is not None:
            world.crash_at, world.crash_after_effect = start + at, after
        for step in STORIES[story]:
            step(world)
            for _ in range(3):
                try:
                    await settle(world, rounds=80)
                    break
                except Crash:
                    world.crash_at = None
        await at_rest(world)
        assert REFUSED not in world.seen, "a request fails"
        assert WAITS not in world.seen or story in ("tamper", "watch"), "a request waits although nothing is barred"
        return world._mutations - start

    total = await run(None, after=False)
    assert total > 3
    for at in range(1, total + 1, 1 if EXAMPLES > 10 else 13):
        for after in (False, True):
            await run(at, after=after)


def left(world: World) -> str:
    """The pod of the first version, which was left behind."""
    first = dna_of(world, "first")
    pods = [pod["metadata"] for pod in world.serving_pods()]
    return str(next(meta["name"] for meta in pods if meta["annotations"][names.ANNOTATION_DNA] == first))


async def flipping(world: World) -> None:
    """A second version is certified and proved."""
    world.apply_as_user(run_manifest("second"))
    for _ in range(20):
        await round_trip(world)


@pytest.mark.parametrize("how", ["silent", "deaf"])
async def test_a_pod_that_cannot_be_told_is_waited_for_and_then_deleted(how: str) -> None:
    world = await ready("BlueGreen", 1, versions=1)
    first, old = dna_of(world, "first"), left(world)
    if how == "silent":
        world.quiet[old] = False
    else:
        world.deaf.add(old)
    await flipping(world)
    assert current_of(status_of(world)) == first, "the status waits for it"
    if how == "silent":
        told = condition(world, "OneSeekModel", "zero", names.RECONCILING)
        assert told["reason"] == names.HANDING_OVER
        assert f"pod {old} does not answer" in told["message"]
    uid = world.objects[("Pod", "team", old)]["metadata"]["uid"]
    for seconds in (5, 11):
        world.ahead = timedelta(seconds=seconds)
        await round_trip(world)
        there = world.objects.get(("Pod", "team", old), {}).get("metadata", {}).get("uid") == uid
        assert there == (seconds < 10)
    assert any(reason == names.POD_NOT_TOLD and old in message for _, reason, message in world.events)
    world.quiet.clear()
    world.deaf.clear()
    await at_rest(world)
    assert current_of(status_of(world)) == dna_of(world, "second")


async def test_a_pod_at_which_nobody_listens_any_more_is_deleted_before_it_can_come_back() -> None:
    world = await ready("BlueGreen", 1, versions=1)
    old = left(world)
    world.quiet[old] = True
    uid = world.objects[("Pod", "team", old)]["metadata"]["uid"]
    delete, gone = world.delete, []

    async def noting(kind: str, namespace: str, name: str, **more: Any) -> None:
        await delete(kind, namespace, name, **more)
        gone.append((kind, name, more.get("uid")))
        world.quiet.pop(name, None)

    world.delete = noting  # type: ignore[method-assign]
    await flipping(world)
    assert ("Pod", old, uid) in gone
    await at_rest(world)


async def test_an_operator_of_which_the_network_has_not_heard_yet_takes_no_refused_connection_for_an_end() -> None:
    """A network that enforces policies refuses it as a pod does at which nobody listens."""
    world = await ready("BlueGreen", 1, versions=1)
    old = left(world)
    uid = world.objects[("Pod", "team", old)]["metadata"]["uid"]
    world.contacts = PodContacts()
    world.quiet[old] = True
    await flipping(world)
    assert world.objects[("Pod", "team", old)]["metadata"]["uid"] == uid
    assert current_of(status_of(world)) == dna_of(world, "first"), "the status waits for its word"
    world.quiet.clear()
    await at_rest(world)
    assert world.objects[("Pod", "team", old)]["metadata"]["uid"] == uid


async def test_a_pod_that_never_had_a_client_is_not_waited_for() -> None:
    world = await ready("BlueGreen", 1, versions=1)
    old = left(world)
    pod = world.objects[("Pod", "team", old)]
    world.quiet[old] = True
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    pod["status"]["containerStatuses"] = [{"name": "sidecar", "restartCount": 0, "state": {"running": {}}}]
    world.reached.discard(old)
    await flipping(world)
    assert current_of(status_of(world)) == dna_of(world, "second")
    assert ("Pod", "team", old) in world.objects


async def test_a_pod_that_takes_no_order_once_all_is_done_holds_nothing_up() -> None:
    world = await ready("BlueGreen", 1)
    old = left(world)
    del world.handovers[old]  # a pod in its place, which no client has a way to
    world.reached.discard(old)
    world.deaf.add(old)
    world.apply_as_user(model_manifest(promotion={"strategy": "BlueGreen"}, serving={"replicas": 2}))
    await settle(world)
    assert len(world.behind()) == 2
    assert status_of(world)["replicas"] == 2
    world.deaf.clear()
    await at_rest(world)
    assert old in world.handovers


async def test_pods_of_the_release_before_let_their_clients_go() -> None:
    world = await ready("BlueGreen", 1, versions=1)
    world.looking = False  # they can pass nothing on
    old = left(world)
    world.of_before.add(old)
    await flipping(world)
    assert current_of(status_of(world)) == dna_of(world, "second")
    assert world.draining == {old}
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert current_of(status_of(world)) == dna_of(world, "first")
    assert world.draining == set()


async def test_the_status_waits_for_an_answer_through_the_service_and_says_whose_it_got() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    world.frozen = []
    for _ in range(20):
        await round_trip(world)
    ready_said = condition(world, "OneSeekModel", "zero")
    assert (ready_said["status"], ready_said["reason"]) == ("False", names.HANDING_OVER)
    assert "a fresh connection through the Service was not answered: connection refused" in ready_said["message"]
    world.frozen = None
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING


async def test_a_frozen_proxy_holds_up_no_flip_since_the_old_pods_pass_requests_on() -> None:
    world = await ready("BlueGreen", 3)
    world.frozen = world.behind()
    for request in ({"rollback": "previous"}, {"release": "all"}, {"rollback": "base"}):
        world.annotate_as_user("OneSeekModel", "zero", **request)
        await settle(world)
        assert await world.served("zero") == (
            current_of(status_of(world)) if "dna" in status_of(world).get("current", {}) else "tiny"
        )
    await at_rest(world)


async def test_what_a_person_goes_back_from_answers_until_the_other_one_does() -> None:
    world = await ready("BlueGreen", 1)
    first, second = dna_of(world, "first"), dna_of(world, "second")
    for key in [key for key in world.objects if key[0] == "Deployment" and key[2] != deployment_of(world, second)]:
        world.remove(world.objects[key])  # the first version's pods must come up again
        for pod in [item for item in world.serving_pods() if item["metadata"]["name"].startswith(f"{key[2]}-")]:
            world.remove(pod)
    world.pod_statuses[first] = {"conditions": [{"type": "Ready", "status": "False"}]}
    world.annotate_as_user("OneSeekModel", "zero", rollback=first)
    await settle(world)
    status = status_of(world)
    assert (current_of(status), status["quarantine"]) == (second, [])
    assert status["request"]["outcome"] == "Pending"
    assert {world.outcome(pod) for pod in world.behind()} == {second}, "nobody waits"
    world.pod_statuses[first] = {"conditions": [{"type": "Ready", "status": "True"}]}
    await at_rest(world)
    status = status_of(world)
    assert (current_of(status), [item["dna"] for item in status["quarantine"]]) == (first, [second])


def deployment_of(world: World, dna: str) -> str:
    """The Deployment of a version."""
    found = [item for (kind, _, _), item in world.objects.items() if kind == "Deployment"]
    return str(
        next(item["metadata"]["name"] for item in found if item["metadata"]["annotations"][names.ANNOTATION_DNA] == dna)
    )


async def test_a_tampered_version_answers_nobody_while_the_one_before_comes_up() -> None:
    world = await ready("BlueGreen", 1)
    first, second = dna_of(world, "first"), dna_of(world, "second")
    for key in [key for key in world.objects if key[0] == "Deployment" and key[2] != deployment_of(world, second)]:
        world.remove(world.objects[key])
    world.pod_statuses[first] = {"conditions": [{"type": "Ready", "status": "False"}]}
    world.tampered.add(second)
    await settle(world)
    assert [item["dna"] for item in status_of(world)["quarantine"]] == [second]
    assert {world.outcome(pod) for pod in world.behind()} == {WAITS}
    said = condition(world, "OneSeekModel", "zero")
    assert (said["status"], said["reason"]) == ("False", names.HANDING_OVER)
    assert f"{second} may not answer any more: new requests wait until {first} is up" in said["message"]
    world.pod_statuses[first] = {"conditions": [{"type": "Ready", "status": "True"}]}
    await at_rest(world)
    assert current_of(status_of(world)) == first


async def test_the_looks_can_see_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without handovers the same stories are refused by the world."""
    world = await ready("BlueGreen", 1, versions=1)
    monkeypatch.setattr(handover, "orders", lambda *_: [])
    monkeypatch.setattr(handover, "waiting", lambda *_: [])
    with pytest.raises(AssertionError, match="answers, where"):
        await flipping(world)
