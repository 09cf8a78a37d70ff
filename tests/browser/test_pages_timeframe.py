"""The timeframe of a block: in the form of a request, and where a job is shown."""

from typing import Any

from playwright.sync_api import expect

from tests.browser.stack import SWEEP, Stack, Visit
from tests.browser.test_pages_new import add, document, field, ready, write

PATH = "template.indicator_grids[0].timeframe"
SMA: dict[str, Any] = {"indicator_id": "ma.sma", "params": {"window": [5, 9]}, "timeframe": "1h"}
LARGER: dict[str, Any] = SWEEP | {"template": SWEEP["template"] | {"indicator_grids": [SMA]}}


def offered(page: Any) -> list[str]:
    texts: list[str] = field(page, PATH).locator("option").all_inner_texts()
    return texts


def test_only_multiples_of_the_timeframe_are_offered(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    field(page, "template.timeframe").select_option("4h")
    assert offered(page) == ["4h (the job's)", "12h", "1d"]
    field(page, PATH).select_option("1d")
    assert document(page)["template"]["indicator_grids"][0]["timeframe"] == "1d"
    expect(page.locator(".product")).to_be_visible()
    field(page, PATH).select_option("")
    assert "timeframe" not in document(page)["template"]["indicator_grids"][0]
    field(page, "template.timeframe").select_option("1d")
    expect(page.locator(f'[data-path="{PATH}"]')).to_have_count(0)
    assert visit.complaints == []


def test_a_timeframe_that_is_no_multiple_any_more_is_shown_with_what_is_wrong(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    write(page, LARGER)
    expect(field(page, PATH)).to_have_value("1h")
    field(page, "template.timeframe").select_option("4h")
    expect(field(page, PATH)).to_have_value("1h")
    expect(page.locator(f'[data-path="{PATH}"] .error')).to_contain_text("choose one of 12h, 1d")


def test_a_job_is_shown_and_duplicated_with_the_timeframes_of_its_blocks(
    stack: Stack, visit: Visit
) -> None:
    job = stack.finished(visit.user, LARGER)
    page = visit.open(f"/jobs/{job}")
    expect(page.locator("#name")).to_contain_text("ma.sma 1h")
    first = page.locator(".top-rows tbody tr").first
    expect(first).to_be_visible()
    shown = " ".join(page.locator(".top-rows thead").inner_text().split())
    assert "sma 1h window" in shown.lower()
    first.locator("td").nth(1).click()
    expect(page.locator(".drawer li", has_text="sma 1h")).to_contain_text("window")
    page = ready(visit.open(f"/new?from={job}"))
    expect(field(page, PATH)).to_have_value("1h")
    assert visit.complaints == []
