"""The composition root: everything with effects is created here once and passed on, typed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from oneseek_operator.clients.certificate_authority import Authority
from oneseek_operator.clients.followers import Followers, Key
from oneseek_operator.clients.kubernetes import Cluster
from oneseek_operator.clients.records import Records
from oneseek_operator.clients.sidecar import Sidecars
from oneseek_operator.reconcile.model import utc_now
from oneseek_operator.reconcile.pod_contacts import PodContacts
from oneseek_operator.settings import Settings

__all__ = ["Deps"]


@dataclass
class Deps:
    """What the handlers get, and what they remember of objects in this process."""

    settings: Settings
    cluster: Cluster
    sidecars: Sidecars
    records: Records
    authority: Authority
    now: Callable[[], datetime] = utc_now
    followers: Followers = field(init=False)
    flags: dict[Key, asyncio.Event] = field(default_factory=dict)
    """By object that a loop of this process keeps, which waits for its flag. Events name objects without a loop, too."""
    contacts: defaultdict[Key, PodContacts] = field(default_factory=lambda: defaultdict(PodContacts))
    """By model: what the loop remembers of its pods."""
    gone: set[str] = field(default_factory=set)
    """Uids of those that were removed without a deletion, because somebody had taken their finalizer off."""
    runs_of_model: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Names of the runs that events have shown, by namespace and model; only for waking them."""
    turns: defaultdict[tuple[str, str], asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """One lock a model, so that two of its runs never decide to start at the same moment."""

    def __post_init__(self) -> None:
        self.followers = Followers(self.wake)

    def wake(self, key: Key) -> None:
        """Have an object's loop reconcile, if it has one."""
        if flag := self.flags.get(key):
            flag.set()
