import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from cli import html_report, page_parts, render, watching
from cli.transport import Away
from tests.cli.conftest import EQUITY, REQUEST, START_MS, TABLE, TRADES

JOB: dict[str, Any] = {
    "job_id": "j",
    "state": "running",
    "stage": "stage_a",
    "attempt": 1,
    "progress": {"stage": "stage_a", "done": 0, "total": 100, "rate": None, "eta": None},
}


def running(
    done: int,
    total: int = 100,
    *,
    stage: str = "stage_a",
    rate: float | None = None,
    eta: float | None = None,
) -> dict[str, Any]:
    progress = {"stage": stage, "done": done, "total": total, "rate": rate, "eta": eta}
    return JOB | {"stage": stage, "progress": progress}


def after(state: str, stage: str | None = "stage_a") -> dict[str, Any]:
    return JOB | {"state": state, "stage": stage, "progress": None}


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
        "trades": TRADES,
        "equity": EQUITY,
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


def test_the_page_names_fills_that_are_not_at_closes() -> None:
    status, row = variant()
    curve = ([START_MS], [100.0])
    usual = html_report.page(status, row, *curve)
    assert "Fills at the close of a bar; fee 0.1 %" in usual
    assert "long-short, all in, ranked by" in usual
    status["request"]["template"]["execution"] |= {"entry_fill": "next_open", "stop_fill": "close"}
    other = html_report.page(status, row, *curve)
    assert "Entries at the next open; fee 0.1 %" in other
    assert "long-short, all in, entries at the next open, ranked by" in other


def test_a_price_line_of_fewer_points_than_bars_says_so() -> None:
    status, row = variant()
    curve = ([START_MS, START_MS + 900_000], [100.0, 101.0])
    said = "price and buy and hold have the close of one bar in 132, not the extremes between"
    assert said in html_report.page(status, row, *curve, 132)
    assert "one bar in" not in html_report.page(status, row, *curve, 1)


def test_text_of_a_request_cannot_break_out_of_the_page() -> None:
    status, row = variant(symbol="</script><b>&")
    page = html_report.page(status, row, [START_MS], [100.0])
    assert "</script><b>" not in page


def test_watching_outlives_a_short_outage() -> None:
    away = Away("the API is away", "start it", unsent=True)
    answers = iter([away, away, JOB, after("succeeded")])
    notes: list[str] = []

    def read() -> dict[str, Any]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    class Display(watching.Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    assert watching.follow(read, Display())["state"] == "succeeded"
    assert notes == ["the API is away, waiting for it"]


def test_watching_gives_up_on_a_long_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "OUTAGE_SECONDS", 0.0)

    def read() -> dict[str, Any]:
        raise Away("away", unsent=True)

    with pytest.raises(Away):
        watching.follow(read, watching.Silent())


def test_a_pipe_gets_one_line_a_stage() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    lines = watching.Lines(console)
    for done in (10, 20):
        lines.show(running(done))
    lines.show(running(30, stage="stage_b", rate=2_500.0, eta=61.0))
    printed = console.export_text().splitlines()
    assert [line[:1] for line in printed] == ["A", "B"]
    assert printed[1].endswith("30 / 100   30.0 %  2.5k/s  ETA 1m 1s")


def test_a_line_says_on_how_many_workers_a_shared_stage_runs() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    shares = [{"worker": f"host-{n}", "running": n % 3, "done": 1} for n in range(5)]
    watching.Lines(console).show(
        running(30, rate=2_500.0, eta=61.0) | {"sharing": {"workers": shares}}
    )
    assert console.export_text().endswith("2.5k/s  ETA 1m 1s  on 3 workers\n")


@pytest.mark.parametrize(("width", "said"), [(100, False), (120, True)])
def test_the_bar_of_a_shared_stage_says_so_where_there_is_room_and_while_it_is(
    width: int, said: bool
) -> None:
    shared = {"sharing": {"workers": [{"worker": "host-1", "running": 1, "done": 0}]}}
    shown = []
    for last in ([], [running(99_999_999, 100_000_000) | {"sharing": None}], [after("succeeded")]):
        console = Console(width=width, record=True, file=io.StringIO())
        with watching.Bars(console) as bars:
            for status in (running(12_345_678, 100_000_000) | shared, *last):
                bars.show(status)
        text = console.export_text()
        assert all(len(line) <= width for line in text.splitlines())
        assert "…" not in text
        shown.append(text.rstrip().endswith(" on 1 worker"))
    assert shown == [said, False, False]


def test_bars_start_again_with_a_new_owner() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    with watching.Bars(console) as bars:
        for status in (
            after("queued", None),
            running(100),
            running(5, stage="stage_b"),
            running(1) | {"attempt": 2},
            after("succeeded", "finalizing"),
        ):
            bars.show(status)
    text = console.export_text()
    assert "reports" in text
    assert "queued" not in text.splitlines()[-1]


@pytest.mark.parametrize(("state", "colour"), [("failed", "31"), ("cancelled", "35")])
def test_the_bar_of_a_job_that_ended_early_says_so_and_stays_where_it_was(
    state: str, colour: str
) -> None:
    console = Console(width=60, record=True, file=io.StringIO(), color_system="standard")
    with watching.Bars(console) as bars:
        bars.show(running(30))
        bars.show(after(state))
    line = console.export_text(styles=True).splitlines()[-1]
    assert f"\x1b[{colour}m" in line
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)
    assert re.search(rf"A  score variants .* 30 % +{state}", plain), plain
    assert re.search(rf"\x1b\[{colour}m━+", line), line


def test_the_bar_of_a_job_that_ended_in_the_queue_says_so() -> None:
    console = Console(width=60, record=True, file=io.StringIO())
    with watching.Bars(console) as bars:
        bars.show(after("queued", None))
        bars.show(after("cancelled", None))
    assert re.search(r"queued .* 0 % +cancelled", console.export_text().splitlines()[-1])


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_bars_fit_the_terminal(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    with watching.Bars(console) as bars:
        bars.show(running(12_345_678, 100_000_000))
        bars.show(running(12_345_999, 100_000_000, rate=12_345.6, eta=7_100.0))
        bars.show(after("cancelled"))
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


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (43_210.5, "43,210.5"),
        (1.07333, "1.07333"),
        (0.00001234, "0.00001234"),
        (100.0, "100"),
        (1.073330000000001, "1.07333"),
        (None, "-"),
    ],
)
def test_a_price_has_the_digits_that_tell_it_apart(price: float | None, expected: str) -> None:
    assert page_parts.price_text(price) == expected


def beside(**changes: Any) -> dict[str, Any]:
    figures = {"number": 8, "median_return": 15.0, "worst_return": -9.5, "twins": 0, "ruined": 0}
    return figures | changes


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        (None, None),
        (beside(), "8 neighbours: median 15.00 %, worst -9.50 %"),
        (beside(number=1), "1 neighbour: median 15.00 %, worst -9.50 %"),
        (
            beside(twins=5, ruined=1),
            "8 neighbours: median 15.00 %, worst -9.50 %; 5 with exactly its trades; 1 ruined",
        ),
        (beside(median_return=None), "8 neighbours: median -, worst -9.50 %"),
        (beside(number=0), "no neighbours: no parameter has a next value"),
    ],
)
def test_neighbours_are_told_in_one_line(figures: dict[str, Any] | None, text: str | None) -> None:
    assert render.neighbours(figures) == text
