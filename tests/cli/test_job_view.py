"""What a person reads about a job: what was asked, how it is, what it is worth, what to type."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from rich.console import Console

from cli import job_list, job_view, top_table
from tests.cli.conftest import REQUEST

WIDTHS = (60, 100, 160)
ID = "3f0c0d0e-1111-4000-8000-000000000000"
VERDICT = ["The best of 601 328 variants lost money.", "Data cover 31 of 365 days."]

Json = dict[str, Any]


def axis(*values: Any) -> Json:
    return {"mode": "explicit", "values": list(values)}


GRID = {
    "name": "momentum.rsi",
    "indicator_id": "momentum.rsi",
    "output": "rsi",
    "source": axis("close"),
    "params": {"window": {"mode": "range", "start": 5, "stop_incl": 200, "step": 1}},
    "signals": {"long_threshold": {"mode": "range", "start": 50, "stop_incl": 60, "step": 2.5}},
}
ASKED: Json = {
    "time_range": REQUEST["time_range"],
    "template": {
        "instrument_id": {"market_id": 1, "symbol": "TESTUSDT"},
        "timeframe": "15m",
        "indicator_grids": [GRID],
        "risk_grid": {"sl": axis(None, 1, 2.5), "tp": None, "tsl": axis(None)},
        "direction_mode": "long-short",
        "sizing_mode": "fixed_quote",
        "execution": {
            "fee_pct": 0.075,
            "slippage_pct": 0.01,
            "init_cash_quote": 10_000,
            "fixed_quote": 250,
            "safe_profit_percent": 30,
        },
    },
    "warmup_bars": 200,
    "preselect": 5000,
    "top_k": 300,
    "top_trades_n": 3,
    "ranking": {
        "primary_metric": "sharpe",
        "secondary_metric": "calmar",
        "min_trades": 30,
        "distinct": True,
    },
}
COVERAGE = {
    "asked": REQUEST["time_range"],
    "traded": REQUEST["time_range"],
    "bars_expected": 35_040,
    "bars_present": 2_976,
    "first": "2024-01-01T00:00:00Z",
    "last": "2024-01-31T23:45:00Z",
    "longest_gap_bars": 12,
    "longest_gap_start": "2024-01-07T08:00:00Z",
    "warmup_bars": 200,
    "warmup_present": 150,
    "undefined": ["ma.tema"],
    "unsettled": [],
}
OUTCOMES = {
    "tried": 601_328,
    "eligible": 400_000,
    "profitable": 12,
    "beat_benchmark": 3,
    "ruined": 7,
    "benchmark_return_pct": -17.25,
}


PROGRESS = {"stage": "stage_a", "done": 30, "total": 100, "rate": None, "eta": None}


def listed(state: str = "succeeded", **changes: Any) -> Json:
    """A job as the list has it: what it is about, without its request."""
    left_out = ("request", "verdict", "note", "engine_version")
    about = {"symbol": "TESTUSDT", "timeframe": "15m", "primary_metric": "sharpe"}
    item = {name: value for name, value in job(state).items() if name not in left_out}
    return item | about | REQUEST["time_range"] | {"best": None, "best_infinite": False} | changes


def job(state: str = "succeeded", **changes: Any) -> Json:
    return {
        "job_id": ID,
        "name": None,
        "note": None,
        "state": state,
        "stage": None if state == "queued" else "stage_a",
        "progress": PROGRESS if state == "running" else None,
        "attempt": 1,
        "created_at": "2024-02-01T00:00:00.123Z",
        "started_at": None,
        "finished_at": None,
        "cancel_requested_at": None,
        "engine_version": None,
        "request": ASKED,
        "verdict": [],
        **changes,
    }


FAILED = {"last_error": "No bar [red] there.", "last_error_json": {"code": "no_market_data"}}


def text_of(parts: Iterable[Any], width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    for part in parts:
        console.print(part, crop=False)
    return console.export_text()


def page(item: Mapping[str, Any], *events: Json, width: int = 160) -> str:
    return text_of(job_view.job_page(item, events, width), width)


def facts(text: str) -> dict[str, str]:
    """The lines of a wide page by their label; those without one continue the line above."""
    found: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        if line[:1].strip():
            label, _, rest = line.strip().partition("  ")
            found[label] = rest.strip()
        else:
            found[label] += f" | {line.strip()}"
    return found


def test_a_job_names_its_fills_where_they_are_not_at_closes() -> None:
    fills = {"entry_fill": "next_open", "stop_fill": "intrabar"}
    execution = ASKED["template"]["execution"] | fills
    shown = facts(
        page(job(request=ASKED | {"template": ASKED["template"] | {"execution": execution}}))
    )
    assert shown["fills"] == "entries at the next open, stops inside bars"


def test_a_job_names_axes_with_sizes_costs_ranking_and_what_is_kept() -> None:
    shown = facts(page(job()))
    times = "\N{MULTIPLICATION SIGN}"
    assert shown["blocks"] == (
        f"momentum.rsi: window 5..200 (196) {times} long 50..60 step 2.5 (5)"
    )
    assert shown["risk %"] == f"sl off, 1, 2.5 (3) {times} tp off {times} tsl off"
    assert shown["costs"] == "fee 0.075 %, slippage 0.01 % of each side"
    assert shown["cash"] == "10,000.00 at the start, 250.00 a trade"
    assert shown["trading"] == "long-short, fixed quote"
    assert shown["ranking"] == (
        "by Sharpe ratio, then Calmar ratio; variants with fewer than 30 trades come last; "
        "equal outcomes stand as one"
    )
    assert shown["range"] == "2024-01-01 to 2024-01-03 UTC (2d)"
    assert "fills" not in shown
    assert shown["warm-up"] == "200 bars before it"
    assert shown["kept"] == "5,000 of stage A, the best 300 of stage B, trades of 3"


def test_a_long_axis_is_shown_by_its_ends_and_its_size() -> None:
    grid = GRID | {"signals": {}, "params": {"window": axis(*range(1, 100))}}
    request = ASKED | {"template": ASKED["template"] | {"indicator_grids": [grid]}}
    shown = facts(page(job(request=request)))
    assert shown["blocks"] == "momentum.rsi: window 1, 2, 3, 4, …, 99 (99)"


def test_what_the_data_cover_and_what_the_search_found_are_named() -> None:
    shown = facts(page(job(coverage=COVERAGE, outcomes=OUTCOMES)))
    assert shown["candles"] == (
        "2,976 of 35,040 bars, 2024-01-01 to 2024-01-31 23:45:00 UTC; longest gap 12 bars from "
        "2024-01-07 08:00:00; warm-up 150 of 200 bars"
    )
    assert shown["undefined"] == "some variants of ma.tema at the first traded bar"
    assert shown["outcomes"] == (
        "601,328 tried, 400,000 eligible, 12 profitable, 7 ruined, "
        "3 better than buy and hold (-17.25 %)"
    )
    assert "unsettled" not in shown


def test_a_shared_job_says_how_far_its_shards_are_and_who_computes_them() -> None:
    shares = [{"worker": f"host-{n}", "running": n % 2, "done": 1000 * n} for n in range(1, 15)]
    said = "stage A: 12 of 49 shards done, 3 running on 2 workers, 34 open"
    shown = facts(page(job("running", sharing={"said": said, "workers": shares})))
    assert shown["shared"] == said
    first, second, *_, last, more = shown["workers"].split(" | ")
    assert (first, second) == ("host-1: 1 running, 1,000 done", "host-2: 2,000 done")
    assert (last, more) == ("host-12: 12,000 done", "and 2 more")
    for alone in ({"sharing": None}, {}):
        assert not {"shared", "workers"} & set(facts(page(job("running", **alone))))


def test_an_event_says_who_acted_and_through_what() -> None:
    event = {
        "at": "2024-02-01T00:00:00.5Z",
        "event": "cancel_requested",
        "actor": "user",
        "details": {"client": "cli"},
    }
    stage = event | {"event": "stage_started", "actor": "host-1", "details": {"stage": "stage_b"}}
    shown = facts(page(job(), event, stage))
    assert shown["history (UTC)"] == (
        "2024-02-01  cancel requested by user (cli) | 2024-02-01  stage_b started by host-1"
    )


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ("queued", "backtest watch 3f0c0d0e"),
        ("running", "backtest watch 3f0c0d0e"),
        ("succeeded", "backtest top 3f0c0d0e"),
        ("failed", "backtest show 3f0c0d0e --json | jq .request | backtest submit - --watch"),
    ],
)
def test_a_job_names_the_next_command(state: str, command: str) -> None:
    failure = FAILED if state == "failed" else {}
    assert (
        facts(page(job(state, **failure)))["next"]
        .split(" | backtest cancel")[0]
        .startswith(command)
    )


def test_an_error_is_printed_as_it_is() -> None:
    assert facts(page(job("failed", **FAILED)))["error"] == "No bar [red] there. (no_market_data)"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_fits_the_terminal_and_cuts_nothing(width: int) -> None:
    event = {
        "at": "2024-02-01T00:00:00Z",
        "event": "queued",
        "actor": "user",
        "details": {"client": "cli"},
    }
    item = job(coverage=COVERAGE, outcomes=OUTCOMES, verdict=VERDICT)
    text = page(item, event, width=width)
    assert ID in text
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    assert set(page(item, event).split()) == set(text.split())


@pytest.mark.parametrize("name", [None, "cross"])
@pytest.mark.parametrize("width", [30, *WIDTHS])
def test_ids_are_never_cut_in_a_list(width: int, name: str | None) -> None:
    items = [listed("running", symbol="S" * 24, name=name), listed("queued")]
    text = text_of([job_list.jobs_table(items, width)], width)
    if width < 36:
        text = text.replace("\n", "")
    assert text.count(ID) == 2
    assert "S" * 24 in text
    assert "running" in text
    assert "score variants 30 %" in text or width == 30
    assert "…" not in text
    assert (name or "") in text


def test_a_wide_list_tells_ranges_and_rankings_apart() -> None:
    text = text_of([job_list.jobs_table([listed()], 160)], 160)
    assert "2024-01-01 to 2024-01-03" in text
    assert "Sharpe ratio" in text


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"best": 43.126}, "43.13"),
        ({"best": None, "best_infinite": True}, "∞"),
    ],
)
@pytest.mark.parametrize("width", [60, 160])
def test_a_list_shows_the_best_figure_so_far(found: Json, shown: str, width: int) -> None:
    assert shown in text_of([job_list.jobs_table([listed(**found)], width)], width)


def test_a_long_name_is_cut_in_a_wide_list_and_whole_in_a_narrow_one() -> None:
    items = [listed(name="n" * 120)]
    assert f"{'n' * 27}… " in text_of([job_list.jobs_table(items, 160)], 160)
    assert text_of([job_list.jobs_table(items, 60)], 60).count("n") == 120


def test_name_and_note_stand_below_the_id() -> None:
    shown = facts(page(job(name="cross [bold]", note="stops are too tight")))
    assert (shown["name"], shown["note"]) == ("cross [bold]", "stops are too tight")
    assert "name" not in facts(page(job()))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_verdict_stands_first(width: int) -> None:
    item = job(verdict=VERDICT)
    for text in (page(item, width=width), text_of(top_table.top_page(item, [], width), width)):
        assert text.splitlines()[: len(VERDICT)] == VERDICT


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (job("queued"), "no variants yet: the job is queued, no worker has taken it so far"),
        (
            job("running"),
            "no variants yet (A score variants 30 %): the first ones come with stage B",
        ),
        (
            job("failed", **FAILED),
            "no variants: the job failed: No bar [red] there. (no_market_data)",
        ),
        (job("cancelled"), "no variants: the job was cancelled"),
        (job("succeeded"), "the job has succeeded without a variant"),
    ],
)
def test_no_variants_yet_is_said_only_while_it_is_true(item: Json, said: str) -> None:
    assert text_of(top_table.top_page(item, [], 160), 160) == f"{said}\n"


def test_what_the_verdict_says_is_not_said_again() -> None:
    said = ["The job was cancelled before it had found anything to keep."]
    text = text_of(top_table.top_page(job("cancelled", verdict=said), [], 160), 160)
    assert text.splitlines() == said
    failed = ["The job failed before it had found anything to keep."]
    text = text_of(top_table.top_page(job("failed", verdict=failed, **FAILED), [], 160), 160)
    assert "No bar [red] there." in text
