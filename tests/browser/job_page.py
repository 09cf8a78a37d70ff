"""The page of a finished job, as tests read and use it."""

import time
from typing import Any

from playwright.sync_api import Page, expect

from tests.api.running import Caller
from tests.browser.stack import SECONDS, Visit

HOSTILE = '<img src=x onerror="document.title=1">&amp;'
KEPT = 3
CHART = "#drawer .chart path.box"


def read(visit: Visit, job_id: str, more: str = "") -> Page:
    page = visit.open(f"/jobs/{job_id}{more}")
    expect(page.locator("#job")).to_have_attribute("aria-busy", "false")
    return page


def lean(user: Caller, job_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = user.get(
        f"/backtests/jobs/{job_id}/top", params={"limit": 300, "include": "none"}
    ).json()["items"]
    return rows


def ranks(page: Page) -> list[int]:
    return [int(text) for text in page.locator(".top-rows tbody a").all_inner_texts()]


def open_row(page: Page, rank: int) -> None:
    page.get_by_role("link", name=f"Open the variant of rank {rank}", exact=True).click()
    expect(page.locator("#drawer-title")).to_contain_text(f"Rank {rank}")


def drawn(page: Page) -> None:
    page.locator(CHART).first.wait_for(state="attached")


def until(page: Page, expression: str) -> None:
    """Wait for an expression; a page that allows no eval lets playwright not wait for it itself."""
    deadline = time.monotonic() + SECONDS
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def resources(page: Page) -> str:
    names = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    return "\n".join(names)
