"""The composition root: everything with effects is made here once and handed down, typed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from oneseek_operator.clients.certificate_authority import Authority
from oneseek_operator.clients.followers import Followers
from oneseek_operator.clients.kubernetes import Cluster
from oneseek_operator.clients.records import Records
from oneseek_operator.clients.sidecar import Sidecars
from oneseek_operator.reconcile.model import PodContacts, utc_now
from oneseek_operator.settings import Settings
from oneseek_operator.wakeups import Key, Wakeups

__all__ = ["Deps"]


@dataclass
class Deps:
    """What the handlers are given.

    `kept`: the models that a loop of this process holds.
    `gone`: uids of objects that went while a loop holds them, without a deletion: somebody had taken their finalizer off.
    `runs_of_model`: names of the runs that events have shown, by (namespace, model); only for waking them.
    `untold`: what the loops remember of pods that do not answer, by model.
    `turns`: one lock a model, so that two of its runs never decide to start at the same moment.
    """

    settings: Settings
    cluster: Cluster
    sidecars: Sidecars
    records: Records
    authority: Authority
    wakeups: Wakeups = field(default_factory=Wakeups)
    now: Callable[[], datetime] = utc_now
    followers: Followers = field(init=False)
    contacts: defaultdict[Key, PodContacts] = field(default_factory=lambda: defaultdict(PodContacts))
    kept: set[Key] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    runs_of_model: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    turns: defaultdict[tuple[str, str], asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def __post_init__(self) -> None:
        self.followers = Followers(self.wakeups)
