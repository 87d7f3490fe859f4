"""The composition root: everything with effects is made here once and handed down, typed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from oneseek_operator.cluster.client import Cluster
from oneseek_operator.records import Records
from oneseek_operator.settings import Settings
from oneseek_operator.sidecars import Sidecars
from oneseek_operator.wakeups import Key, Wakeups

__all__ = ["Deps"]


@dataclass
class Deps:
    """What the handlers are given.

    `kept`: the models that a loop of this process holds.
    `runs_of_model`: names of the runs that events have shown, by (namespace, model); only for waking them.
    `turns`: one lock a model, so that two of its runs never decide to start at the same moment.
    """

    settings: Settings
    cluster: Cluster
    sidecars: Sidecars
    records: Records
    wakeups: Wakeups = field(default_factory=Wakeups)
    kept: set[Key] = field(default_factory=set)
    runs_of_model: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    turns: defaultdict[tuple[str, str], asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
