"""A stage that several workers compute, as the page of its job shows it."""

import psycopg
from playwright.sync_api import expect

from storage import leases, shards
from storage.records import Claimed, Stage
from tests.api.running import Caller
from tests.browser.job_page import read
from tests.browser.stack import DESKTOP, PHONE, Stack, Visit
from tests.storage.making import claim, submitted
from tests.storage.sharing import RESULT, UNITS, coordinated, finished, helped, helper, planned

STAGE = "stage A: 12 of 49 shards done, 3 running on 3 workers, 34 open"
LATER = "stage A: 13 of 49 shards done, 2 running on 2 workers, 34 open"
DRAWN = (
    "(runs) => runs.map((run) =>"
    " [run.getAttribute('class'), run.x.baseVal.value, run.width.baseVal.value])"
)
COLOURS = (
    "(marks) => marks.map((mark) => getComputedStyle(mark))"
    ".map((style) => style.stroke === 'none' ? style.backgroundColor : style.fill)"
)


def test_a_shared_stage_is_a_strip_of_shards_that_follows_the_stream_and_goes_with_the_stage(
    stack: Stack, visit: Visit, owner: Caller, job_id: str
) -> None:
    request = owner.get(f"/backtests/jobs/{job_id}").json()["request"]
    with psycopg.connect(stack.api.dsn, autocommit=True) as conn:
        with conn.transaction():  # no real worker sees it before
            job = submitted(conn, user_id=visit.user.user_id, request_json=request)
            taken = claim(conn, job.job_id, lease_seconds=3600)
        assert isinstance(taken, Claimed)
        lease = taken.lease
        leases.start_stage(conn, lease, Stage.STAGE_A, 49 * UNITS)
        page = read(visit, str(job.job_id))
        sharing, runs = page.locator("#progress .sharing"), page.locator("#progress .strip rect")
        expect(page.locator("#progress")).to_contain_text("scoring variants")
        expect(sharing).to_be_hidden()

        plan = planned(conn, lease, 49)
        finished(conn, plan, 12)
        coordinated(conn, lease, plan)
        first = helped(conn, plan)
        helped(conn, plan, helper("host-8-00000008"))
        conn.execute(  # what is looked at takes a busy machine longer than they last
            "UPDATE backtest_job_shards SET lease_expires_at = now() + interval '1 hour'"
            " WHERE state = 'running'"
        )
        expect(sharing.locator("p")).to_have_text(STAGE)
        drawn = [["done", 0, 12], *(["running", at, 1] for at in (12, 13, 14)), ["open", 15, 34]]
        assert runs.evaluate_all(DRAWN) == drawn
        names = sharing.locator(".legend li")
        expect(names).to_have_text(
            ["host-1 1 running", "host-7 1 running, 12 done", "host-8 1 running"]
        )
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            hues = sharing.locator(".legend .dot").evaluate_all(COLOURS)
            assert len(set(hues)) == 3
            assert page.locator(".strip .running").evaluate_all(COLOURS) == hues
            for size in (DESKTOP, PHONE):
                page.set_viewport_size(size)  # type: ignore[arg-type]
                assert not visit.accessible()
                assert visit.fits()

        assert shards.finish(conn, first.lease, RESULT)
        expect(sharing.locator("p")).to_have_text(LATER)
        assert sharing.locator(".legend .dot").evaluate_all(COLOURS) == hues
        leases.start_stage(conn, lease, Stage.STAGE_B, UNITS)
        expect(sharing).to_be_hidden()
        expect(page.locator("#progress")).to_contain_text("stops and targets")
        assert leases.release(conn, lease)
    visit.user.post(f"/backtests/jobs/{job.job_id}/cancel")
    assert visit.complaints == []
