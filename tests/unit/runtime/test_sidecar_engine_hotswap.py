"""HotSwap: the ConfigMap is the truth about what answers; an order is believed only as far as it may be ahead of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.swap import SwapRequest, WantedVersion
from oneseek_runtime.sidecar.engine import hotswap as module
from oneseek_runtime.sidecar.engine.completion import Completion
from oneseek_runtime.sidecar.engine.hotswap import Swapper
from oneseek_runtime.sidecar.errors import OrderRefusedError

ONE, TWO, THREE = (WantedVersion(dna=name, digest="sha256:" + name[0] * 64) for name in ("aa", "bb", "cc"))
LATE = module._CONFIRM_SECONDS + 1
SERVING = ServingSettings(
    model="m", namespace="n", family="f", base_name="base", base_path="/b", verified_path="/v", wanted_path="/w"
)


class Pod:
    """An engine and a verifier that do at once what they are told, a ConfigMap's file, and a clock."""

    def __init__(self, noted: WantedVersion | None = None) -> None:
        self.file: WantedVersion | None = said(ONE, 7)
        self.now, self.noted, self.models_loaded = 0.0, noted, ["base"]
        self.swapper = Swapper(SERVING, self, self, said(ONE, 7), file=lambda: self.file, clock=lambda: self.now)

    async def settled(self) -> str:
        """What answers once nothing is left to do."""
        for _ in range(8):
            await self.swapper._step()
        return self.swapper.alias.target

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        return Completion(model=body["model"], text="x", tokens=1, confidence=1.0)

    async def models(self) -> tuple[str, ...]:
        return tuple(self.models_loaded)

    async def load(self, name: str, path: str) -> None:
        self.models_loaded.append(name)

    async def unload(self, name: str) -> None:
        self.models_loaded.remove(name)

    async def copy(self, wanted: WantedVersion) -> VerifyReport:
        return VerifyReport(ok=True, reason="Verified", message="")

    async def use(self, wanted: WantedVersion) -> None:
        self.noted = wanted

    async def in_use(self) -> WantedVersion | None:
        return self.noted


def said(version: WantedVersion, serial: int) -> WantedVersion:
    return version.model_copy(update={"serial": serial})


def order(version: WantedVersion, serial: int, *, hold: bool = False) -> SwapRequest:
    return SwapRequest(**said(version, serial).model_dump(), hold=hold)


async def test_an_order_answers_before_its_file_is_there_and_goes_on_once_it_is() -> None:
    pod = Pod()
    assert await pod.settled() == "aa"
    pod.swapper.want(order(TWO, 8))
    assert await pod.settled() == "bb", "nobody waits for the kubelet"
    pod.file = said(TWO, 8)
    assert await pod.settled() == "bb"
    pod.now = LATE
    assert await pod.settled() == "bb"


@pytest.mark.parametrize("serial", [2**53, 7 + module._SERIAL_LEAD + 1])
async def test_a_serial_far_beyond_the_configmap_s_changes_nothing_and_stands_in_no_later_order_s_way(
    serial: int,
) -> None:
    pod = Pod()
    await pod.settled()
    with pytest.raises(OrderRefusedError, match=f"serial {serial} is far beyond the ConfigMap's, 7"):
        pod.swapper.want(order(TWO, serial))
    with pytest.raises(OrderRefusedError):
        pod.swapper.want(order(TWO, serial, hold=True))
    assert await pod.settled() == "aa"
    pod.swapper.want(order(THREE, 8))
    assert await pod.settled() == "cc"


@pytest.mark.parametrize("serial", [0, 6, 7])
async def test_an_order_that_the_configmap_contradicts_is_refused(serial: int) -> None:
    pod = Pod()
    await pod.settled()
    with pytest.raises(OrderRefusedError, match=f"serial 7 names aa, and bb was ordered under {serial}"):
        pod.swapper.want(order(TWO, serial))
    assert await pod.settled() == "aa"


async def test_of_two_orders_on_credit_the_one_of_the_higher_serial_counts() -> None:
    pod = Pod()
    await pod.settled()
    pod.swapper.want(order(TWO, 9))
    for serial in (8, 9):
        with pytest.raises(OrderRefusedError, match="serial 9 names bb, and cc was ordered under"):
            pod.swapper.want(order(THREE, serial))
    pod.swapper.want(order(THREE, 8, hold=True))
    assert await pod.settled() == "bb"
    assert pod.swapper.state.dna == "bb"
    pod.swapper.want(order(THREE, 10))
    assert await pod.settled() == "cc"


async def test_an_order_that_no_configmap_ever_bore_out_is_taken_back() -> None:
    pod = Pod()
    await pod.settled()
    pod.swapper.want(order(TWO, 500))
    assert await pod.settled() == "bb"
    pod.now = LATE
    assert await pod.settled() == "aa", "what the ConfigMap says"
    pod.swapper.want(order(THREE, 8))
    assert await pod.settled() == "cc", "and nothing of the forged serial is left"


async def test_a_file_that_comes_up_with_another_version_is_right() -> None:
    pod = Pod()
    await pod.settled()
    pod.file = said(TWO, 8)
    assert await pod.settled() == "bb", "the order got lost"
    pod.swapper.want(order(THREE, 9))
    await pod.settled()
    pod.file = said(ONE, 9)
    assert await pod.settled() == "aa"


async def test_a_configmap_that_a_hand_has_spoilt_and_the_operator_wrote_anew_is_followed() -> None:
    pod = Pod()
    await pod.settled()
    pod.file = None
    assert await pod.settled() == "aa"
    pod.file = said(TWO, 1)
    assert await pod.settled() == "bb"
    pod.swapper.want(order(ONE, 2))
    assert await pod.settled() == "aa"


async def test_what_is_held_back_waits_as_long_as_it_takes_and_answers_nobody() -> None:
    pod = Pod()
    await pod.settled()
    pod.swapper.want(order(TWO, 8))
    await pod.settled()
    pod.swapper.want(order(THREE, 8, hold=True))
    await pod.settled()
    pod.file = said(TWO, 8)
    pod.now = 10 * LATE
    assert await pod.settled() == "bb"
    assert (pod.swapper.state.phase, pod.swapper.state.dna) == ("Ready", "cc")


async def test_over_a_restart_a_note_is_believed_as_an_order_is() -> None:
    moved_on = Pod(noted=said(TWO, 8))
    await moved_on.swapper._begin()
    assert await moved_on.settled() == "bb"
    moved_on.now = LATE
    assert await moved_on.settled() == "aa"
    forged = Pod(noted=said(TWO, 2**53))
    await forged.swapper._begin()
    assert await forged.settled() == "aa"
