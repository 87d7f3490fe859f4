"""Times as people type and read them. Pure: the time it is comes in as a value."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from oneseek_runtime.plugin.errors import CannotTellError

__all__ = ["age", "duration", "moment", "parse_time", "seconds_of", "stamp"]

_AGO = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_time(text: str, now: datetime) -> datetime:
    """`2026-03-01T12:00:00+01:00`, `2026-03-01 12:00` (UTC), `2026-03-01` (its start in UTC), or `90m` ago.

    Raises CannotTellError: it is none of these, or lies ahead.
    """
    if ago := _AGO.fullmatch(text):
        try:
            return now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        except OverflowError as error:
            raise CannotTellError(f"{text} is too long ago: there was no year then") from error
    found = moment(text)
    if found is None:
        forms = "2026-03-01T12:00:00Z, 2026-03-01 12:00 (UTC), 2026-03-01 or 90m (ago)"
        raise CannotTellError(f"{text!r} is no time; write it like {forms}")
    if found > now:
        raise CannotTellError(f"{stamp(found)} lies ahead: it is {stamp(now)}")
    return found


def seconds_of(text: str) -> float:
    """How long `30s`, `5m`, `1h30m` or a bare number of seconds is. Raises ValueError: it is none of these."""
    if text.isdecimal() and len(text) < 8:
        return float(text)
    if not (parts := _AGO.findall(text)) or "".join(map("".join, parts)) != text:
        raise ValueError(f"{text!r} is no duration")
    return float(sum(int(count) * _SECONDS[unit] for count, unit in parts))


def moment(text: str) -> datetime | None:
    """A time as objects and ledgers hold it; without a zone it is UTC. None where it is no time."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as the ledger writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(text: str, now: datetime) -> str:
    """How long ago that was, as `duration`; empty where it is no time."""
    then = moment(text)
    return "" if then is None else duration((now - then).total_seconds())


def duration(seconds: float) -> str:
    """The two largest units, as kubectl does: 45s, 3m12s, 5h2m, 2d3h."""
    left = max(0, int(seconds))
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _SECONDS[unit])
        parts.append((count, unit))
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return "".join(f"{count}{unit}" for index, (count, unit) in enumerate(parts[:2]) if count or index == 0)
