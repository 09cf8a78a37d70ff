"""Jobs and variants side by side, in a real browser against the running product."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.api.running import Caller
from tests.browser.stack import DESKTOP, HOURLY, PHONE, SWEEP, Stack, Visit

NAMES = ("<i>one</i>", "two")


@pytest.fixture(scope="module")
def job_ids(stack: Stack, owner: Caller) -> list[str]:
    """Two sweeps that differ in their range."""
    later = {"start": "2024-01-20", "end": "2024-02-20"}
    return [
        stack.finished(owner, HOURLY, name=NAMES[0], top_trades_n=2),
        stack.finished(owner, HOURLY, name=NAMES[1], top_trades_n=2, time_range=later),
    ]


@pytest.fixture
def visit(stack: Stack, chromium: Browser, owner: Caller) -> Iterator[Visit]:
    with stack.visit(chromium, user_id=owner.user_id) as opened:
        yield opened


def read(visit: Visit, query: str) -> Page:
    page = visit.open(f"/compare?{query}")
    expect(page.locator("#compare")).to_have_attribute("aria-busy", "false")
    return page


def curves(page: Page) -> int:
    page.locator(".chart .scatterlayer .js-line").first.wait_for(state="attached")
    return page.locator(".chart .scatterlayer .js-line").count()


def best(user: Caller, job_id: str) -> dict[str, Any]:
    answer = user.get(f"/backtests/jobs/{job_id}/top", params={"limit": 1, "include": "equity"})
    row: dict[str, Any] = answer.json()["items"][0]
    return row


@pytest.fixture(scope="module")
def looked_at(
    stack: Stack, chromium: Browser, owner: Caller, job_ids: list[str]
) -> Iterator[Visit]:
    """Both sweeps side by side, for tests that only read the page."""
    with stack.visit(chromium, user_id=owner.user_id) as opened:
        read(opened, f"jobs={','.join(job_ids)}")
        yield opened


def test_jobs_are_compared_by_their_best_variants(
    looked_at: Visit, owner: Caller, job_ids: list[str]
) -> None:
    page = looked_at.page
    assert curves(page) == 2
    returns = page.locator(".figures-table tr", has_text="total return").locator("td")
    shown = [
        float(text.split(" ")[0].replace("\N{MINUS SIGN}", "-").replace(",", ""))
        for text in returns.all_inner_texts()
    ]
    stored = [best(owner, job_id)["total_return_pct"] for job_id in job_ids]
    assert shown == pytest.approx(stored, abs=0.00501)
    assert page.locator(".figures-table thead a").all_inner_texts() == list(NAMES)
    assert looked_at.complaints == []


@pytest.fixture(scope="module")
def alike(stack: Stack, owner: Caller) -> list[str]:
    """Three sweeps of one name, of which two are the same sweep."""
    request = SWEEP | {"name": "alike", "top_trades_n": 1}
    shorter = request | {"time_range": {"start": "2024-02-01", "end": "2024-02-20"}}
    return [stack.finished(owner, each) for each in (shorter, request, request)]


def test_jobs_of_one_name_are_told_apart_wherever_they_are_named(
    visit: Visit, alike: list[str], job_ids: list[str]
) -> None:
    page = read(visit, f"jobs={','.join([*alike, job_ids[1]])}")
    whole = "2024-01-15 to 2024-03-01"
    names = [
        "alike · 2024-02-01 to 2024-02-20",
        *(f"alike · {whole}, {job_id[:8]}" for job_id in alike[1:]),
        NAMES[1],
    ]
    assert curves(page) == 4
    legend = [
        text.rpartition(" \N{MINUS SIGN}")[0]
        for text in page.locator(".legend li").all_inner_texts()
    ]
    assert legend == names
    drawn = page.evaluate("document.querySelector('.chart').data.map((one) => one.name)")
    assert drawn == names
    for table in (".figures-table", ".differences"):
        heads = page.locator(f"{table} thead a").all_text_contents()
        assert heads == [name.replace(" · ", " ") for name in names]
    words = page.locator(".chart").get_attribute("aria-label") or ""
    assert all(name in words for name in names)


def test_a_curve_under_an_equal_one_is_seen_beside_it(visit: Visit, alike: list[str]) -> None:
    page = read(visit, f"jobs={','.join(alike)}")
    curves(page)
    widths = page.evaluate("document.querySelector('.chart').data.map((one) => one.line.width)")
    assert widths[0] == widths[2] < widths[1]


def test_curves_begin_at_a_hundred_percent_and_end_at_the_return(
    looked_at: Visit, owner: Caller, job_ids: list[str]
) -> None:
    page = looked_at.page
    curves(page)
    ends = page.evaluate("document.querySelector('.chart').data.map((one) => one.y.at(-1))")
    stored = [100 + best(owner, job_id)["total_return_pct"] for job_id in job_ids]
    assert ends == pytest.approx(stored)


def test_only_what_differs_is_listed(looked_at: Visit) -> None:
    page = looked_at.page
    lines = page.locator(".differences tbody tr")
    assert any("range" in text for text in lines.all_inner_texts())
    for at in range(lines.count()):
        values = lines.nth(at).locator("td").all_inner_texts()
        assert len(set(values)) > 1, values
    assert "instrument" not in page.locator("#differences").inner_text()


def test_other_fills_are_a_difference_in_words(
    stack: Stack, visit: Visit, owner: Caller, job_ids: list[str]
) -> None:
    template = HOURLY["template"] | {"execution": {"stop_fill": "intrabar"}}
    other = stack.finished(owner, HOURLY, name="inside", template=template)
    page = read(visit, f"jobs={job_ids[0]},{other}")
    fills = page.locator(".differences tr", has_text="fills").locator("td")
    assert fills.all_inner_texts() == ["at closes", "stops inside bars"]


def test_variants_chosen_in_the_table_are_compared(visit: Visit, job_ids: list[str]) -> None:
    page = visit.open(f"/jobs/{job_ids[0]}")
    for rank in (1, 2, 5):
        page.get_by_label(f"compare the variant of rank {rank}", exact=True).check()
    page.get_by_role("button", name="Compare 3 variants").click()
    page.wait_for_url("**/compare?variants=*")
    assert curves(page) == 2  # the job kept the curves of two variants
    heads = page.locator(".figures-table thead a")
    assert heads.all_inner_texts() == ["rank 1", "rank 2", "rank 5"]
    expect(page.locator("#curves")).to_contain_text("rank 5 has no stored curve")
    page.go_back()
    expect(page.locator(".top-rows tbody tr").first).to_be_visible()
    assert visit.complaints == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "Two to 5 jobs or variants can be compared, not 0"),
        ("jobs={0}", "not 1"),
        ("jobs={0},{0},{0},{0},{0},{0}", "not 6"),
        ("variants={0}:1,{0}:x", "by its job and its rank"),
        ("variants={0}:1,{0}:299", "has no variant of rank 299"),
    ],
)
def test_what_cannot_be_compared_is_said(
    visit: Visit, job_ids: list[str], query: str, words: str
) -> None:
    page = read(visit, query.format(job_ids[0]))
    expect(page.get_by_role("alert")).to_contain_text(words)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_anybody_can_use_it(
    stack: Stack,
    chromium: Browser,
    owner: Caller,
    job_ids: list[str],
    theme: Any,
    size: dict[str, int],
) -> None:
    with stack.visit(chromium, user_id=owner.user_id, theme=theme, size=size) as visit:
        page = read(visit, f"variants={job_ids[0]}:1,{job_ids[0]}:2,{job_ids[1]}:1")
        curves(page)
        assert visit.accessible() == ""
        assert visit.fits()
        assert visit.complaints == []
