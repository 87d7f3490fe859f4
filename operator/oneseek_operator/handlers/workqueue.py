"""The loop that holds one object at its spec: wait for a wake-up, reconcile, mind the errors."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from oneseek_operator.deps import Deps
from oneseek_operator.errors import ClusterError, ConflictError, SidecarError
from oneseek_operator.wakeups import Key

__all__ = ["hold"]

log = logging.getLogger(__name__)

_LONGEST = 3600.0  # seconds: an hourly look, of reads only, in case an event was lost
_BACKOFF_FIRST, _BACKOFF_LAST = 0.5, 30.0
_TELL_AGAIN, _TELL_AGAIN_LAST = 0.05, 1.0


async def hold(key: Key, stopped: object, deps: Deps, reconcile: Callable[[], Awaitable[float | None]]) -> None:
    """Reconcile on every wake-up until `stopped` is true: the object is deleted, or the operator ends."""
    failures = 0
    deps.wakeups.begin(key)
    while not stopped:
        try:
            wait = await reconcile()
            failures = 0
        except ConflictError:
            wait = 0.0  # somebody else wrote meanwhile: read again
        except SidecarError as error:
            failures += 1  # a pod that has to know first was not told: its model's status waits for it
            wait = min(_TELL_AGAIN * 2 ** min(failures, 10), _TELL_AGAIN_LAST)
            log.warning("%s %s/%s: %s; again in %.1f s", *key, error, wait)
        except (ClusterError, OSError) as error:
            failures += 1
            wait = _backoff(failures, error)
            log.warning("%s %s/%s: %s; again in %.1f s", *key, error, wait)
        except ValidationError as error:
            failures += 1
            wait = _BACKOFF_LAST
            log.error(  # noqa: TRY400 - the sentence says all; a traceback of pydantic says less
                "%s %s/%s: cannot be read as this operator knows it: %s", *key, error
            )
        except Exception:
            failures += 1
            wait = _backoff(failures, None)
            log.exception("%s %s/%s: a defect; again in %.1f s", *key, wait)
        if wait != 0.0 and not stopped:
            await deps.wakeups.wait(key, _LONGEST if wait is None else wait)


def _backoff(failures: int, error: Exception | None) -> float:
    asked = error.retry_after if isinstance(error, ClusterError) else None
    grown = min(_BACKOFF_FIRST * 2 ** min(failures, 10), _BACKOFF_LAST)
    spread: float = grown * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, guards nothing
    return max(asked or 0.0, spread)
