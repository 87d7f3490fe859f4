"""Debian's Chromium, driven by Playwright; no browser is downloaded."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field

from playwright.async_api import Browser, BrowserContext, Page, Playwright

from support.dashboard import Dashboard


async def chromium(playwright: Playwright) -> Browser:
    """A browser without a window. ONESEEK_CHROMIUM names another one than the machine's own."""
    path = os.environ.get("ONESEEK_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "there is no Chromium: `make dashboard-test` installs it (Debian's package chromium)"
    # As root there is no sandbox to be had; /dev/shm is small in containers.
    return await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])


@dataclass
class Visit:
    """A page that is open, and what it did."""

    place: Dashboard
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def to(self, view: str) -> Page:
        """Open a view; it has loaded what it shows."""
        await self.page.goto(f"{self.place.page}#/{view}")
        await self.page.locator("main .card").first.wait_for()
        return self.page

    def expect_complaint(self, part: str) -> None:
        """The browser itself writes failed requests to the console; this one was meant."""
        found = [text for text in self.complaints if part in text]
        assert found, self.complaints
        self.complaints = [text for text in self.complaints if part not in text]
