"""The drawer of a job's page: one variant with its report, in a real browser."""

from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.api.running import Caller
from tests.browser.job_page import CHART, KEPT, drawn, lean, open_row, read, resources, until
from tests.browser.stack import SWEEP, Stack, Visit


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


def test_a_zoom_is_one_of_all_pictures_and_reads_finer_bars(stack: Stack, visit: Visit) -> None:
    page = read(visit, stack.finished(visit.user, SWEEP, top_trades_n=1))
    open_row(page, 1)
    drawn(page)
    until(page, "document.querySelector('.chart').data.length > 5")
    layout = "document.querySelector('.chart')._fullLayout"
    ranges = f"['xaxis', 'yaxis', 'yaxis2', 'yaxis3'].map((one) => {layout}[one].range.join())"
    whole = page.evaluate(ranges)
    plot = page.locator(".chart .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    with page.expect_request(lambda asked: "/bars?" in asked.url and "from=" in asked.url):
        page.mouse.move(box["x"] + 0.4 * box["width"], middle)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], middle, steps=4)
        page.mouse.up()
    until(page, f"({ranges})[3] !== '{whole[3]}'")
    zoomed = page.evaluate(ranges)
    assert all(now != before for now, before in zip(zoomed, whole, strict=True))
    times = page.evaluate("document.querySelector('.chart').data.map((one) => one.xaxis ?? 'x')")
    assert set(times) == {"x"}


def test_bars_that_come_after_the_curves_are_drawn_beside_them(opened: Visit) -> None:
    page = opened.page
    held: list[Route] = []
    page.route("**/bars?**", lambda route: held.append(route))
    open_row(page, 1)
    page.locator("#drawer .chart .js-line").first.wait_for(state="attached")
    assert page.locator(CHART).count() == 0
    held[0].continue_()
    drawn(page)


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
