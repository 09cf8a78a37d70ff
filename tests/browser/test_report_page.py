"""The report page, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from plotly.offline import get_plotlyjs

from tests.browser.conftest import page_of

Theme = Literal["light", "dark"]
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1440, "height": 900}
MEGABYTE = 10**6


@pytest.fixture(
    scope="module",
    params=[(theme, size) for theme in ("light", "dark") for size in ("phone", "desktop")],
    ids="-".join,
)
def page(
    request: pytest.FixtureRequest, chromium: Browser, page_file: Path
) -> Iterator[tuple[Page, list[str]]]:
    """The opened page, and what its scripts complained about."""
    theme, size = request.param
    context = chromium.new_context(
        color_scheme=theme, viewport=PHONE if size == "phone" else DESKTOP, offline=True
    )
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.goto(page_file.as_uri())
    opened.wait_for_selector("#plots .main-svg")
    yield opened, errors
    context.close()


def test_anybody_can_use_it(page: tuple[Page, list[str]]) -> None:
    found = Axe().run(page[0])
    assert not found.response["violations"], found.generate_report()


def test_it_fits_its_window(page: tuple[Page, list[str]]) -> None:
    wide, window = page[0].evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window


def test_its_scripts_do_not_complain(page: tuple[Page, list[str]]) -> None:
    assert page[1] == []


def test_the_other_theme_is_one_press_away(page: tuple[Page, list[str]]) -> None:
    button = page[0].get_by_role("button", name="theme")
    shades = []
    for _ in range(3):
        shades.append(page[0].evaluate("getComputedStyle(document.body).backgroundColor"))
        button.press("Enter")
    button.press("Enter")
    assert shades[0] != shades[1]
    assert shades[0] == shades[2]


def test_it_is_small_however_many_trades_there_are() -> None:
    page = page_of(17_000)
    assert len(page.encode()) - len(get_plotlyjs().encode()) < MEGABYTE


def test_it_says_which_trades_it_lists() -> None:
    assert "1,000 of 17,000 trades" in page_of(17_000)
    assert " of 40 trades" not in page_of(40)


def test_the_verdict_comes_before_the_figures() -> None:
    page = page_of(40)
    assert page.index("lost money") < page.index("Total return")


def test_what_is_infinite_is_not_called_undefined() -> None:
    assert "∞" in page_of(40)
