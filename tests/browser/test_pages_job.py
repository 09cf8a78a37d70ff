"""The page of a job, in a real browser against the running product."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from storage import leases
from storage.records import Claimed, Failure, Stage, State
from tests.api.running import Caller
from tests.browser.job_page import HOSTILE, drawn, lean, open_row, ranks, read
from tests.browser.stack import (
    DESKTOP,
    HOURLY,
    LONG_SWEEP,
    PHONE,
    PROFITABLE,
    SWEEP,
    SYMBOL,
    Stack,
    Visit,
)
from tests.storage.making import claim, submitted


@pytest.fixture(scope="module")
def looked_at(stack: Stack, chromium: Browser, owner: Caller, job_id: str) -> Iterator[Visit]:
    """The page of the finished sweep, for tests that only read it."""
    with stack.visit(chromium, user_id=owner.user_id) as visit:
        read(visit, job_id)
        yield visit
        assert visit.complaints == []


@pytest.fixture
def page(looked_at: Visit) -> Page:
    return looked_at.page


def test_the_verdict_stands_above_everything_it_is_about(
    page: Page, owner: Caller, job_id: str
) -> None:
    said = owner.get(f"/backtests/jobs/{job_id}").json()["verdict"]
    shown = page.locator("#verdict .first, #verdict li").all_inner_texts()
    assert shown == said
    tops = [page.locator(part).bounding_box() for part in ("#verdict", "#table")]
    assert tops[0]["y"] < tops[1]["y"]  # type: ignore[index]


def test_all_rows_stand_in_the_table_by_rank(page: Page, owner: Caller, job_id: str) -> None:
    assert ranks(page) == [row["rank"] for row in lean(owner, job_id)]


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


def test_what_all_rows_share_is_said_once_above_them(page: Page) -> None:
    shared = page.locator(".shared").inner_text()
    headings = page.locator(".sorter").all_inner_texts()
    assert "short 45" in shared
    assert not any("short" in heading for heading in headings)
    assert any("window" in heading for heading in headings)


def test_the_ranking_metric_is_a_marked_column_that_cannot_be_taken_away(opened: Visit) -> None:
    expect(opened.page.locator("th.ranked")).to_contain_text("▼")
    opened.page.get_by_text("Columns", exact=True).click()
    offered = opened.page.locator(".chooser label").all_inner_texts()
    assert "total return (%)" not in offered
    assert "Sharpe ratio" in offered


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


def test_pictures_say_in_words_what_they_show(page: Page, owner: Caller, job_id: str) -> None:
    tried = owner.get(f"/backtests/jobs/{job_id}").json()["outcomes"]["tried"]
    words = page.locator("#distribution svg").get_attribute("aria-label") or ""
    assert f"{tried} variants" in words
    assert "made money" in words
    marks = page.locator("#distribution .mark").count()
    assert marks == 3  # zero, buy and hold, the winner
    lines = page.locator("canvas.parallel").get_attribute("aria-label") or ""
    assert "sma window" in lines
    tables = page.locator("#multiples .multiple table").count()
    assert tables == page.locator("#multiples svg").count() > 2


def test_small_pictures_have_a_scale(page: Page) -> None:
    for picture in page.locator("#multiples svg").all():
        scale = [
            text for text in picture.locator("text").all_text_contents() if text.endswith(" %")
        ]
        assert len(scale) >= 2


def test_twins_are_one_row_that_counts_them(page: Page, owner: Caller, job_id: str) -> None:
    rows = lean(owner, job_id)
    assert max(row["twins"] for row in rows) > 1
    shown = page.locator(".top-rows td.twins").all_inner_texts()
    assert shown == [f"{row['twins']:,}" for row in rows]


def test_any_metric_sorts_once_its_column_is_chosen(
    opened: Visit, owner: Caller, job_id: str
) -> None:
    rows, page = lean(owner, job_id), opened.page
    page.get_by_text("Columns", exact=True).click()
    boxes = page.locator(".chooser input")
    for at in range(boxes.count()):
        boxes.nth(at).check()
    keys = [str(sorter.get_attribute("data-key")) for sorter in page.locator(".sorter").all()]
    metrics = [key for key in keys if key in rows[0]["metrics_json"]]
    assert {"sortino", "calmar", "sqn", "expectancy_pct"} <= set(metrics)
    for key in metrics:
        page.locator(f".sorter[data-key={key}]").click()
        values = [rows[rank - 1]["metrics_json"][key] for rank in ranks(page)]
        assert values == sorted(values) or values == sorted(values, reverse=True), key


def test_times_are_utc_and_say_how_long_ago_they_were(page: Page) -> None:
    time = page.locator("#facts time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC", time.get_attribute("title") or "")
    assert re.fullmatch(r"just now|\d+ (s|min) ago", time.inner_text())


def test_who_sees_a_job_for_the_first_time_is_told_what_to_make_of_it(
    page: Page, owner: Caller, job_id: str
) -> None:
    assert lean(owner, job_id)[0]["total_return_pct"] < 0
    expect(page.locator("#verdict .advice")).to_contain_text("nothing here to trade")


def test_a_winner_is_not_to_be_believed_before_it_was_tried_elsewhere(
    stack: Stack, visit: Visit
) -> None:
    job_id = stack.finished(visit.user, PROFITABLE)
    assert lean(visit.user, job_id)[0]["total_return_pct"] > 0
    page = read(visit, job_id)
    advice = page.locator("#verdict .advice")
    expect(advice).to_contain_text("Do not believe it yet")
    advice.get_by_role("link").click()
    page.wait_for_url(f"**/new?from={job_id}&range=new")


def test_the_timeline_has_the_time_of_each_stage_of_each_attempt(
    stack: Stack, visit: Visit, owner: Caller, job_id: str
) -> None:
    request = owner.get(f"/backtests/jobs/{job_id}").json()["request"]
    user_id = visit.user.user_id
    with psycopg.connect(stack.api.dsn, autocommit=True) as conn, conn.transaction():
        job = submitted(conn, user_id=user_id, request_json=request)
        first = claim(conn, job.job_id)
        assert isinstance(first, Claimed)
        leases.start_stage(conn, first.lease, Stage.STAGE_A, 10)
        leases.release(conn, first.lease)
        second = claim(conn, job.job_id)
        assert isinstance(second, Claimed)
        leases.start_stage(conn, second.lease, Stage.STAGE_A, 10)
        leases.end(conn, second.lease, State.FAILED, Failure("unexpected_error", "It broke.", {}))
        conn.execute(
            "UPDATE backtest_job_events AS event SET at = now() + place * interval '5 s' FROM"
            " (SELECT event_id, row_number() OVER (ORDER BY event_id) - 1 AS place"
            "  FROM backtest_job_events WHERE job_id = %s) AS found"
            " WHERE found.event_id = event.event_id",
            [job.job_id],
        )
    page = read(visit, str(job.job_id))
    lines = [text.split("\n") for text in page.locator("#timeline li").all_inner_texts()]
    assert [line[-1] for line in lines] == ["5 s"] * len(lines)
    words = [line[0] for line in lines]
    assert words[0] == "waiting for a worker"
    assert words[1] == "reading candles"
    assert words[2] == "scoring variants"
    assert words[3].startswith("waiting for a worker")
    assert "attempt 2" in " ".join(words[3:])
    assert words[-1] == "scoring variants"
    expect(page.locator("#timeline")).to_contain_text("2 attempts")
    bar, inside = (page.locator(f"#timeline {part}").bounding_box() for part in (".segments", "ol"))
    assert bar is not None
    assert inside is not None
    ends = [part.bounding_box() for part in page.locator("#timeline .segment").all()]
    assert ends[-1]["x"] + ends[-1]["width"] == pytest.approx(bar["x"] + bar["width"], abs=2)  # type: ignore[index]


def test_a_name_changed_in_one_tab_is_the_name_in_the_others(
    stack: Stack, opened: Visit, owner: Caller, job_id: str
) -> None:
    listing, twin = opened.context.new_page(), opened.context.new_page()
    listing.goto(f"{opened.url}/?q={job_id[:8]}")
    twin.goto(f"{opened.url}/jobs/{job_id}")
    expect(twin.locator("#name")).to_have_text(HOSTILE)
    expect(listing.locator("[data-role=open]")).to_have_text([HOSTILE])
    page = opened.page
    page.get_by_role("button", name="Rename the job").click()
    page.get_by_label("Name of the job").fill("of all tabs")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(twin.locator("#name")).to_have_text("of all tabs")
    expect(listing.locator("[data-role=open]")).to_have_text(["of all tabs"])
    owner.patch(f"/backtests/jobs/{job_id}", json={"name": HOSTILE})


def test_a_job_names_fills_that_are_not_at_closes(stack: Stack, visit: Visit) -> None:
    fills = {"entry_fill": "next_open", "stop_fill": "intrabar"}
    template = SWEEP["template"] | {"execution": fills}
    page = read(visit, stack.submit(visit.user, SWEEP, template=template))
    words = "entries at the next open, stops inside bars"
    expect(page.locator("#facts")).to_contain_text(words)
    page.get_by_text("What was asked").click()
    expect(page.get_by_role("definition").filter(has_text=words)).to_be_visible()
    page = read(visit, stack.submit(visit.user, SWEEP))
    expect(page.locator("#facts")).to_contain_text("2024-01-15 to 2024-03-01")
    expect(page.locator("#facts")).not_to_contain_text("entries")
    page.get_by_text("What was asked").click()
    expect(page.get_by_role("definition").filter(has_text="0.075 %")).to_be_visible()
    expect(page.get_by_role("term").filter(has_text="fills")).to_have_count(0)
    assert visit.complaints == []


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


@pytest.fixture(scope="module")
def of_few_rows(stack: Stack, owner: Caller) -> str:
    """A finished sweep that lists ten variants, the best of which has 27 trades of every kind.

    One more row is the same line again, and rows are most of what is looked at in each look.
    """
    template = HOURLY["template"] | {"timeframe": "4h"}
    return stack.finished(owner, HOURLY, template=template, top_k=10, top_trades_n=1)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_anybody_can_use_page_and_drawer(
    stack: Stack,
    chromium: Browser,
    owner: Caller,
    of_few_rows: str,
    theme: Any,
    size: dict[str, int],
) -> None:
    with stack.visit(chromium, user_id=owner.user_id, theme=theme, size=size) as visit:
        page = read(visit, of_few_rows)
        assert visit.accessible() == ""
        assert visit.fits()
        open_row(page, 1)
        drawn(page)
        page.locator("#drawer .trades summary").click()
        expect(page.locator("#drawer .trades tbody tr").first).to_be_visible()
        assert visit.accessible() == ""
        assert visit.fits("#drawer")
        assert visit.complaints == []
