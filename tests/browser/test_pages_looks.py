"""Every page in both themes, on a phone and on a desk: readable, usable, silent."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Browser, expect

from engine.metric_names import METRICS
from tests.api.running import Caller
from tests.browser.stack import DESKTOP, PHONE, SWEEP, Stack, Theme, Visit

LOOKS = [(theme, size) for theme in ("light", "dark") for size in ("phone", "desktop")]


@pytest.fixture(scope="module")
def somebody(stack: Stack) -> tuple[UUID, str]:
    """Somebody with a finished job and a strategy, both of long names: (user, job)."""
    user = stack.api.as_user(uuid4())
    name = "a name as long as names may become, without an end " + "x" * 60
    job_id = stack.finished(user, SWEEP, name=name, note="a note")
    best = user.get(f"/backtests/jobs/{job_id}/top?limit=1").json()["items"][0]
    saved = {"name": name, "job_id": job_id, "variant_key": best["variant_key"], "note": "n" * 300}
    assert user.post("/strategies", json=saved).status_code == 201
    assert user.user_id is not None
    return user.user_id, job_id


@pytest.fixture(scope="module")
def ratio(stack: Stack) -> tuple[Caller, str]:
    """Somebody with a sweep that is ranked by a ratio: (user, job)."""
    user = stack.api.as_user(uuid4())
    ranking = {"primary_metric": "return_over_max_drawdown", "min_trades": 5}
    return user, stack.finished(user, SWEEP, ranking=ranking, top_trades_n=1)


@pytest.fixture(scope="module", params=LOOKS, ids="-".join)
def look(
    request: pytest.FixtureRequest,
    stack: Stack,
    chromium: Browser,
    somebody: tuple[UUID, str],
) -> Iterator[Visit]:
    """A window of one size in one theme."""
    theme: Theme = request.param[0]
    size = PHONE if request.param[1] == "phone" else DESKTOP
    with stack.visit(chromium, user_id=somebody[0], theme=theme, size=size) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "[data-role=open]"),
        ("/?q=nothing-like-it", ".empty"),
        ("/new?from=JOB", ".product"),
        ("/strategies", "article"),
        ("/docs", ".fields-table"),
        ("/signin?out", "#token"),
    ],
    ids=["list", "empty", "new", "strategies", "reference", "signin"],
)
def test_a_page_can_be_used_by_anybody(
    look: Visit, somebody: tuple[UUID, str], path: str, shown: str
) -> None:
    page = look.open(path.replace("JOB", somebody[1]))
    expect(page.locator(shown).first).to_be_visible()
    assert look.accessible() == ""
    assert look.fits()
    assert look.complaints == []


@pytest.mark.parametrize(
    "path", ["/", "/new?from=JOB", "/jobs/JOB", "/jobs/JOB?variant=KEY", "/compare?jobs=JOB,JOB"]
)
def test_figures_are_called_what_people_call_them(
    stack: Stack, chromium: Browser, path: str, ratio: tuple[Caller, str]
) -> None:
    user, job_id = ratio
    key = user.get(f"/backtests/jobs/{job_id}/top?limit=1").json()["items"][0]["variant_key"]
    with stack.visit(chromium, user_id=user.user_id) as visit:
        page = visit.open(path.replace("JOB", job_id).replace("KEY", key))
        expect(page.locator("main")).to_contain_text("return / max drawdown")
        shown = page.evaluate(
            "[document.body.innerText, document.title, ...[...document.querySelectorAll('*')]"
            ".flatMap((one) => ['title', 'aria-label', 'placeholder'].map((name) =>"
            " one.getAttribute(name) ?? ''))].join('\\n')"
        )
        assert [name for name in METRICS if "_" in name and name in shown] == []


def test_the_first_tab_leads_past_the_header(look: Visit) -> None:
    page = look.open("/strategies")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
