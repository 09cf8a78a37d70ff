"""The form of a request, in a real browser on the real stack."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from api import tokens
from tests.browser.stack import SWEEP, SYMBOL, Stack, Visit

SMA = {"indicator_id": "ma.sma", "params": {"window": [20, 50]}}


def field(page: Page, path: str) -> Locator:
    return page.locator(f'[data-path="{path}"]').locator("input, select").first


def product(base: int, exits: int) -> str:
    counted = f"{base} variant{'s' * (base > 1)}", f"{exits} exit{'s' * (exits > 1)}"
    return " \N{MULTIPLICATION SIGN} ".join(counted)


def document(page: Page) -> dict[str, Any]:
    """The request as the page shows it."""
    found: dict[str, Any] = json.loads(page.locator("#json").input_value())
    return found


def write(page: Page, body: Any) -> None:
    page.locator("#json").fill(json.dumps(body))


def ready(page: Page) -> Page:
    page.wait_for_selector("#form[data-ready]")
    return page


def add(page: Page, typed: str) -> None:
    page.get_by_role("combobox", name="Add an indicator").fill(typed)
    page.keyboard.press("Enter")


def test_typing_rsi_finds_the_indicator(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    page.get_by_role("combobox", name="Add an indicator").fill("RSI")
    options = page.locator("#found").get_by_role("option")
    expect(options.first).to_contain_text("momentum.rsi")
    assert all("rsi" in text.lower() for text in options.all_inner_texts())
    page.keyboard.press("Enter")
    assert document(page)["template"]["indicator_grids"] == [{"indicator_id": "momentum.rsi"}]
    expect(field(page, "template.indicator_grids[0].params.window")).to_be_focused()


def test_nothing_can_be_typed_before_the_form_knows_what_it_is_filled_with(visit: Visit) -> None:
    held: list[Route] = []
    visit.page.route("**/backtests/instruments", lambda route: held.append(route))
    page = visit.open("/new")
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#name")).to_be_disabled()
    held[0].continue_()
    expect(page.locator("#start")).to_be_enabled()


@pytest.mark.parametrize(
    ("typed", "axis", "count"),
    [
        ("10..200 step 5", {"mode": "range", "start": 10, "stop_incl": 200, "step": 5}, "→ 39"),
        ("5..9", {"mode": "range", "start": 5, "stop_incl": 9, "step": 1}, "→ 5"),
        (
            "0.1..0.3 step 0.1",
            {"mode": "range", "start": 0.1, "stop_incl": 0.3, "step": 0.1},
            "→ 3",
        ),
        ("5, 10, 20", [5, 10, 20], "→ 3"),
        ("[7 14]", [7, 14], "→ 2"),
        ("21", 21, "→ 1"),
        ("5..x", "5..x", ""),
        ("", None, "→ 196"),
    ],
)
def test_an_axis_is_what_was_typed(visit: Visit, typed: str, axis: Any, count: str) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    window = field(page, "template.indicator_grids[0].params.window")
    window.fill(typed)
    grid = document(page)["template"]["indicator_grids"][0]
    assert grid.get("params", {}).get("window") == axis
    expect(page.locator('[data-path$="params.window"] output')).to_have_text(count)


def test_variants_are_counted_while_one_types(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    field(page, "template.indicator_grids[0].params.window").fill("10..200 step 5")
    field(page, "template.risk_grid.sl").fill("off, 1, 2")
    expect(page.locator(".product")).to_have_text(product(39, 3))
    expect(page.get_by_role("button", name="Run the sweep")).to_be_enabled()
    assert visit.complaints == []


def test_what_is_wrong_stands_at_its_field_and_in_a_list(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    field(page, "template.risk_grid.tp").fill("0")
    field(page, "template.execution.fee_pct").fill("cheap")
    said = page.locator('[data-path="template.risk_grid.tp"] .error')
    expect(said).to_have_text("must be more than 0, got 0")
    expect(field(page, "template.risk_grid.tp")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#problems li")).to_have_count(2)
    expect(page.get_by_role("button", name="Run the sweep")).to_be_disabled()
    page.get_by_role("link", name="Fee % a fill").click()
    expect(field(page, "template.execution.fee_pct")).to_be_focused()
    field(page, "template.execution.fee_pct").fill("0.1")
    field(page, "template.risk_grid.tp").fill("")
    expect(page.locator(".error")).to_have_count(0)
    expect(field(page, "template.risk_grid.tp")).not_to_have_attribute("aria-invalid", "true")


def test_what_is_no_axis_is_refused_in_the_words_one_types(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    field(page, "template.indicator_grids[0].params.window").fill("10..x")
    words = "cannot be read: write a range like 10..200 step 5"
    expect(page.locator('[data-path$="params.window"] .error')).to_contain_text(words)
    expect(page.locator("#problems li")).to_contain_text(f"ma.sma window {words}")
    expect(page.locator("#state")).to_have_text("One thing is wrong")


def test_costs_are_seen_before_anything_is_typed(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    for name in ("fee_pct", "slippage_pct"):
        cost = field(page, f"template.execution.{name}")
        expect(cost).to_be_visible()
        assert float(cost.get_attribute("placeholder") or "") > 0


def test_a_warning_stands_beside_the_form(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    page.get_by_role("button", name="all there is").click()
    expect(page.locator("#problems .warn")).to_contain_text("no value on the first traded bar")
    expect(page.get_by_role("button", name="Run the sweep")).to_be_enabled()


def test_fills_are_chosen_in_the_form_and_end_the_warning_of_stops(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    stops = page.get_by_label("Stops are seen")
    expect(page.locator('[data-path="template.execution.stop_fill"] .hint')).to_contain_text(
        "inside bars (recommended for stops)"
    )
    assert stops.locator("option").all_inner_texts() == ["close (default)", "close", "intrabar"]
    field(page, "template.risk_grid.sl").fill("2")
    warning = page.locator("#problems .warn")
    expect(warning).to_contain_text("Stops are seen at closes only, so real losses exceed")
    stops.select_option("intrabar")
    page.get_by_label("Entries fill at").select_option("next open")
    expect(page.locator(".product")).to_be_visible()
    expect(warning).to_have_count(0)
    fills = {"entry_fill": "next_open", "stop_fill": "intrabar"}
    assert document(page)["template"]["execution"] == fills
    write(page, SWEEP)
    expect(stops).to_have_value("")
    assert visit.complaints == []


def test_form_and_json_follow_each_other(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    write(page, SWEEP | {"name": "from the JSON"})
    expect(field(page, "template.indicator_grids[0].params.window")).to_have_value("10..60 step 10")
    expect(page.get_by_label("Name")).to_have_value("from the JSON")
    expect(page.locator("#start")).to_have_value("2024-01-15")
    expect(field(page, "template.risk_grid.sl")).to_have_value("off, 1, 2")
    field(page, "template.risk_grid.sl").fill("3")
    assert document(page)["template"]["risk_grid"] == {"sl": 3, "tp": [None, 3]}
    write(page, "nothing")
    expect(page.locator("#problems")).to_contain_text("cannot be read")


def test_the_range_is_clipped_to_the_candles(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    template = {"instrument_id": {"market_id": 1, "symbol": "ELSE"}, "timeframe": "1h"}
    wide = {"start": "2020-01-01", "end": "2024-02-01"}
    write(page, {"time_range": wide, "template": template | {"indicator_grids": [SMA]}})
    expect(page.locator("#instrument")).to_have_value("")
    expect(page.locator("#problems")).to_contain_text("ELSE")
    page.locator("#instrument").select_option(label=f"{SYMBOL} · market 1")
    assert document(page)["time_range"] == {"start": "2024-01-01", "end": "2024-02-01"}
    expect(page.locator("#coverage")).to_contain_text("2024-01-01")


@pytest.mark.parametrize("path", ["/new", "/new?example"])
@pytest.mark.parametrize(("length", "minutes"), [("1h", 60), ("1d", 1440), ("5m", 5)])
def test_an_instrument_of_longer_bars_is_swept_at_a_length_it_has(
    visit: Visit, path: str, length: str, minutes: int
) -> None:
    def longer(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        told["items"][0] |= {"timeframe": length, "minutes": 1234 * minutes}
        route.fulfill(response=answer, json=told)

    visit.page.route("**/backtests/instruments", longer)
    page = ready(visit.open(path))
    expect(page.locator("#coverage")).to_contain_text(f"Bars of {length}: 1,234, ")
    assert document(page)["template"]["timeframe"] == ("15m" if length == "5m" else length)


def test_an_answer_that_comes_late_is_dropped(visit: Visit) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page = visit.page
    page.route("**/backtests/estimate", hold_the_first)
    ready(visit.open("/new"))
    add(page, "ma.sma")
    expect(page.locator("#state")).to_have_text("checking…")
    while not held:
        page.wait_for_timeout(20)
    field(page, "template.indicator_grids[0].params.window").fill("5, 10")
    expect(page.locator(".product")).to_have_text(product(2, 1))
    held[0].fulfill(
        json={
            "accepted": True,
            "stage_a_variants": 777,
            "stage_b_variants": 777,
            "risk_combinations": 1,
            "bytes": 1,
            "seconds": 1,
            "errors": [],
            "warnings": [],
            "same_as": None,
        }
    )
    page.evaluate("() => new Promise((done) => setTimeout(done, 0))")
    expect(page.locator(".product")).to_have_text(product(2, 1))


def test_closing_the_tab_loses_nothing(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    page.get_by_label("Name").fill("half an idea")
    field(page, "template.indicator_grids[0].params.window").fill("5, 10")
    page.close()
    page = visit.context.new_page()
    page.goto(f"{visit.url}/new")
    ready(page)
    expect(page.get_by_label("Name")).to_have_value("half an idea")
    expect(field(page, "template.indicator_grids[0].params.window")).to_have_value("5, 10")
    page.get_by_role("button", name="Start afresh").click()
    ready(page)
    expect(page.get_by_label("Name")).to_have_value("")


def test_a_sweep_is_submitted_once_and_its_page_follows(stack: Stack, visit: Visit) -> None:
    page = ready(visit.open("/new"))
    write(page, SWEEP | {"name": "mine", "note": "why not"})
    expect(page.locator(".product")).to_have_text(product(24, 6))
    page.get_by_role("button", name="Run the sweep").dblclick()
    page.wait_for_url("**/jobs/*")
    items = visit.user.get("/backtests/jobs").json()["items"]
    assert [item["name"] for item in items] == ["mine"]
    events = visit.user.get(f"/backtests/jobs/{items[0]['job_id']}/events").json()["items"]
    assert events[0]["details"]["client"] == "page"
    stack.wait(visit.user, items[0]["job_id"], "succeeded")
    page.goto(f"{visit.url}/new")
    expect(ready(page).get_by_label("Name")).to_have_value("")


def test_a_duplicate_is_the_same_request(stack: Stack, visit: Visit) -> None:
    job_id = stack.finished(visit.user, SWEEP, name="first")
    page = ready(visit.open(f"/new?from={job_id}"))
    expect(page.get_by_role("link", name="open that job")).to_have_attribute(
        "href", f"/jobs/{job_id}"
    )
    expect(page.get_by_label("Name")).to_have_value("first")


def test_a_rerun_differs_in_its_range_alone(stack: Stack, visit: Visit) -> None:
    job_id = stack.finished(visit.user, SWEEP)
    page = ready(visit.open(f"/new?from={job_id}&range=new"))
    expect(page.locator("#start")).to_be_focused()
    page.locator("#start").fill("2024-02-01")
    expect(page.get_by_role("button", name="Run the sweep")).to_be_enabled()
    page.get_by_role("button", name="Run the sweep").click()
    page.wait_for_url("**/jobs/*")
    rerun = page.url.rpartition("/")[2]
    before = visit.user.get(f"/backtests/jobs/{job_id}").json()["request"]
    after = visit.user.get(f"/backtests/jobs/{rerun}").json()["request"]
    assert after["time_range"] == before["time_range"] | {"start": "2024-02-01T00:00:00Z"}
    assert after | {"time_range": 0} == before | {"time_range": 0}


def test_copied_commands_submit_the_request(stack: Stack, visit: Visit, tmp_path: Path) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = ready(visit.open("/new"))
    write(page, SWEEP | {"name": "it's copied"})
    expect(page.locator(".product")).to_be_visible()
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("status").filter(has_text="curl command copied")).to_be_visible()
    curl = page.evaluate("() => navigator.clipboard.readText()")
    _write_jar(tmp_path / "cookies.txt", stack.api.token(visit.user.user_id))
    done = subprocess.run(
        curl, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout).get("name") == "it's copied", done.stdout
    page.get_by_role("button", name="Copy as command").click()
    expect(page.get_by_role("status").filter(has_text="Command copied")).to_be_visible()
    command = page.evaluate("() => navigator.clipboard.readText()")
    echo, _, rest = command.rpartition(" | ")
    assert rest == "backtest submit - --watch"
    written = subprocess.run(echo, shell=True, capture_output=True, text=True, check=True).stdout
    assert json.loads(written) == SWEEP | {"name": "it's copied"}


def test_a_strategy_is_kept_renamed_run_elsewhere_and_deleted(stack: Stack, visit: Visit) -> None:
    job_id = stack.finished(visit.user, SWEEP)
    best = visit.user.get(f"/backtests/jobs/{job_id}/top?limit=1").json()["items"][0]
    source = {"name": "<b>Best</b>", "job_id": job_id, "variant_key": best["variant_key"]}
    assert visit.user.post("/strategies", json=source).status_code == 201
    page = visit.open("/strategies")
    expect(page.get_by_role("heading", level=2).first).to_have_text("<b>Best</b>")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Name").fill("Best of all")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=2).first).to_have_text("Best of all")
    page.get_by_role("link", name="Run").click()
    ready(page)
    page.locator("#start").fill("2024-02-10")
    overrides = document(page)["overrides"]
    assert list(overrides) == ["time_range"]
    expect(page.locator(".product")).to_have_text(product(1, 1))
    page.get_by_role("button", name="Run the sweep").click()
    page.wait_for_url("**/jobs/*")
    run = visit.user.get(f"/backtests/jobs/{page.url.rpartition('/')[2]}").json()
    assert (run["mode"], run["name"]) == ("saved", "Best of all")
    page.goto(f"{visit.url}/strategies")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.locator(".empty")).to_contain_text("No strategy is saved yet")


def test_a_job_that_is_not_there_is_said_plainly(visit: Visit) -> None:
    page = visit.open("/new?from=ffffffff")
    expect(page.locator(".empty")).to_contain_text("No job of yours begins with ffffffff")


def _write_jar(file: Path, token: str) -> None:
    line = "\t".join(("127.0.0.1", "FALSE", "/", "FALSE", "0", tokens.COOKIE, token))
    file.write_text(f"# Netscape HTTP Cookie File\n{line}\n")
