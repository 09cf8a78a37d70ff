"""Positions that are held: in the form of a request, and where a job is shown."""

import json
from typing import Any

from playwright.sync_api import expect

from engine.request import holding_example
from tests.browser.stack import DESKTOP, PHONE, SWEEP, Stack, Visit
from tests.browser.test_pages_drawer import save
from tests.browser.test_pages_new import add, document, field, ready, write

RSI: dict[str, Any] = {
    "indicator_id": "momentum.rsi",
    "params": {"window": [7, 14]},
    "signals": {"long_threshold": [20], "short_threshold": [70, 75]},
}
HOLDING: dict[str, Any] = SWEEP | {
    "template": SWEEP["template"] | {"position": "hold", "exit_grids": [RSI]}
}
TIMES = " \N{MULTIPLICATION SIGN} "
HELD = "positions held until a signal against them"
PAUSE = "no entry for 5 bars after a stop or target"


def test_a_position_that_is_held_has_exit_signals_with_the_same_editor(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    exits = page.locator("#exits")
    expect(page.get_by_role("radio", name="the position is closed")).to_be_checked()
    expect(exits).to_be_hidden()
    page.get_by_role("radio", name="the position is held").check()
    search = page.get_by_role("combobox", name="Add an exit indicator")
    search.fill("RSI")
    expect(search).to_have_attribute("aria-activedescendant", "found-exit-0")
    expect(exits.locator("#found-exit-0")).to_contain_text("momentum.rsi")
    page.keyboard.press("Enter")
    window = field(page, "template.exit_grids[0].params.window")
    expect(window).to_be_focused()
    window.fill("7, 14")
    field(page, "template.exit_grids[0].signals.long_threshold").fill("20")
    field(page, "template.exit_grids[0].signals.short_threshold").fill("70, 75")
    field(page, "template.indicator_grids[0].params.window").fill("20, 50")
    expect(page.locator(".product")).to_contain_text("8 variants")
    template = document(page)["template"]
    assert template["position"] == "hold"
    assert template["exit_grids"] == [RSI | {"signals": RSI["signals"] | {"long_threshold": 20}}]
    assert visit.complaints == []


def test_exit_signals_go_with_the_choice_that_has_them_and_come_back_with_it(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    write(page, HOLDING)
    expect(page.get_by_role("radio", name="the position is held")).to_be_checked()
    page.get_by_role("radio", name="the position is closed").check()
    expect(page.locator("#exits")).to_be_hidden()
    assert not {"position", "exit_grids"} & set(document(page)["template"])
    page.get_by_role("radio", name="the position is held").check()
    assert document(page)["template"]["exit_grids"] == [RSI]
    page.get_by_role("button", name="Remove exit momentum.rsi").click()
    assert document(page)["template"]["exit_grids"] == []
    expect(page.locator("#exits .block")).to_have_count(0)
    expect(page.get_by_role("button", name="Run the sweep")).to_be_enabled()


def test_what_is_wrong_with_an_exit_block_is_said_at_its_field(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    wrong = RSI | {"params": {"window": 1}}
    write(page, HOLDING | {"template": HOLDING["template"] | {"exit_grids": [wrong]}})
    place = page.locator('[data-path="template.exit_grids[0].params.window"] .error')
    expect(place).to_contain_text("must be at least 2")
    expect(page.get_by_role("link", name="exit momentum.rsi window")).to_be_visible()
    write(page, HOLDING | {"template": HOLDING["template"] | {"position": "state"}})
    expect(page.locator("#exits > .error")).to_contain_text('set it to "hold"')
    expect(page.locator("#exits .block")).to_be_visible()


def test_a_pause_after_a_stop_stands_beside_the_stops(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    add(page, "ma.sma")
    page.get_by_label("Pause after these, in bars").fill("5")
    assert document(page)["template"]["execution"] == {"reentry_after_bars": 5}
    expect(page.locator(".product")).to_be_visible()


def test_the_form_with_exit_signals_is_accessible_and_fits(visit: Visit) -> None:
    page = ready(visit.open("/new"))
    write(page, HOLDING)
    expect(page.locator("#exits .block")).to_be_visible()
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert not visit.accessible()
        assert visit.fits()


def test_a_job_names_what_is_held_and_its_exit_blocks(stack: Stack, visit: Visit) -> None:
    template = HOLDING["template"] | {"execution": {"reentry_after_bars": 5}}
    page = visit.open(f"/jobs/{stack.submit(visit.user, HOLDING, template=template)}")
    words = f"{HELD}, {PAUSE}"
    expect(page.locator("#name")).to_contain_text("ma.sma + momentum.rsi + exit momentum.rsi")
    expect(page.locator("#facts")).to_contain_text(words)
    page.get_by_text("What was asked").click()
    expect(page.get_by_role("definition").filter(has_text=words)).to_be_visible()
    asked = page.locator("dt", has_text="exit momentum.rsi").locator("+ dd")
    expect(asked).to_have_text(TIMES.join(["window 7, 14 (2)", "long 20", "short 70, 75 (2)"]))


def test_a_duplicate_of_a_job_that_holds_is_the_same_request(stack: Stack, visit: Visit) -> None:
    page = ready(visit.open(f"/new?from={stack.submit(visit.user, HOLDING)}"))
    expect(page.get_by_role("radio", name="the position is held")).to_be_checked()
    expect(field(page, "template.exit_grids[0].signals.short_threshold")).to_have_value("70, 75")
    assert (
        "exit_grids"
        not in document(ready(visit.open(f"/new?from={stack.submit(visit.user, SWEEP)}")))[
            "template"
        ]
    )


def test_the_reference_shows_an_example_that_holds(visit: Visit) -> None:
    page = visit.open("/docs")
    page.get_by_text("Buy when RSI leaves oversold, sell when it is overbought").click()
    shown = page.locator("#request details pre")
    expect(shown).to_be_visible()
    assert json.loads(shown.inner_text()) == holding_example()
    assert visit.complaints == []


def test_a_finished_job_tells_its_variants_apart_by_their_exits(stack: Stack, visit: Visit) -> None:
    page = visit.open(f"/jobs/{stack.finished(visit.user, HOLDING)}")
    first = page.locator(".top-rows tbody tr").first
    expect(first).to_be_visible()
    shown = " ".join(page.locator(".top-rows thead").inner_text().split())
    assert "exit rsi short" in shown.lower()
    first.locator("td").nth(1).click()
    parameters = page.locator(".drawer li", has_text="exit rsi")
    expect(parameters).to_contain_text("short 7")
    name = save(page, "Held")
    expect(name).to_contain_text("Saved as Held")
    page = visit.open("/strategies")
    card = page.locator("[data-strategy]")
    expect(card.get_by_role("heading", name="exit momentum.rsi")).to_be_visible()
    expect(card).to_contain_text(HELD.capitalize())
    assert visit.complaints == []


def test_a_comparison_names_position_and_exits_where_they_differ(
    stack: Stack, visit: Visit
) -> None:
    template = HOLDING["template"] | {"execution": {"reentry_after_bars": 5}}
    usual = stack.finished(visit.user, SWEEP)
    held = stack.finished(visit.user, HOLDING, template=template)
    page = visit.open(f"/compare?jobs={usual},{held}")

    def line(name: str) -> list[str]:
        head = page.locator(".differences th", has_text=name).first
        return head.locator("xpath=..").locator("td").all_inner_texts()

    expect(page.locator(".differences")).to_be_visible()
    assert line("position") == ["ends with its signals", f"{HELD}, {PAUSE}"]
    assert line("exit momentum.rsi window")[0] == "\N{EN DASH}"
    assert line("exit momentum.rsi window")[1] in ("7", "14")
    assert "reentry" not in page.locator("#differences").inner_text()
