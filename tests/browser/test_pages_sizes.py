"""How large positions are and what holding them costs: in the form, and where a job is shown."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import DESKTOP, PHONE, SWEEP, Stack, Visit
from tests.browser.test_pages_new import add, document, field, ready, write

EXECUTION = "template.execution"
FIELDS = {
    "fixed_quote": f"{EXECUTION}.fixed_quote",
    "strategy_compound_profit_lock": f"{EXECUTION}.safe_profit_percent",
    "percent": f"{EXECUTION}.percent",
    "risk_per_trade": f"{EXECUTION}.risk_per_trade_pct",
}
"""The one field that a sizing has of its own."""

LEVERED = {"leverage": 5, "funding_pct_per_8h": 0.01, "borrow_pct_per_year": 8}
BY_PERCENT: dict[str, Any] = SWEEP | {
    "template": SWEEP["template"]
    | {"sizing_mode": "percent", "execution": LEVERED | {"percent": [25, 100]}}
}
TIMES = " \N{MULTIPLICATION SIGN} "
SAID_OF_STORED = """async () => {
  const files = performance.getEntriesByType("resource").map((one) => one.name);
  const { modesText } = await import(files.find((name) => name.endsWith("/asked.js")));
  return modesText({ execution: { funding_pct_per_8h: "stored", borrow_pct_per_year: 8 } });
}"""
COSTS = "funding 0.01 % every 8 hours, borrowing 8 % a year"


def sized(page: Page, mode: str) -> None:
    page.get_by_label("Sizing").select_option(mode)


def test_every_sizing_shows_the_field_that_is_its_own_and_no_other(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    for mode in ("", "all_in", *FIELDS):
        sized(page, mode)
        shown = [path for path in FIELDS.values() if field(page, path).is_visible()]
        assert shown == ([FIELDS[mode]] if mode in FIELDS else [])
    assert visit.complaints == []


def test_percents_are_typed_like_levels_and_multiply_the_variants(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    field(page, "template.indicator_grids[0].params.window").fill("20, 50")
    sized(page, "percent")
    field(page, FIELDS["percent"]).fill("20..100 step 20")
    expect(page.locator(".product")).to_have_text(f"2 variants{TIMES}5 exits and sizes")
    assert document(page)["template"]["execution"] == {
        "percent": {"mode": "range", "start": 20, "stop_incl": 100, "step": 20}
    }
    assert visit.complaints == []


def test_percents_go_with_their_sizing_and_come_back_with_it(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    sized(page, "percent")
    field(page, FIELDS["percent"]).fill("10, 20")
    sized(page, "all_in")
    assert "percent" not in document(page)["template"].get("execution", {})
    expect(page.get_by_role("button", name="Run the sweep")).to_be_enabled()
    sized(page, "percent")
    expect(field(page, FIELDS["percent"])).to_have_value("10, 20")
    assert document(page)["template"]["execution"] == {"percent": [10, 20]}


def test_percents_that_no_sizing_uses_are_shown_with_what_to_do(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    write(page, SWEEP | {"template": SWEEP["template"] | {"execution": {"percent": [10, 20]}}})
    place = page.locator(f'[data-path="{FIELDS["percent"]}"] .error')
    expect(place).to_contain_text('has several values, and template.sizing_mode is "all_in"')


def test_risk_per_trade_says_at_the_stop_loss_that_it_needs_one(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    sized(page, "risk_per_trade")
    place = page.locator('[data-path="template.risk_grid.sl"] .error')
    expect(place).to_contain_text("sizes a position by its stop loss")
    field(page, "template.risk_grid.sl").fill("1, 2")
    expect(place).to_have_count(0)
    expect(page.get_by_role("button", name="Run the sweep")).to_be_enabled()


def test_leverage_and_costs_of_holding_are_folded_away_until_one_is_given(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    leverage = page.get_by_label("Leverage", exact=True)
    expect(leverage).to_be_hidden()
    page.get_by_text("Leverage and costs of holding").click()
    leverage.fill("5")
    page.get_by_label("Funding % every 8 hours").fill("0.01")
    page.get_by_label("Borrowing % a year").fill("8")
    assert document(page)["template"]["execution"] == LEVERED
    page.reload()
    expect(page.get_by_label("Leverage", exact=True)).to_be_visible()
    expect(page.get_by_label("Leverage", exact=True)).to_have_value("5")


def test_funding_as_stored_is_offered_and_said_to_be_missing_at_its_field(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    execution = {"funding_pct_per_8h": "stored"}
    write(page, SWEEP | {"template": SWEEP["template"] | {"execution": execution}})
    funding = page.get_by_label("Funding % every 8 hours")
    expect(funding).to_have_value("stored")
    assert funding.evaluate("input => [...input.list.options].map(one => one.value)") == ["stored"]
    place = page.locator(f'[data-path="{EXECUTION}.funding_pct_per_8h"] .error')
    expect(place).to_contain_text("no funding rate of")
    funding.fill("0.01")
    expect(place).to_have_count(0)
    assert document(page)["template"]["execution"] == {"funding_pct_per_8h": 0.01}
    funding.fill("stored")
    expect(place).to_have_count(1)
    assert document(page)["template"]["execution"] == execution


def test_a_wrong_leverage_is_said_where_it_can_be_seen(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    write(page, SWEEP | {"template": SWEEP["template"] | {"execution": {"leverage": 126}}})
    expect(page.get_by_text("must be at most 125").first).to_be_visible()
    expect(page.locator(f'[data-path="{EXECUTION}.leverage"] .error')).to_be_visible()


@pytest.mark.parametrize("sweep", [SWEEP, BY_PERCENT], ids=["usual", "levered"])
def test_the_form_with_sizes_and_leverage_is_accessible_and_fits(
    visit: Visit, sweep: dict[str, Any]
) -> None:
    page = ready(visit.open("/new"))
    write(page, sweep)
    expect(page.locator(".product")).to_be_visible()
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert not visit.accessible()
        assert visit.fits()


def test_a_duplicate_of_a_usual_job_keeps_leverage_folded_away(stack: Stack, visit: Visit) -> None:
    page = ready(visit.open(f"/new?from={stack.submit(visit.user, SWEEP)}"))
    expect(page.get_by_label("Leverage", exact=True)).to_be_hidden()
    page = ready(visit.open(f"/new?from={stack.submit(visit.user, BY_PERCENT)}"))
    expect(page.get_by_label("Leverage", exact=True)).to_have_value("5")
    expect(field(page, FIELDS["percent"])).to_have_value("25, 100")


def test_a_job_names_sizes_leverage_and_costs(stack: Stack, visit: Visit) -> None:
    page = visit.open(f"/jobs/{stack.submit(visit.user, BY_PERCENT)}")
    page.get_by_text("What was asked").click()

    def said(label: str) -> str:
        return page.locator("dt", has_text=label).locator("+ dd").first.inner_text()

    assert said("trading") == "long-short, percent, leverage 5"
    assert said("costs").endswith(f"of each side, {COSTS}")
    assert page.evaluate(SAID_OF_STORED) == "funding as stored, borrowing 8 % a year"
    levels = ["stop loss off, 1, 2 (3)", "take profit off, 3 (2)", "trailing stop off"]
    assert said("risk %") == TIMES.join([*levels, "percent 25, 100 (2)"])
    risky = SWEEP["template"] | {"sizing_mode": "risk_per_trade", "risk_grid": {"sl": [2]}}
    page = visit.open(f"/jobs/{stack.submit(visit.user, SWEEP, template=risky)}")
    page.get_by_text("What was asked").click()
    assert said("trading") == "long-short, risk per trade 1 %"


def test_a_finished_job_tells_its_variants_apart_by_their_percents(
    stack: Stack, visit: Visit
) -> None:
    job_id = stack.finished(visit.user, BY_PERCENT, top_k=288)  # all there are
    page = visit.open(f"/jobs/{job_id}")
    first = page.locator(".top-rows tbody tr").first
    expect(first).to_be_visible()
    assert "percent" in page.locator(".top-rows thead").inner_text().lower().split()
    expect(page.locator("figcaption", has_text="percent")).to_have_text("percent")
    expect(page.get_by_label("Variant number")).to_have_attribute("max", str(6 * 4 * 12 - 1))
    rows = visit.user.get(f"/backtests/jobs/{job_id}/top?limit=288&include=none").json()["items"]
    percents = {row["payload_json"]["execution"].get("percent", 100.0) for row in rows}
    assert percents == {25.0, 100.0}
    page = visit.open(f"/compare?variants={job_id}:1,{job_id}:{len(rows)}")
    expect(page.locator(".differences")).to_be_visible()
    assert visit.complaints == []


def test_a_comparison_names_what_one_of_the_jobs_leaves_out(stack: Stack, visit: Visit) -> None:
    usual, levered = (stack.finished(visit.user, one) for one in (SWEEP, BY_PERCENT))
    page = visit.open(f"/compare?jobs={usual},{levered}")
    expect(page.locator(".differences")).to_be_visible()

    def line(name: str) -> list[str]:
        head = page.get_by_role("rowheader", name=name, exact=True)
        return head.locator("xpath=..").locator("td").all_inner_texts()

    assert line("sizing") == ["all in", "percent"]
    assert line("leverage") == ["off", "5"]
    assert line("funding % per 8h") == ["0", "0.01"]
    assert line("borrow % per year") == ["0", "8"]


def test_a_strategy_names_percents_and_leverage(stack: Stack, visit: Visit) -> None:
    template = BY_PERCENT["template"]
    sent = {"name": "Levered", "template": template}
    assert visit.user.post("/strategies", json=sent).status_code == 201
    card = visit.open("/strategies").locator("[data-strategy]")
    expect(card.locator("li", has_text="percent")).to_have_text("percent 25, 100")
    expect(card).to_contain_text(f"Leverage 5, {COSTS}")
