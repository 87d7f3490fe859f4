"""A sidecar that serves a version, and one that serves the base model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.legacy import DNA, Service, service


@pytest.fixture
async def version(tmp_path: Path) -> AsyncIterator[Service]:
    async for item in service(tmp_path, dna=DNA):
        yield item


@pytest.fixture
async def unlimited(tmp_path: Path) -> AsyncIterator[Service]:
    async for item in service(tmp_path, dna=DNA, rate_limits=False):
        yield item


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[Service]:
    async for item in service(tmp_path, dna=None):
        yield item
