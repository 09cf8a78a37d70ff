"""What operators look at, in a real browser; who owns which job is written by the test itself."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Request, expect

from storage import leases
from storage.records import Stage
from tests.api.running import running
from tests.browser.stack import DESKTOP, LONG_SWEEP, PHONE, Stack, Theme, Visit, store_candles
from tests.storage.making import claimed, expire, new_database

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
REASON = '<b>disks</b> & "quotes"'


@pytest.fixture(scope="module")
def stack(
    postgres_server: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """An API alone: neither a scheduler nor a worker touches what a test has made."""
    folder = tmp_path_factory.mktemp("operate")
    (folder / "candles").mkdir()
    with (
        new_database(postgres_server, migrated_template) as dsn,
        running(dsn, store_candles(folder / "candles"), folder / "api") as api,
    ):
        yield Stack(api)


@pytest.fixture
def stored(stack: Stack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(stack.api.dsn, autocommit=True) as conn:
        conn.execute("TRUNCATE backtest_jobs, backtest_switches CASCADE")
        yield conn


@pytest.fixture(
    params=[("light", DESKTOP), ("dark", PHONE), ("dark", DESKTOP), ("light", PHONE)],
    ids=["light-desktop", "dark-phone", "dark-desktop", "light-phone"],
)
def look(request: pytest.FixtureRequest, stack: Stack, chromium: Browser) -> Iterator[Visit]:
    theme: Theme = request.param[0]
    with stack.visit(chromium, theme=theme, size=request.param[1], role="operator") as opened:
        yield opened
        stack.cancel_all(opened.user)


@pytest.fixture
def operator(stack: Stack, chromium: Browser) -> Iterator[Visit]:
    """A browser of an operator, after whom jobs start again."""
    with stack.visit(chromium, role="operator") as opened:
        yield opened
        opened.page.request.post(f"{stack.url}/operate/resume")
        stack.cancel_all(opened.user)


def test_it_can_be_used_by_any_operator(stored: psycopg.Connection, look: Visit) -> None:
    alive, gone = claimed(stored), claimed(stored)
    leases.start_stage(stored, alive, Stage.STAGE_B, 10)
    leases.progress(stored, alive, Stage.STAGE_B, 4, 10)
    expire(stored, gone.job_id)
    stored.execute(
        "UPDATE backtest_jobs SET lease_expires_at = now() - interval '90 s' WHERE job_id = %s",
        [gone.job_id],
    )
    page = look.open("/operate")
    expect(page.locator("#leases")).to_contain_text(str(alive.job_id))
    expect(page.locator("#leases")).to_contain_text("40 %")
    expect(page.locator("#hosts")).to_contain_text("host: 1")
    expect(page.locator('[data-problem="expired_lease"]')).to_contain_text(str(gone.job_id))
    expect(page.locator("#events tbody tr").first).to_contain_text("stage started")
    expect(page.locator("#no-events")).to_be_hidden()
    expect(page.locator("#ages tbody tr")).to_have_count(5)
    assert look.accessible() == ""
    assert look.fits()
    assert look.complaints == []


def test_only_operators_have_it_in_their_menu(stack: Stack, visit: Visit, operator: Visit) -> None:
    for path in ("/", "/new", "/strategies", "/docs"):
        menu = operator.open(path).get_by_role("navigation", name="Pages")
        expect(menu.get_by_role("link", name="Operate")).to_be_visible()
        menu = visit.open(path).get_by_role("navigation", name="Pages")
        expect(menu.get_by_role("link", name="New job")).to_be_visible()
        expect(menu.get_by_role("link", name="Operate")).to_have_count(0)
    assert visit.open("/operate").locator("h1").inner_text() != "Operate"
    nobody = httpx.get(f"{stack.url}/operate", headers=HTML)
    assert (nobody.status_code, nobody.headers["location"]) == (303, "/signin?next=%2Foperate")


def test_a_pause_is_seen_by_everybody_with_its_reason_until_it_ends(
    stack: Stack, stored: psycopg.Connection, visit: Visit, operator: Visit
) -> None:
    page = operator.open("/operate")
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Why").fill(REASON)
    page.locator("#pause").get_by_role("button", name="Pause").click()
    expect(page.locator("#paused")).to_contain_text(REASON)
    stack.submit(visit.user, LONG_SWEEP)
    expect(visit.open("/").locator("#paused")).to_contain_text(REASON)
    page.reload()
    expect(page.locator("#paused")).to_contain_text(f"by user {operator.user.user_id}")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator("#paused")).to_be_hidden()
    expect(visit.open("/").locator("[data-role=open]")).to_be_visible()
    expect(visit.page.locator("#paused")).to_be_hidden()
    assert operator.complaints == []


def test_figures_are_asked_for_again_and_not_while_nobody_looks(
    stack: Stack, operator: Visit
) -> None:
    page = operator.open("/operate")
    expect(page.locator("#operate")).to_have_attribute("aria-busy", "false")
    with page.expect_response("**/operate/queue", timeout=20_000):
        pass
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.away ?? false});"
        "window.away = true; document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked: list[str] = []

    def sent(request: Request) -> None:
        asked.append(request.url)

    page.on("request", sent)
    page.wait_for_timeout(6000)  # longer than the pause between two looks
    page.remove_listener("request", sent)
    assert asked == []
    with page.expect_response("**/operate/queue", timeout=20_000):
        page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
