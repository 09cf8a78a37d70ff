"""The report page, in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page
from plotly.offline import get_plotlyjs

from cli import html_report
from tests.browser.conftest import page_of
from tests.browser.stack import violations

Theme = Literal["light", "dark"]
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1440, "height": 900}
MEGABYTE = 10**6


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with more trades than it lists, as a file.

    It lists 60 of them, for the next 940 are the same line again, and are most of what is looked at
    in each theme and size.
    """
    file = tmp_path_factory.mktemp("page") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html_report, "TRADES_SHOWN", 60)
        file.write_text(page_of(3000), encoding="utf-8")
    return file


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
    with opened(chromium, page_file, theme, PHONE if size == "phone" else DESKTOP) as looked_at:
        yield looked_at


@contextmanager
def opened(
    chromium: Browser, file: Path, theme: Theme, size: dict[str, int]
) -> Iterator[tuple[Page, list[str]]]:
    context = chromium.new_context(color_scheme=theme, viewport=size, offline=True)  # type: ignore[arg-type]
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(file.as_uri())
    page.wait_for_selector("#plots .main-svg")
    yield page, errors
    context.close()


def test_anybody_can_use_it(page: tuple[Page, list[str]]) -> None:
    assert violations(page[0]) == ""


def fits(page: Page) -> bool:
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(wide <= window)


def test_it_fits_its_window(page: tuple[Page, list[str]]) -> None:
    assert fits(page[0])


def test_the_longest_figures_stay_in_their_cards(page: tuple[Page, list[str]]) -> None:
    beyond = """cards => cards.filter(card => {
        const figure = card.querySelector("b"), before = figure.textContent;
        figure.textContent = "+12,345.67 %";
        const wide = card.scrollWidth > card.clientWidth;
        figure.textContent = before;
        return wide;
    }).length"""
    assert page[0].locator(".card").count() >= 7
    assert page[0].eval_on_selector_all(".card", beyond) == 0


def test_its_scripts_do_not_complain(page: tuple[Page, list[str]]) -> None:
    assert page[1] == []


def test_the_longest_list_of_trades_is_shown_like_any_other(
    chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of(3000), encoding="utf-8")
    with opened(chromium, file, "light", PHONE) as (page, errors):
        assert page.locator(".trades tbody tr").count() == html_report.TRADES_SHOWN
        assert fits(page)
        assert errors == []


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
