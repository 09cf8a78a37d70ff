"""A newcomer's whole way through the product, in a real browser on the running product.

The way has 34 steps, numbered below. Its tests go on from where the one before stopped, so they run
in their order; the tests after them stand alone or look at what the way has left.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.api.running import Caller
from tests.browser.job_page import CHART, drawn, lean, open_row, ranks, until
from tests.browser.stack import DESKTOP, LONG_SWEEP, PHONE, SYMBOL, Stack, Theme, Visit

SCREENSHOTS = "BACKTEST_SCREENSHOTS"
"""Names the folder for pictures of the screens; none are made without it."""

NAME = "my first idea"
STRATEGY = "worth a second look"
RUNNING = re.compile(rf"^\d+ % · {SYMBOL}$")


LOOKS = pytest.mark.parametrize(
    ("name", "theme", "size"),
    [("dark", "dark", DESKTOP), ("phone", "light", PHONE)],
    ids=["dark", "phone"],
)


@dataclass
class Way:
    """How far the newcomer has come."""

    visit: Visit
    jobs: dict[str, str] = field(default_factory=dict)

    @property
    def page(self) -> Page:
        return self.visit.page

    @property
    def user(self) -> Caller:
        return self.visit.user

    def arrive(self, sweep: str) -> None:
        """Keep the id of the job whose page follows a submission."""
        self.page.wait_for_url("**/jobs/*")
        self.jobs[sweep] = self.page.url.rpartition("/")[2]

    def job(self, sweep: str) -> str:
        if sweep not in self.jobs:
            pytest.fail(f"the way has not come to the {sweep} sweep: see the tests before")
        return self.jobs[sweep]


@pytest.fixture(scope="module")
def way(stack: Stack, chromium: Browser) -> Iterator[Way]:
    with stack.visit(chromium) as visit:
        yield Way(visit)


@pytest.fixture(autouse=True)
def free_worker(stack: Stack, way: Way) -> Iterator[None]:
    """Cancel what a test has left behind: the only worker would go on with it."""
    yield
    stack.cancel_all(way.user)


def picture(page: Page, name: str) -> None:
    folder = os.environ.get(SCREENSHOTS)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        drawer = page.locator("#drawer[open]").count() > 0
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=not drawer)


def finished(page: Page) -> None:
    expect(page.locator("#facts .badge")).to_have_text("succeeded")
    expect(page.locator(".top-rows tbody tr").first).to_be_visible()


def badge(page: Page, job_id: str) -> Locator:
    return page.locator(f'tr[data-job="{job_id}"] .badge')


def pick(page: Page, *job_ids: str) -> None:
    for job_id in job_ids:
        page.locator(f'tr[data-job="{job_id}"] [data-role=pick]').check()


def axis(page: Page, block: int, name: str) -> Locator:
    return page.locator(f'[data-path="template.indicator_grids[{block}].{name}"] input')


def typed(place: Locator, text: str) -> None:
    place.click()
    place.press_sequentially(text)


def percent(page: Page) -> int:
    return int(page.locator("#progress .percent").inner_text().removesuffix(" %") or 0)


# --- the way


def test_one_click_leads_from_the_empty_list_to_a_verdict(way: Way) -> None:
    """Steps 1 to 4: the empty list, the example, its end without a reload, the verdict first."""
    page = way.visit.open("/")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    page.get_by_role("button", name="Run the example sweep").click()
    way.arrive("example")
    finished(page)
    parts = page.locator("#job > :visible")
    assert [parts.nth(at).get_attribute("id") for at in (0, 1)] == [None, "verdict"]
    said = way.user.get(f"/backtests/jobs/{way.job('example')}").json()["verdict"]
    assert page.locator("#verdict .first").inner_text() == said[0]


def test_a_request_is_filled_in_by_typing(way: Way) -> None:
    """Steps 5 to 12: new job, name, RSI found, its axes, a chip, a warning, the size, a reload."""
    page = way.page
    page.get_by_role("link", name="New job").first.click()
    typed(page.get_by_label("Name"), NAME)
    typed(page.get_by_role("combobox", name="Add an indicator"), "rsi")
    page.keyboard.press("Enter")
    expect(axis(page, 0, "params.window")).to_be_focused()
    page.keyboard.type("5..60")
    typed(axis(page, 0, "signals.long_threshold"), "10..50")
    typed(axis(page, 0, "signals.short_threshold"), "50..90")
    page.get_by_role("button", name="hlc3", exact=True).click()
    page.get_by_role("region", name="What is traded").get_by_label("Timeframe").select_option("5m")
    page.get_by_role("button", name="all there is").click()
    expect(page.locator("#problems .warn").first).to_contain_text("first traded bar")
    expect(page.locator(".product b")).to_have_text([f"{56 * 41 * 41 * 2:,}", "1"])
    expect(page.locator("#state")).to_contain_text("to score")
    page.reload()
    expect(axis(page, 0, "params.window")).to_have_value("5..60")
    chips = page.locator('[data-path="template.indicator_grids[0].source"] [aria-pressed=true]')
    expect(chips).to_have_text(["close", "hlc3"])
    expect(page.get_by_role("button", name="Run the sweep")).to_be_enabled()
    picture(page, "new-job")


def test_a_submitted_sweep_is_seen_running_and_ending(way: Way) -> None:
    """Steps 13 to 16: submit, progress, a reload while it runs, the end without a reload."""
    page = way.page
    page.get_by_role("button", name="Run the sweep").click()
    way.arrive("typed")
    expect(page).to_have_title(RUNNING)
    expect(page.locator("#progress")).to_contain_text("scoring variants:")
    picture(page, "running")
    page.reload()
    expect(page.locator("#progress")).to_contain_text(re.compile(r"\d of [\d,]+"))
    finished(page)
    expect(page.locator("h1")).to_have_text(NAME)
    expect(page.locator("#progress")).to_be_hidden()


def test_a_result_is_sorted_opened_and_walked_through(way: Way) -> None:
    """Steps 17 to 23: another metric, the drawer and its charts, n n p, reload, back, forward."""
    page, job_id = way.page, way.job("typed")
    rows = lean(way.user, job_id)
    page.locator(".sorter[data-key=max_drawdown_pct]").click()
    by_drawdown = sorted(rows, key=lambda row: row["metrics_json"]["max_drawdown_pct"])
    least = by_drawdown[0]["metrics_json"]["max_drawdown_pct"]
    [first, *_] = ranks(page)
    assert rows[first - 1]["metrics_json"]["max_drawdown_pct"] == least
    open_row(page, 1)
    drawn(page)
    page.keyboard.press("n")
    page.keyboard.press("n")
    said = page.locator(".stepper [role=status]")
    expect(said).to_contain_text("Trade 2 of")
    page.keyboard.press("p")
    expect(said).to_contain_text("Trade 1 of")
    page.reload()
    drawn(page)
    page.go_back()
    expect(page.locator("#drawer")).to_be_hidden()
    finished(page)
    page.go_forward()
    drawn(page)
    picture(page, "finished")


def test_a_variant_becomes_a_strategy(way: Way) -> None:
    """Steps 24 and 25: it is saved from the drawer, and the link leads to it."""
    page = way.page
    page.get_by_role("button", name="Save as strategy").click()
    page.keyboard.type(STRATEGY)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=STRATEGY).click()
    expect(page.get_by_role("heading", name=STRATEGY)).to_be_visible()
    [saved] = way.user.get("/strategies").json()["items"]
    assert saved["source_variant_key"] == lean(way.user, way.job("typed"))[0]["variant_key"]


def test_a_sweep_is_run_again_on_another_range(way: Way) -> None:
    """Steps 26 to 28: back to the job, its form with another range, the end of the new job."""
    page, before = way.page, way.job("typed")
    page.go_back()
    page.get_by_role("button", name="close").click()
    page.get_by_role("link", name="Rerun on another range").click()
    page.locator("#start").fill("2024-02-01")
    page.locator("#end").fill("2024-02-08")
    page.get_by_role("button", name="Run the sweep").click()
    way.arrive("rerun")
    finished(page)
    old, new = (
        way.user.get(f"/backtests/jobs/{job_id}").json()["request"]
        for job_id in (before, way.job("rerun"))
    )
    assert new["time_range"] != old["time_range"]
    assert new | {"time_range": 0} == old | {"time_range": 0}


def test_two_jobs_of_the_list_are_compared(way: Way) -> None:
    """Steps 29 to 31: the list, both selected and compared, back to the list."""
    page, both = way.page, (way.job("typed"), way.job("rerun"))
    page.get_by_role("link", name="Jobs", exact=True).click()
    pick(page, *both)
    picture(page, "list")
    page.get_by_role("link", name="Compare").click()
    page.wait_for_url("**/compare?jobs=*")
    page.locator(".chart .scatterlayer .js-line").nth(1).wait_for(state="attached")
    ranges = ("2024-01-01 to 2024-03-31", "2024-02-01 to 2024-02-08")
    told_apart = [f"{NAME} {each}" for each in ranges]
    expect(page.locator(".figures-table thead a")).to_have_text(told_apart)
    expect(page.locator(".differences tbody th").filter(has_text="range")).to_be_visible()
    picture(page, "compare")
    page.go_back()
    expect(page.locator("[data-role=open]")).to_have_count(3)


def test_a_running_and_a_queued_job_are_cancelled_together(stack: Stack, way: Way) -> None:
    """Steps 32 to 34: both appear by themselves, are cancelled after a question, and end."""
    page = way.page
    running, queued = (stack.submit(way.user, LONG_SWEEP, name=name) for name in ("one", "two"))
    expect(badge(page, running)).to_have_text("running")
    expect(badge(page, queued)).to_have_text("queued")
    pick(page, running, queued)
    page.get_by_role("button", name="Cancel 2").click()
    page.get_by_role("button", name="Cancel them").click()
    for job_id in (running, queued):
        expect(badge(page, job_id)).to_have_text("cancelled")


def test_no_page_of_the_way_complained(way: Way) -> None:
    """Neither an error of a script, nor a file not found, nor anything the CSP refused."""
    assert way.visit.complaints == []


# --- what else the way has to bear


@LOOKS
def test_screens_of_the_way_fit_their_window(
    stack: Stack, chromium: Browser, way: Way, name: str, theme: Theme, size: dict[str, int]
) -> None:
    user, typed_job, rerun = way.user, way.job("typed"), way.job("rerun")
    best = lean(user, typed_job)[0]["variant_key"]
    with stack.visit(chromium, user_id=user.user_id, theme=theme, size=size) as visit:
        for screen, path, shown in [
            ("list", "/", f'tr[data-job="{rerun}"]'),
            ("new-job", f"/new?from={typed_job}", ".product"),
            ("finished", f"/jobs/{typed_job}?variant={best}", CHART),
            ("compare", f"/compare?jobs={typed_job},{rerun}", ".chart .scatterlayer .js-line"),
        ]:
            page = visit.open(path)
            page.locator(shown).first.wait_for(state="attached")
            picture(page, f"{name}-{screen}")
            assert visit.fits(), screen
        assert visit.complaints == []


@LOOKS
def test_a_running_job_can_be_watched_by_anybody(
    stack: Stack, chromium: Browser, way: Way, name: str, theme: Theme, size: dict[str, int]
) -> None:
    job_id = stack.submit(way.user, LONG_SWEEP)
    with stack.visit(chromium, user_id=way.user.user_id, theme=theme, size=size) as visit:
        page = visit.open(f"/jobs/{job_id}")
        page.locator("#progress progress[value]").wait_for()
        picture(page, f"{name}-running")
        assert visit.accessible() == ""
        assert visit.fits()
        assert visit.complaints == []


def test_tabs_of_one_user_see_what_the_others_do(visit: Visit) -> None:
    watching, acting = visit.open("/"), visit.context.new_page()
    watching.wait_for_selector(".welcome")
    acting.goto(f"{visit.url}/new")
    acting.wait_for_selector("#form[data-ready]")
    acting.locator("#json").fill(json.dumps(LONG_SWEEP))
    acting.get_by_role("button", name="Run the sweep").click()
    acting.wait_for_url("**/jobs/*")
    job_id = acting.url.rpartition("/")[2]
    expect(badge(watching, job_id)).to_have_text("running")
    watching.locator(f'tr[data-job="{job_id}"]').get_by_role("button", name="Cancel").click()
    watching.get_by_role("button", name="Cancel the job").click()
    expect(acting.locator("#facts .badge")).to_have_text("cancelled")
    expect(acting.locator("#progress")).to_be_hidden()


def test_a_watched_job_goes_on_while_the_api_is_restarted(stack: Stack, visit: Visit) -> None:
    job_id = stack.submit(visit.user, LONG_SWEEP)
    page = visit.open(f"/jobs/{job_id}")
    expect(page).to_have_title(RUNNING)
    page.evaluate("window.same = true")
    stack.api.stop()
    try:
        expect(page.locator("#lost")).to_be_visible()
        before = percent(page)
    finally:
        stack.api.start()
    expect(page.locator("#lost")).to_be_hidden()
    until(page, f"parseInt(document.querySelector('#progress .percent').textContent) > {before}")
    visit.user.post(f"/backtests/jobs/{job_id}/cancel")
    expect(page.locator("#facts .badge")).to_have_text("cancelled")
    assert page.evaluate("window.same")
    # An API that stops answers 503 as long as it answers at all.
    away = ("net::ERR_", "status of 503")
    assert [said for said in visit.complaints if not any(how in said for how in away)] == []


def test_a_copied_variant_is_its_row_as_json(visit: Visit, stack: Stack) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    job_id = stack.finished(visit.user)
    page = visit.open(f"/jobs/{job_id}")
    open_row(page, 2)
    page.get_by_role("button", name="Copy as JSON").click()
    expect(page.locator("#toasts")).to_contain_text("copied as JSON")
    copied = json.loads(page.evaluate("() => navigator.clipboard.readText()"))
    key = lean(visit.user, job_id)[1]["variant_key"]
    assert copied == visit.user.get(f"/backtests/jobs/{job_id}/variants/{key}").json()
