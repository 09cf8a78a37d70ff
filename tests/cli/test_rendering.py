import io
import json
import re
from typing import Any

import psycopg
import pytest
from rich.console import Console

from cli import html_report, render, watching
from storage.connection import Unreachable
from tests.cli.conftest import EQUITY, REQUEST, START_MS, TABLE, TRADES

JOB: dict[str, Any] = {
    "job_id": "j",
    "state": "running",
    "stage": "stage_a",
    "attempt": 1,
    "processed_units": 0,
    "total_units": 100,
}


def payload(fast: int, sl: float | None) -> dict[str, Any]:
    return {
        "blocks": [
            {
                "name": "ma.cross",
                "output": "diff",
                "source": "close",
                "params": {"ma": "sma", "fast": fast},
                "signals": {},
            }
        ],
        "risk": {"sl": sl, "tp": None, "tsl": None},
    }


def variant(rank: int = 1, symbol: str = "TESTUSDT") -> tuple[dict[str, Any], dict[str, Any]]:
    request = json.loads(json.dumps(REQUEST))
    request["template"] |= {
        "execution": {"init_cash_quote": 10_000, "fee_pct": 0.1, "slippage_pct": 0.0},
        "direction_mode": "long-short",
        "sizing_mode": "all_in",
    }
    request["template"]["instrument_id"]["symbol"] = symbol
    request["ranking"] = {"primary_metric": "sharpe", "min_trades": 30}
    status = {"job_id": "j", "engine_version": "1", "request": request}
    row = {
        "rank": rank,
        "variant_key": "k" * 64,
        "total_return_pct": 12.5,
        "metrics_json": {"total_return_pct": 12.5, "num_trades": 1},
        "payload_json": payload(5, 2.0),
        "report_table_md": TABLE,
        "trades_json": TRADES,
        "equity_json": EQUITY,
    }
    return status, row


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0.4s"), (59, "59s"), (61, "1m 1s"), (3600, "1h"), (90_061, "1d 1h"), (None, "-")],
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert render.duration(seconds) == text


def test_thinning_keeps_ends_and_extremes() -> None:
    values = [0.0] * 1000
    values[123], values[777] = 9.0, -9.0
    kept = html_report.thinned(values, 50)
    assert len(kept) <= 50
    assert {0, 123, 777, 999} <= set(kept)
    assert kept == sorted(kept)


def test_drawdown_starts_at_the_initial_cash() -> None:
    assert html_report.drawdowns([90.0, 110.0, 99.0], 100.0) == [-10.0, 0.0, -10.0]
    assert html_report.drawdowns([90.0, None, 110.0, 99.0], 100.0) == [-10.0, None, 0.0, -10.0]


def test_the_page_needs_no_network() -> None:
    status, row = variant()
    page = html_report.page(status, row, [START_MS, START_MS + 900_000], [100.0, 101.0])
    outside = page.replace(page[page.index("<script>") : page.index("</script>")], "")
    assert not re.search(r"""(src|href)\s*=|url\(|@import""", outside)
    assert "$" not in re.sub(r"\$\{", "", outside)


def test_text_of_a_request_cannot_break_out_of_the_page() -> None:
    status, row = variant(symbol="</script><b>&")
    page = html_report.page(status, row, [START_MS], [100.0])
    assert "</script><b>" not in page


def test_a_rate_is_measured_within_a_stage() -> None:
    rates = watching.Rates()
    assert rates.of(JOB) is None
    assert (rates.of(JOB | {"processed_units": 50}) or 0) > 0
    assert rates.of(JOB | {"stage": "stage_b"}) is None


def test_watching_outlives_a_short_outage() -> None:
    answers = iter([Unreachable("away"), JOB, JOB | {"state": "succeeded"}])
    notes: list[str] = []

    def read(_job_id: Any) -> dict[str, Any]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    class Display(watching.Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    assert watching.follow(read, JOB["job_id"], Display())["state"] == "succeeded"
    assert len(notes) == 1


def test_watching_gives_up_on_a_long_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "OUTAGE_SECONDS", 0.0)

    def read(_job_id: Any) -> dict[str, Any]:
        raise Unreachable("away")

    with pytest.raises(psycopg.OperationalError):
        watching.follow(read, JOB["job_id"], watching.Silent())


def test_a_pipe_gets_one_line_a_stage() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    lines = watching.Lines(console)
    for done in (10, 20):
        lines.show(JOB | {"processed_units": done})
    lines.show(JOB | {"stage": "stage_b"})
    printed = console.export_text().splitlines()
    assert [line[:1] for line in printed] == ["A", "B"]


def test_bars_start_again_with_a_new_owner() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    with watching.Bars(console) as bars:
        for state in (
            {"state": "queued", "stage": None},
            {"processed_units": 100},
            {"stage": "stage_b", "processed_units": 5},
            {"attempt": 2, "processed_units": 1},
            {"stage": "finalizing", "processed_units": 100, "state": "succeeded"},
        ):
            bars.show(JOB | state)
    text = console.export_text()
    assert "reports" in text
    assert "queued" not in text.splitlines()[-1]


@pytest.mark.parametrize(("state", "colour"), [("failed", "31"), ("cancelled", "35")])
def test_the_bar_of_a_job_that_ended_early_says_so_and_stays_where_it_was(
    state: str, colour: str
) -> None:
    console = Console(width=60, record=True, file=io.StringIO(), color_system="standard")
    with watching.Bars(console) as bars:
        bars.show(JOB | {"processed_units": 30})
        bars.show(JOB | {"processed_units": 30, "state": state})
    line = console.export_text(styles=True).splitlines()[-1]
    assert f"\x1b[{colour}m" in line
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)
    assert re.search(rf"A  score variants .* 30 % +{state}", plain), plain
    assert re.search(rf"\x1b\[{colour}m━+", line), line


def test_the_bar_of_a_job_that_ended_in_the_queue_says_so() -> None:
    console = Console(width=60, record=True, file=io.StringIO())
    with watching.Bars(console) as bars:
        bars.show(JOB | {"state": "queued", "stage": None, "total_units": 0})
        bars.show(JOB | {"state": "cancelled", "stage": None, "total_units": 0})
    assert re.search(r"queued .* 0 % +cancelled", console.export_text().splitlines()[-1])


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_bars_fit_the_terminal(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    million = {"total_units": 100_000_000, "processed_units": 12_345_678}
    with watching.Bars(console) as bars:
        bars.show(JOB | million)
        bars.show(JOB | million | {"processed_units": 12_345_999})
        bars.show(JOB | million | {"processed_units": 12_345_999, "state": "cancelled"})
    text = console.export_text()
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 2, "-"),
        (float("inf"), 2, "∞"),
        (1234.5, 2, "1,234.50"),
        (-0.001, 2, "0.00"),
        (-0.5, 0, "0"),
        (3e12, 2, "3.000e+12"),
    ],
)
def test_figures_are_written_for_people(value: float | None, digits: int, text: str) -> None:
    assert render.figure(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "off"), (0.1, "0.1"), (90.0, "90"), (1234567.0, "1234567"), ("ema", "ema")],
)
def test_parameters_are_written_as_a_request_has_them(value: object, text: str) -> None:
    assert render.value_text(value) == text
