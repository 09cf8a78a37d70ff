"""The list of jobs, in a real browser on the real stack."""

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, expect

from tests.api.running import running
from tests.browser.stack import LONG_SWEEP, SWEEP, Stack, Visit

HOSTILE = '<img src=x onerror="document.title=1">&amp;'

COUNTED_STREAMS = """
window.streams = [];
window.EventSource = class extends EventSource {
  constructor(...given) { super(...given); window.streams.push(this); }
};
"""


def cancelled(stack: Stack, visit: Visit, name: str) -> str:
    """Make a job that has ended before it began."""
    job_id = stack.submit(visit.user, LONG_SWEEP, name=name)
    visit.user.post(f"/backtests/jobs/{job_id}/cancel")
    return job_id


def names(page: Page) -> list[str]:
    return page.locator("[data-role=open]").all_inner_texts()


def test_a_newcomer_gets_from_the_empty_list_to_a_finished_sweep(
    stack: Stack, visit: Visit
) -> None:
    page = visit.open("/")
    page.get_by_role("button", name="Run the example sweep").click()
    page.wait_for_url("**/jobs/*")
    job_id = page.url.rpartition("/")[2]
    status = stack.wait(visit.user, job_id, "succeeded", "failed")
    assert status["state"] == "succeeded"
    page.goto(visit.url)
    row = page.locator(f'tr[data-job="{job_id}"]')
    expect(row.locator(".state")).to_have_text("succeeded")
    expect(row.locator(".best")).to_contain_text("%")
    assert visit.complaints == []


def test_the_example_says_how_many_variants_it_tries(visit: Visit) -> None:
    page = visit.open("/")
    said = page.locator(".welcome b").first.inner_text()
    page.get_by_role("link", name="Open it in the form").click()
    expect(page.locator(".product b")).to_have_count(2)
    base, exits = page.locator(".product b").all_inner_texts()
    product = int(base.replace(",", "")) * int(exits)
    assert said == f"{product:,} variants"


def test_without_candles_the_page_says_how_to_import_them(
    stack: Stack, chromium: Browser, tmp_path: Path
) -> None:
    (tmp_path / "candles").mkdir()
    with (
        running(stack.api.dsn, tmp_path / "candles", tmp_path / "api") as api,
        Stack(api).visit(chromium) as visit,
    ):
        page = visit.open("/")
        expect(page.locator("pre")).to_contain_text("backtest candles import")
        expect(page.get_by_role("button", name="Look again")).to_be_visible()


def test_a_job_appears_and_moves_without_a_reload(stack: Stack, visit: Visit) -> None:
    page = visit.open("/")
    page.wait_for_selector(".welcome")
    job_id = stack.submit(visit.user, LONG_SWEEP, name="watched")
    row = page.locator(f'tr[data-job="{job_id}"]')
    expect(row.locator(".state")).to_have_text("running")
    expect(row.locator(".going")).to_contain_text(
        re.compile(r"scoring variants \d+ % · .*/s · .* left")
    )
    expect(page).to_have_title(re.compile(r"\d+ % · BTCUSDT"))
    row.get_by_role("link").focus()
    page.keyboard.press("c")
    page.get_by_role("button", name="Cancel the job").click()
    expect(row.locator(".state")).to_have_text("cancelled")
    expect(page.locator('[data-state="cancelled"] b').first).to_have_text("1")
    expect(page).to_have_title("Jobs")


def test_jobs_of_one_moment_all_appear_newest_first(stack: Stack, visit: Visit) -> None:
    page = visit.open("/")
    cancelled(stack, visit, "there before")
    expect(page.locator("[data-role=open]")).to_have_text(["there before"])
    for name in ("one", "two", "three"):
        cancelled(stack, visit, name)
    expect(page.locator("[data-role=open]")).to_have_text(["three", "two", "one", "there before"])


def test_a_job_that_comes_while_the_empty_list_looks_for_candles_stays(
    stack: Stack, visit: Visit
) -> None:
    held: list[Route] = []
    visit.context.route("**/backtests/instruments", lambda route: held.append(route))
    page = visit.open("/")
    page.wait_for_selector(".empty")
    cancelled(stack, visit, "came meanwhile")
    expect(page.get_by_role("link", name="came meanwhile")).to_be_visible()
    with page.expect_response("**/backtests/instruments"):
        for route in held:
            route.continue_()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(page.get_by_role("link", name="came meanwhile")).to_be_visible()


def test_nothing_is_cancelled_before_the_question_is_answered(stack: Stack, visit: Visit) -> None:
    long_job = stack.submit(visit.user, LONG_SWEEP)
    page = visit.open("/")
    page.locator(f'tr[data-job="{long_job}"]').get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Go on computing").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert visit.user.get(f"/backtests/jobs/{long_job}").json()["cancel_requested_at"] is None


def test_a_restart_of_the_api_is_said_and_survived(stack: Stack, visit: Visit) -> None:
    page = visit.open("/")
    page.wait_for_selector(".welcome")
    stack.api.stop()
    expect(page.locator("#lost")).to_be_visible()
    stack.api.start()
    expect(page.locator("#lost")).to_be_hidden()
    cancelled(stack, visit, "after the restart")
    expect(page.get_by_role("link", name="after the restart")).to_be_visible()


def test_filters_live_in_the_address(stack: Stack, visit: Visit) -> None:
    cancelled(stack, visit, "given up")
    stack.finished(visit.user, name="done")
    page = visit.open("/")
    expect(page.locator("[data-role=open]")).to_have_text(["done", "given up"])
    page.locator('#states [data-state="cancelled"]').click()
    expect(page.locator("[data-role=open]")).to_have_text(["given up"])
    assert page.url.endswith("/?state=cancelled")
    page.reload()
    expect(page.locator("[data-role=open]")).to_have_text(["given up"])
    expect(page.locator('#states [data-state="cancelled"]')).to_have_attribute(
        "aria-pressed", "true"
    )
    page.go_back()
    expect(page.locator("[data-role=open]")).to_have_text(["done", "given up"])


def test_keys_search_move_select_and_open(stack: Stack, visit: Visit) -> None:
    for name in ("alpha one", "alpha two", "beta"):
        last = cancelled(stack, visit, name)
    page = visit.open("/")
    expect(page.locator("[data-role=open]")).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("ALPHA")
    expect(page.locator("[data-role=open]")).to_have_text(["alpha two", "alpha one"])
    assert "q=ALPHA" in page.url
    page.locator("#q").fill(last[:8])
    expect(page.locator("[data-role=open]")).to_have_text(["beta"])
    page.locator("#q").fill("")
    expect(page.locator("[data-role=open]")).to_have_count(3)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    ids = [page.locator("tbody tr").nth(at).get_attribute("data-job") for at in (0, 1)]
    expect(page.get_by_role("link", name="Compare")).to_have_attribute(
        "href", f"/compare?jobs={ids[0]},{ids[1]}"
    )
    expect(page.locator("#selection")).to_have_text("2 selectedCompareClear")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{last}")


def test_pages_follow_each_other_through_all_jobs(stack: Stack, visit: Visit) -> None:
    for number in range(53):
        cancelled(stack, visit, f"job {number}")
    page = visit.open("/")
    expect(page.locator("[data-role=open]")).to_have_count(50)
    page.get_by_role("button", name="Older").click()
    expect(page.locator("[data-role=open]")).to_have_text(["job 2", "job 1", "job 0"])
    page.get_by_role("button", name="Newest").click()
    expect(page.locator("[data-role=open]").first).to_have_text("job 52")


def test_what_a_user_wrote_is_shown_as_text(stack: Stack, visit: Visit) -> None:
    stack.finished(visit.user, SWEEP, name=HOSTILE)
    page = visit.open("/")
    expect(page.locator("[data-role=open]")).to_have_text([HOSTILE])
    assert page.locator("main img").count() == 0
    page.goto(f"{visit.url}/?q=%3Cimg%20src=x%20onerror=document.title=1%3E")
    expect(page.locator(".empty")).to_contain_text("No job matches")
    assert visit.complaints == []


def test_a_hidden_page_holds_no_stream(visit: Visit) -> None:
    with visit.page.add_init_script(COUNTED_STREAMS):
        page = visit.open("/")
        page.wait_for_selector(".welcome")
        opened = "() => window.streams.filter((one) => one.readyState !== 2).length"
        assert page.evaluate(opened) == 1
        show = """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
        page.evaluate(show, True)
        assert page.evaluate(opened) == 0
        page.evaluate(show, False)
        assert page.evaluate(opened) == 1
