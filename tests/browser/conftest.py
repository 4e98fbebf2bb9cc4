"""Bring in Chromium, and mark every test here `packaging`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.browser.tools import PROJECT, Tools, tools_or_skip


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this folder, before `-m` selects."""
    item.add_marker(pytest.mark.packaging)


@pytest.fixture(scope="session")
def tools() -> Tools:
    found = tools_or_skip()
    sys.path.append(str(found.folder))
    shots = PROJECT / ".reports" / "page"
    shots.mkdir(parents=True, exist_ok=True)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(tools: Tools) -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(tools.chromium), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(browser: Any) -> AsyncIterator[Any]:
    """Give the browser, to which a test adds contexts: each has cookies, pages and a cache of its own."""
    yield browser
    for context in browser.contexts:
        await context.close()
