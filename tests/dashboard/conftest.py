"""One real sidecar, one real Chromium for all tests of the page; each test has a browser profile of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Request, async_playwright, expect

from support.browser import Visit, chromium
from support.dashboard import Dashboard, dashboard

SECONDS = 30  # the page looks every five; a busy machine takes its time
expect.set_options(timeout=SECONDS * 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    folder: Path = tmp_path_factory.mktemp("dashboard")
    async with dashboard(folder) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        found = await chromium(playwright)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(place: Dashboard, browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Visit]:
    await place.renew()
    options: dict[str, Any] = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}}
    context = await browser.new_context(**options | getattr(request, "param", {}))
    context.set_default_timeout(SECONDS * 1000)
    page = await context.new_page()
    found = Visit(place, context, page)

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.complaints.append(message.text)

    def asked(sent: Request) -> None:
        found.requests.append(sent.url)

    page.on("console", heard)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", asked)
    yield found
    await asyncio.wait_for(context.close(), SECONDS)
    assert not found.complaints, "the console is clean, the policy was kept"
    elsewhere = [url for url in found.requests if not url.startswith((place.url, "data:"))]
    assert not elsewhere, "nothing is asked of anybody but the service"
