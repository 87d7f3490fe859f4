"""The operator's certificate authorities: a successor in time, kept in a Secret, repaired if that is spoilt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oneseek_operator.certificates import Issued, kept, renewed_at, signer, with_successor
from oneseek_operator.clients.certificate_authority import SECRET, Authority
from support.world import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_authority_has_a_successor_in_time_that_is_trusted_before_it_signs() -> None:
    first = with_successor((), NOW)
    assert len(first) == 1
    assert signer(first, NOW) is first[0], "there is nobody else"
    life = first[0].until - NOW
    assert with_successor(first, NOW + life / 2) == first
    later = renewed_at(NOW, first[0].until)
    both = with_successor(first, later)
    assert (len(both), both[0]) == (2, first[0])
    assert signer(both, later + timedelta(hours=23)) is both[0], "not every pod has heard of the new one"
    assert signer(both, later + timedelta(hours=25)) is both[1]
    assert with_successor(both, first[0].until - timedelta(hours=1)) == both, (
        "the older one stays trusted until it ends"
    )
    assert kept(both, first[0].until) == both[1:]


def test_a_certificate_ends_no_later_than_who_signed_it() -> None:
    authority = Issued.authority(NOW)
    late = authority.until - timedelta(days=3)
    assert authority.leaf("a.b", late).until == authority.until
    assert authority.leaf("a.b", NOW).until == NOW + timedelta(days=90)


async def test_the_operator_s_authority_is_kept_and_followed_by_another_one_in_time() -> None:
    world, now = World(), datetime.now(UTC)
    first = await Authority(world, "system").view(now)
    assert await Authority(world, "system").view(now) == first, "another process reads it"
    running = Authority(world, "system")
    await running.view(now)
    before = world.writes.copy()
    await running.view(now + timedelta(days=365))
    assert world.writes == before, "idle costs nothing"
    later = now + timedelta(days=4 * 365)
    both = await running.view(later)
    assert both.fingerprints[0] == first.fingerprints[0]
    assert len(both.fingerprints) == 2
    assert running.issue("a.b", later)[0] == first.fingerprints[0]
    assert running.issue("a.b", later + timedelta(days=2))[0] == both.fingerprints[1]
    last = await running.view(now + timedelta(days=5 * 365 + 1))
    assert last.fingerprints == both.fingerprints[1:]


@pytest.mark.parametrize("spoilt", ["", "e30=", "!", "W3sia2V5IjogMX1d"])
async def test_an_authority_that_a_hand_has_spoilt_is_made_anew(spoilt: str) -> None:
    world, now = World(), datetime.now(UTC)
    first = await Authority(world, "system").view(now)
    world.objects[("Secret", "system", SECRET)]["data"]["authorities.json"] = spoilt
    again = await Authority(world, "system").view(now)
    assert len(again.fingerprints) == 1
    assert again != first
