"""The pictures in docs/screenshots, taken of the real page: `make screenshots`.

PYTHONPATH=core:operator:runtime:dev:tests python -m support.screenshots [FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright

from support.asgi import REPOSITORY
from support.browser import chromium
from support.dashboard import V3, dashboard

FOLDER = REPOSITORY / "docs" / "screenshots"


async def _overview(page: Page) -> None:
    await page.get_by_role("region", name="Quality").get_by_text("75%").first.wait_for()


async def _versions(page: Page) -> None:
    await page.get_by_role("row").filter(has_text=V3).wait_for()


async def _training(page: Page) -> None:
    await page.locator("canvas").wait_for()


async def _ask(page: Page) -> None:
    await page.locator("#question").fill("Vem är du?")
    await page.keyboard.press("Control+Enter")
    await page.get_by_role("article").nth(1).wait_for()


async def _ledger(page: Page) -> None:
    await page.get_by_role("row").filter(has_text="quarantine").wait_for()
    await page.locator(".verify button").click()
    await page.locator(".notice.good").wait_for()


SHOTS = {
    "overview": ("overview", _overview, {}),
    "versions-dark": ("versions", _versions, {"color_scheme": "dark"}),
    "training": ("training", _training, {}),
    "ask-dark": ("ask", _ask, {"color_scheme": "dark", "locale": "sv-SE"}),
    "ledger": ("ledger", _ledger, {}),
    "phone": ("training", _training, {"viewport": {"width": 390, "height": 844}}),
}


async def take(folder: Path) -> None:
    """Every picture, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="oneseek-screenshots-") as scratch:
        async with dashboard(Path(scratch)) as place, async_playwright() as playwright:
            browser = await chromium(playwright)
            for name, (view, ready, options) in SHOTS.items():
                told = {"locale": "en-GB", "viewport": {"width": 1200, "height": 860}} | options
                context = await browser.new_context(**told)
                page = await context.new_page()
                await page.goto(f"{place.page}#/{view}")
                await ready(page)
                await page.wait_for_load_state("networkidle")
                await page.screenshot(path=folder / f"{name}.png")
                await context.close()
            await browser.close()


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
