"""Concurrent calls. The first error cancels the others and is raised as it is, not in a group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

__all__ = ["gather", "task_group"]

_MOST = 16  # calls at once

Result = TypeVar("Result")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A group of tasks; all have ended when the block is left."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def gather(calls: Sequence[Awaitable[Result]]) -> list[Result]:
    """The results of the calls, in order."""
    turns = asyncio.Semaphore(_MOST)

    async def one(call: Awaitable[Result]) -> Result:
        async with turns:
            return await call

    async with task_group() as group:
        tasks = [group.create_task(one(call)) for call in calls]
    return [task.result() for task in tasks]
