"""The page of a job, in a real browser against the running product."""

import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from storage import leases
from storage.records import Claimed, Failure, State
from tests.api.running import Caller
from tests.browser.stack import DESKTOP, LONG_SWEEP, PHONE, SECONDS, SWEEP, SYMBOL, Stack, Visit
from tests.storage.making import claim, submitted

HOSTILE = '<img src=x onerror="document.title=1">&amp;'
KEPT = 3
CHART = "#drawer .chart path.box"


@pytest.fixture(scope="module")
def owner(stack: Stack) -> Caller:
    return stack.api.as_user(uuid4())


@pytest.fixture(scope="module")
def job_id(stack: Stack, owner: Caller) -> str:
    """A finished sweep that kept the trades of its three best variants."""
    return stack.finished(owner, SWEEP, name=HOSTILE, top_trades_n=KEPT)


@pytest.fixture
def opened(stack: Stack, chromium: Browser, owner: Caller, job_id: str) -> Iterator[Visit]:
    """The page of the finished sweep."""
    with stack.visit(chromium, user_id=owner.user_id) as visit:
        read(visit, job_id)
        yield visit
        assert visit.complaints == []


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


def test_the_verdict_stands_above_everything_it_is_about(
    opened: Visit, owner: Caller, job_id: str
) -> None:
    said = owner.get(f"/backtests/jobs/{job_id}").json()["verdict"]
    shown = opened.page.locator("#verdict .first, #verdict li").all_inner_texts()
    assert shown == said
    tops = [opened.page.locator(part).bounding_box() for part in ("#verdict", "#table")]
    assert tops[0]["y"] < tops[1]["y"]  # type: ignore[index]


def test_all_rows_stand_in_the_table_by_rank(opened: Visit, owner: Caller, job_id: str) -> None:
    assert ranks(opened.page) == [row["rank"] for row in lean(owner, job_id)]


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_heading_sorts_by_its_figure_and_once_more_the_other_way(
    opened: Visit, owner: Caller, job_id: str, key: str
) -> None:
    def drawdown(row: dict[str, Any]) -> tuple[float, int]:
        return row["metrics_json"]["max_drawdown_pct"], row["rank"]

    rows, heading = lean(owner, job_id), opened.page.locator(".sorter[data-key=max_drawdown_pct]")
    heading.press(key)
    assert ranks(opened.page) == [row["rank"] for row in sorted(rows, key=drawdown)]
    cell = opened.page.locator("th", has=heading)
    expect(cell).to_have_attribute("aria-sort", "ascending")
    heading.press(key)
    expect(cell).to_have_attribute("aria-sort", "descending")
    assert ranks(opened.page)[0] == max(rows, key=lambda row: drawdown(row)[0])["rank"]


def test_what_all_rows_share_is_said_once_above_them(opened: Visit) -> None:
    shared = opened.page.locator(".shared").inner_text()
    headings = opened.page.locator(".sorter").all_inner_texts()
    assert "short 45" in shared
    assert not any("short" in heading for heading in headings)
    assert any("window" in heading for heading in headings)


def test_the_ranking_metric_is_a_marked_column_that_cannot_be_taken_away(opened: Visit) -> None:
    expect(opened.page.locator("th.ranked")).to_contain_text("▼")
    opened.page.get_by_text("Columns", exact=True).click()
    offered = opened.page.locator(".chooser label").all_inner_texts()
    assert "total return" not in offered
    assert "Sharpe" in offered


def test_chosen_columns_are_remembered(opened: Visit, job_id: str) -> None:
    opened.page.get_by_text("Columns", exact=True).click()
    opened.page.get_by_label("Sortino").check()
    opened.page.get_by_label("win rate").uncheck()
    read(opened, job_id)
    expect(opened.page.locator(".sorter[data-key=sortino]")).to_be_visible()
    expect(opened.page.locator(".sorter[data-key=win_rate_pct]")).to_have_count(0)


def test_a_brush_set_by_keyboard_keeps_the_rows_that_pass(
    opened: Visit, owner: Caller, job_id: str
) -> None:
    def window(row: dict[str, Any]) -> int:
        blocks = {block["name"]: block for block in row["payload_json"]["blocks"]}
        value: int = blocks["ma.sma"]["params"]["window"]
        return value

    rows = lean(owner, job_id)
    limit = sorted({window(row) for row in rows})[1]
    opened.page.get_by_text("Filter by values").click()
    opened.page.get_by_label("sma window from").select_option(str(limit))
    assert ranks(opened.page) == [row["rank"] for row in rows if window(row) >= limit]
    opened.page.get_by_role("button", name="Show all rows").click()
    assert len(ranks(opened.page)) == len(rows)


def test_a_drag_along_an_axis_filters_the_table(opened: Visit, owner: Caller, job_id: str) -> None:
    canvas = opened.page.locator("canvas.parallel")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x = box["x"] + 56  # the first axis
    opened.page.mouse.move(x, box["y"] + 36)
    opened.page.mouse.down()
    opened.page.mouse.move(x, box["y"] + 120, steps=4)
    opened.page.mouse.up()
    count = len(lean(owner, job_id))
    expect(opened.page.locator("#parallel [role=status]")).to_contain_text(f"of {count} rows pass")
    assert 0 < len(ranks(opened.page)) < count
    opened.page.mouse.click(x, box["y"] + 60)
    assert len(ranks(opened.page)) == count


def test_j_and_k_move_and_enter_opens(opened: Visit) -> None:
    page = opened.page
    for key in "jjkj":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.locator("#drawer-title")).to_contain_text("Rank 2")


def test_a_row_opens_with_its_report_and_the_back_button_closes_it(
    opened: Visit, owner: Caller, job_id: str
) -> None:
    page, [first, *_] = opened.page, lean(owner, job_id)
    assert "plotly" not in resources(page)
    open_row(page, 1)
    assert f"variant={first['variant_key']}" in page.url
    drawn(page)
    expect(page.locator("#drawer .all-figures")).to_contain_text("Profit Factor")
    page.reload()
    drawn(page)
    page.go_back()
    expect(page.locator("#drawer")).to_be_hidden()
    assert page.url.endswith(f"/jobs/{job_id}")
    page.go_forward()
    drawn(page)
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()


def test_keys_step_through_the_trades_and_the_chart_goes_along(
    opened: Visit, owner: Caller, job_id: str
) -> None:
    [first, *_] = lean(owner, job_id)
    path = f"/backtests/jobs/{job_id}/variants/{first['variant_key']}"
    trades = owner.get(path).json()["trades"]
    page = opened.page
    open_row(page, 1)
    drawn(page)
    shown = "document.querySelector('.chart').layout.xaxis.range.map((at) => Date.parse(at))"
    until(page, "document.querySelector('.chart').data.length > 5")
    whole = page.evaluate(shown)
    page.keyboard.press("n")
    page.keyboard.press("n")
    said = page.locator(".stepper [role=status]")
    expect(said).to_contain_text(f"Trade 2 of {len(trades)}: {trades[1]['direction']}")
    until(page, f"({shown})[1] < {whole[1]}")
    page.keyboard.press("p")
    expect(said).to_contain_text("Trade 1 of")
    page.get_by_role("button", name="whole range").click()
    until(page, f"({shown})[1] === {whole[1]}")


def test_charts_follow_the_theme(opened: Visit) -> None:
    page = opened.page
    open_row(page, 1)
    drawn(page)
    line = "getComputedStyle(document.querySelector('.chart .scatterlayer .js-line')).stroke"
    before = page.evaluate(line)
    page.emulate_media(color_scheme="dark")
    until(page, f"({line}) !== '{before}'")


def save(page: Page, name: str) -> Locator:
    page.get_by_role("button", name="Save as strategy").click()
    page.get_by_label("Name of the strategy").fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    return page.locator(".saving")


def test_a_variant_is_saved_as_a_strategy(opened: Visit, owner: Caller, job_id: str) -> None:
    open_row(opened.page, 2)
    expect(save(opened.page, "From the drawer")).to_contain_text("Saved as From the drawer")
    [saved] = [
        item
        for item in owner.get("/strategies").json()["items"]
        if item["name"] == "From the drawer"
    ]
    assert saved["source_job_id"] == job_id
    assert saved["source_variant_key"] == lean(owner, job_id)[1]["variant_key"]


def test_a_name_that_is_taken_can_be_corrected(
    stack: Stack, chromium: Browser, owner: Caller, job_id: str
) -> None:
    with stack.visit(chromium, user_id=owner.user_id) as visit:
        page = read(visit, job_id)
        open_row(page, 1)
        expect(save(page, "Taken")).to_contain_text("Saved as")
        open_row(page, 2)
        expect(save(page, "Taken").get_by_role("alert")).to_contain_text("Taken")
        page.get_by_label("Name of the strategy").fill("Not taken")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator(".saving")).to_contain_text("Saved as Not taken")


def test_a_row_without_stored_trades_is_computed_in_place_and_found_again(
    opened: Visit, owner: Caller
) -> None:
    page = opened.page
    open_row(page, KEPT + 1)
    expect(page.locator("#drawer .notice")).to_contain_text(f"the best {KEPT} variants")
    page.get_by_role("button", name="Open as one-variant job").click()
    drawn(page)
    expect(page.locator("#drawer")).to_contain_text("a job of its own")
    count = len(owner.get("/backtests/jobs").json()["items"])
    page.reload()
    drawn(page)
    page.keyboard.press("Escape")
    open_row(page, KEPT + 1)
    page.get_by_role("button", name="Open as one-variant job").click()
    drawn(page)
    assert len(owner.get("/backtests/jobs").json()["items"]) == count


def test_any_variant_of_the_grid_opens_by_its_number(
    opened: Visit, owner: Caller, job_id: str
) -> None:
    stored = {row["variant_index"] for row in lean(owner, job_id)}
    index = next(number for number in range(144) if number not in stored)
    page = opened.page
    page.get_by_label("Variant number").fill("100000")
    expect(page.locator("#any")).to_contain_text("There are variants 0 to 143.")
    page.get_by_label("Variant number").fill(str(index))
    expect(page.locator("#any")).to_contain_text("rsi window")
    page.get_by_role("button", name="Show its report").click()
    expect(page.locator("#drawer-title")).to_contain_text(f"Variant {index} of the grid")
    drawn(page)
    page.go_back()
    expect(page.locator("#drawer")).to_be_hidden()


def test_a_stored_variant_opens_by_its_number_as_it_is(
    opened: Visit, owner: Caller, job_id: str
) -> None:
    [first, *_] = lean(owner, job_id)
    opened.page.get_by_label("Variant number").fill(str(first["variant_index"]))
    expect(opened.page.locator("#any")).to_contain_text("stored at rank 1")
    opened.page.get_by_role("button", name="Show its report").click()
    expect(opened.page.locator("#drawer-title")).to_contain_text("Rank 1")


def test_what_a_user_wrote_is_text_and_can_be_changed(
    stack: Stack, opened: Visit, owner: Caller, job_id: str
) -> None:
    page = opened.page
    expect(page.locator("#name")).to_have_text(HOSTILE)
    page.get_by_role("button", name="Rename the job").click()
    page.get_by_label("Name of the job").fill("<b>other</b>")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#name")).to_have_text("<b>other</b>")
    page.locator("#note summary").click()
    page.get_by_label("Note").fill("<script>document.title=1</script>")
    page.get_by_role("button", name="Save note").click()
    expect(page.locator("#toasts")).to_contain_text("saved")
    read(opened, job_id)
    expect(page.locator("#name")).to_have_text("<b>other</b>")
    expect(page.get_by_label("Note")).to_have_value("<script>document.title=1</script>")
    assert page.title() == f"succeeded · {SYMBOL}"
    owner.patch(f"/backtests/jobs/{job_id}", json={"name": HOSTILE, "note": None})


def test_pictures_say_in_words_what_they_show(opened: Visit, owner: Caller, job_id: str) -> None:
    tried = owner.get(f"/backtests/jobs/{job_id}").json()["outcomes"]["tried"]
    words = opened.page.locator("#distribution svg").get_attribute("aria-label") or ""
    assert f"{tried} variants" in words
    assert "made money" in words
    marks = opened.page.locator("#distribution .mark").count()
    assert marks == 3  # zero, buy and hold, the winner
    lines = opened.page.locator("canvas.parallel").get_attribute("aria-label") or ""
    assert "sma window" in lines
    tables = opened.page.locator("#multiples .multiple table").count()
    assert tables == opened.page.locator("#multiples svg").count() > 2


def test_a_job_that_is_watched_shows_its_end_without_a_reload(stack: Stack, visit: Visit) -> None:
    job_id = stack.submit(visit.user, SWEEP)
    page = read(visit, job_id)
    page.evaluate("window.same = true")
    expect(page.locator("#facts .badge")).to_have_text("succeeded")
    expect(page.locator(".top-rows tbody tr").first).to_be_visible()
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#timeline")).to_contain_text("finished")
    assert page.evaluate("window.same")
    assert visit.complaints == []


def test_a_running_job_shows_progress_and_is_cancelled_by_a_key(stack: Stack, visit: Visit) -> None:
    job_id = stack.submit(visit.user, LONG_SWEEP)
    try:
        page = read(visit, job_id)
        expect(page.locator("#progress")).to_contain_text("scoring variants:")
        expect(page.locator("#progress")).to_contain_text("left")
        expect(page).to_have_title(re.compile(rf"^\d+ % · {SYMBOL}$"))
        expect(page.locator("#table")).to_contain_text("No variants yet")
        page.reload()
        expect(page).to_have_title(re.compile(rf"^\d+ % · {SYMBOL}$"))
        page.keyboard.press("c")
        page.get_by_role("button", name="Cancel the job").click()
        expect(page.locator("#facts .badge")).to_have_text("cancelled")
        expect(page.locator("#table")).to_contain_text("cancelled before it had found any")
        assert visit.accessible() == ""
        assert visit.complaints == []
    finally:
        visit.user.post(f"/backtests/jobs/{job_id}/cancel")
        stack.wait(visit.user, job_id, "cancelled", "succeeded")


def test_a_failed_job_says_why_and_what_to_do(
    stack: Stack, visit: Visit, owner: Caller, job_id: str
) -> None:
    request = owner.get(f"/backtests/jobs/{job_id}").json()["request"]
    failed = failed_job(stack, visit.user.user_id, request)
    page = read(visit, str(failed))
    trouble = page.locator("#trouble")
    expect(trouble).to_contain_text("memory_limit_exceeded")
    expect(trouble).to_contain_text("Duplicate the job with fewer variants")
    expect(page.locator("#table")).to_contain_text("failed before it had found any")
    assert visit.accessible() == ""
    assert visit.complaints == []


def failed_job(stack: Stack, user_id: UUID | None, request: dict[str, Any]) -> UUID:
    """A job that ended as a worker ends it; no real worker sees it before."""
    failure = Failure("memory_limit_exceeded", "The job needs more memory than it may use.", {})
    with psycopg.connect(stack.api.dsn, autocommit=True) as conn, conn.transaction():
        job = submitted(conn, user_id=user_id, request_json=request)
        taken = claim(conn, job.job_id)
        assert isinstance(taken, Claimed)
        assert leases.end(conn, taken.lease, State.FAILED, failure) is State.FAILED
    return job.job_id


def test_a_job_of_somebody_else_is_refused_in_words(visit: Visit, job_id: str) -> None:
    page = read(visit, job_id)
    expect(page.locator("#trouble [role=alert]")).to_be_visible()
    assert HOSTILE not in page.content()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_anybody_can_use_page_and_drawer(
    stack: Stack,
    chromium: Browser,
    owner: Caller,
    job_id: str,
    theme: Any,
    size: dict[str, int],
) -> None:
    with stack.visit(chromium, user_id=owner.user_id, theme=theme, size=size) as visit:
        page = read(visit, job_id)
        assert visit.accessible() == ""
        assert visit.fits()
        open_row(page, 1)
        drawn(page)
        page.locator("#drawer .trades summary").click()
        assert visit.accessible() == ""
        assert visit.fits()
        assert visit.complaints == []
