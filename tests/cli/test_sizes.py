"""Jobs that say how large positions are and what holding them costs: what commands show of it."""

import csv
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli import axes, html_report
from engine.request.model import FIRST_EXECUTION
from engine.request.words import sizing_text
from tests.cli.conftest import START_MS, Backtest, changed, finish, submitted, written
from tests.cli.test_job_view import ASKED, facts, job, page
from tests.cli.test_rendering import variant
from tests.cli.test_top_table import CROSS, RSI, headings, printed, request, variants

TIMES = " \N{MULTIPLICATION SIGN} "
LEVERED = {"leverage": 10.0, "funding_pct_per_8h": 0.01, "borrow_pct_per_year": 7.5}
MODES = "leverage 10, funding 0.01 % every 8 hours, borrowing 7.5 % a year"
BY_PERCENT: dict[str, Any] = {
    "template__sizing_mode": "percent",
    "template__execution": {"percent": [25, 50, 100]},
}

BAR = [START_MS], [100.0]


def asked(sizing_mode: str = "all_in", **execution: Any) -> dict[str, str]:
    """What `show` says of a job that is sized like this."""
    execution = ASKED["template"]["execution"] | execution
    template = ASKED["template"] | {"sizing_mode": sizing_mode, "execution": execution}
    return facts(page(job(request=ASKED | {"template": template})))


def test_a_job_names_leverage_and_the_costs_of_holding_where_there_are_any() -> None:
    shown = asked(**LEVERED)
    assert shown["trading"] == "long-short, all in, leverage 10"
    assert shown["costs"] == (
        "fee 0.075 %, slippage 0.01 % of each side, funding 0.01 % every 8 hours, borrowing 7.5 % "
        "a year"
    )
    usual = asked(**FIRST_EXECUTION)
    assert usual == asked()
    assert usual["trading"] == "long-short, all in"
    assert usual["costs"] == "fee 0.075 %, slippage 0.01 % of each side"


def test_a_job_names_the_risk_of_a_trade() -> None:
    assert asked("risk_per_trade", risk_per_trade_pct=0.5)["trading"] == (
        "long-short, risk per trade 0.5 %"
    )


def test_a_risk_that_a_variant_leaves_out_is_the_one_it_was_at_first() -> None:
    bare = sizing_text({"sizing_mode": "risk_per_trade", "execution": {}})
    named = sizing_text({"sizing_mode": "risk_per_trade", "execution": FIRST_EXECUTION})
    assert bare == named == "risk per trade 1 %"


def test_a_job_lists_its_percents_behind_the_levels() -> None:
    levels = TIMES.join(["sl off, 1, 2.5 (3)", "tp off", "tsl off"])
    percents = {"mode": "range", "start": 10, "stop_incl": 30, "step": 10}
    assert asked("percent", percent=percents)["risk %"] == (
        f"{levels}{TIMES}percent 10..30 step 10 (3)"
    )
    assert asked("percent", percent=25.0)["risk %"] == f"{levels}{TIMES}percent 25"
    assert asked("all_in", percent=25.0)["risk %"] == levels


def sized(
    percents: list[float], blocks: tuple[dict[str, Any], ...] = (RSI,)
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A request by percent, and a variant for each; a row leaves out the one it was at first."""
    wanted = request(blocks=blocks, risk={"sl": [1, 2]})
    one_of_many = {"mode": "explicit", "values": percents}
    wanted["template"] |= {
        "sizing_mode": "percent",
        "execution": {"percent": one_of_many if len(percents) > 1 else percents[0]},
    }
    rows = variants(wanted)[: max(2, len(percents))]
    for row, percent in zip(rows, percents * 2, strict=False):
        execution = {} if percent == FIRST_EXECUTION["percent"] else {"percent": percent}
        row["payload_json"] |= {"sizing_mode": "percent", "execution": execution}
    return wanted, rows


def test_percents_are_a_column_of_the_top_list_behind_the_levels() -> None:
    wanted, rows = sized([12.5, 100.0])
    lines = printed(rows, wanted, 160)
    assert headings(lines)[-1].split()[-3:] == ["sl", "%", "percent"]
    listed = [line.split() for line in lines.splitlines() if line.startswith(("1 ", "2 "))]
    assert [line[-1] for line in listed] == ["12.5", "100"]


def test_a_narrow_top_list_names_the_percent_among_the_parameters() -> None:
    wanted, rows = sized([12.5, 100.0], (CROSS, RSI))
    assert "sl 1, percent 12.5" in " ".join(printed(rows, wanted, 45).split())


def test_a_percent_that_all_variants_share_is_said_once() -> None:
    wanted, rows = sized([30.0])
    assert "percent 30" in printed(rows, wanted, 160).split("\n\n", 1)[0]
    assert "percent" not in headings(printed(rows, wanted, 160))[-1]


def test_of_another_sizing_a_variant_has_no_percent() -> None:
    assert axes.percent_of({"sizing_mode": "all_in", "execution": {"percent": 5.0}}) is None


def test_an_export_has_a_column_for_the_percent(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path, **BY_PERCENT)
    finish(connection, job_id)
    file = tmp_path / "variants.csv"
    assert service("export", job_id, "--csv", file).code == 0
    rows = list(csv.DictReader(file.open(newline="")))
    assert [float(row["percent"]) for row in rows] == [
        stored["payload_json"]["execution"].get("percent", 100.0)
        for stored in service("top", job_id, "--json").json
    ]
    assert {row["percent"] for row in rows} == {"25.0", "50.0", "100.0"}
    assert list(rows[0]).index("percent") == list(rows[0]).index("risk.tsl") + 1


def test_an_export_of_another_sizing_has_no_such_column(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    assert "percent" not in service("export", job_id, "--csv", "-").out.splitlines()[0].split(",")


def test_the_page_of_a_report_says_size_leverage_and_costs() -> None:
    status, row = variant()
    status["request"]["template"] |= {"sizing_mode": "percent"}
    status["request"]["template"]["execution"] |= LEVERED
    row["payload_json"] |= {"sizing_mode": "percent", "execution": {"percent": 12.5}}
    shown = html_report.page(status, row, [START_MS], [100.0])
    assert f"long-short, percent, {MODES}, ranked by" in shown
    assert "<i>size</i><span>percent <b>12.5</b></span>" in shown
    assert "<i>size</i>" not in html_report.page(*variant(), [START_MS], [100.0])


def test_the_page_of_a_report_names_a_liquidation() -> None:
    status, row = variant()
    row["trades"] = [row["trades"][0] | {"exit_reason": "liquidation"}]
    assert "<td>liquidation</td>" in html_report.page(status, row, [START_MS], [100.0])


def test_the_page_of_a_report_lists_margin_and_carry_where_trades_have_them() -> None:
    def heads(**charges: float) -> list[str]:
        status, row = variant()
        row["trades"] = [trade | charges for trade in row["trades"]]
        return re.findall('<th scope="col"[^>]*>([^<]*)</th>', html_report.page(status, row, *BAR))

    usual = heads()
    assert heads(margin=1.0) == [*usual[:-3], "Margin", *usual[-3:]]
    assert heads(carry=-0.5, margin=1.0) == [*usual[:-3], "Margin", "Carry", *usual[-3:]]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_dry_run_counts_percents_and_names_the_leverage(
    service: Backtest, tmp_path: Path, as_json: bool
) -> None:
    execution = LEVERED | {"percent": [10, 20, 30]}
    wanted = written(
        tmp_path, changed(template__sizing_mode="percent", template__execution=execution)
    )
    if as_json:
        found = service("submit", wanted, "--dry-run", "--json").json
        assert found["stage_b_variants"] == found["stage_a_variants"] * 3 * 2
        assert found["risk_combinations"] == 3 * 2
    else:
        assert f"\n{MODES}\n" in service("submit", wanted, "--dry-run").out


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["submitted", "dry run"])
def test_stops_beyond_the_liquidation_are_warned_of(
    service: Backtest, tmp_path: Path, how: tuple[str, ...]
) -> None:
    wanted = changed(template__execution={"leverage": 50}, template__risk_grid={"sl": [1, 2]})
    text = service("submit", written(tmp_path, wanted), *how).out
    assert (
        "warning: no position reaches these stop losses, in percent: 2; with leverage 50 it is "
        "liquidated first, 2 % from its entry"
    ) in " ".join(text.split())


def test_a_submission_names_what_is_wrong_with_a_size(service: Backtest, tmp_path: Path) -> None:
    wanted = changed(template__sizing_mode="risk_per_trade", template__risk_grid={"sl": None})
    ended = service("submit", written(tmp_path, wanted))
    assert ended.code != 0
    assert "template.risk_grid.sl" in ended.err
    assert "sizes a position by its stop loss" in " ".join(ended.err.split())
