"""The verdict: what is said of a job, the most alarming first."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.verdict import verdict

NOT_VALIDATED = "Not validated out of sample."


def coverage(present: int = 365, **changes: Any) -> dict[str, Any]:
    return {
        "asked": {"start": "2022-01-01T00:00:00Z", "end": "2023-01-01T00:00:00Z"},
        "bars_expected": 365 * 24,
        "bars_present": present * 24,
        "undefined": [],
        "unsettled": [],
    } | changes


def outcomes(**changes: Any) -> dict[str, Any]:
    return {
        "tried": 601_328,
        "eligible": 300_000,
        "profitable": 0,
        "beat_benchmark": 0,
        "ruined": 0,
        "benchmark_return_pct": 64.2,
    } | changes


def rows(
    total_return: float | None = 12.0, *, trades: int = 80, count: int = 20, **metrics: Any
) -> list[dict[str, Any]]:
    best = {
        "rank": 1,
        "total_return_pct": total_return,
        "metrics_json": {"num_trades": trades, "total_return_pct": total_return} | metrics,
    }
    return [best, *[{"rank": rank} for rank in range(2, count + 1)]]


def request(primary: str = "total_return_pct", *, risk: bool = False, **changes: Any) -> Any:
    levels = {"mode": "explicit", "values": [None, 1.0]} if risk else None
    return {
        "top_k": 300,
        "preselect": 20_000,
        "ranking": {"primary_metric": primary, "min_trades": 30, "distinct": True},
        "template": {"risk_grid": {"sl": levels, "tp": None, "tsl": None}},
    } | changes


def said(**changes: Any) -> list[str]:
    parts: dict[str, Any] = {
        "coverage": coverage(),
        "outcomes": outcomes(),
        "top": rows(),
        "request": request(),
        "state": "succeeded",
    }
    return verdict(**(parts | changes))


def test_a_sound_result_is_told_with_its_benchmark_and_its_field() -> None:
    assert said(outcomes=outcomes(beat_benchmark=150_332)) == [
        "The best of 601 328 variants made 12 %; buy and hold made 64 %.",
        "20 distinct outcomes; 25 % of all variants beat buy and hold.",
        NOT_VALIDATED,
    ]


def test_a_loss_comes_first() -> None:
    found = said(top=rows(-0.94), coverage=coverage(31), outcomes=outcomes(eligible=4))
    assert found == [
        "The best of 601 328 variants lost money: \N{MINUS SIGN}0.94 %; buy and hold made 64 %.",
        "Only 4 of 601 328 variants made the 30 trades that ranking asks for.",
        "Data cover 31 of 365 days.",
        NOT_VALIDATED,
    ]


def test_a_metric_that_crowns_a_loser_is_named_with_the_loss() -> None:
    first, *_ = said(top=rows(-97.3, sharpe=5.1), request=request("sharpe"))
    assert first == (
        "Ranked by Sharpe ratio, the best of 601 328 variants lost money: \N{MINUS SIGN}97 %;"
        " buy and hold made 64 %."
    )


def with_test(
    made: float | None,
    test: float | None,
    *,
    trades: int = 40,
    held: float | None = 6.0,
    **neighbours: Any,
) -> list[str]:
    """Return what is said of a winner that was tested on bars it was not chosen on."""
    best, *others = rows(made)
    figures = {"total_return_pct": test, "num_trades": trades}
    return said(
        top=[best | {"test_metrics_json": figures}, *others],
        outcomes=outcomes(beat_benchmark=150_332, test={"benchmark_return_pct": held}),
        request=request(validation={"train_pct": 70, "test_start": None}),
        figures={"neighbours": neighbours},
    )


@pytest.mark.parametrize(
    ("made", "test", "sentence"),
    [
        (9.0, 0.3, "made 9 % where it was chosen and made 0.3 % where it was not"),
        (9.0, -3.0, "made 9 % where it was chosen and lost 3 % where it was not"),
        (-1.0, 2.0, "lost 1 % where it was chosen and made 2 % where it was not"),
        (9.0, None, "made 9 % where it was chosen and overflowed where it was not"),
    ],
)
def test_a_winner_that_was_tested_is_told_with_both_results(
    made: float, test: float | None, sentence: str
) -> None:
    first, *rest = with_test(made, test)
    assert first == f"The best of 601 328 variants {sentence}; there, buy and hold made 6 %."
    assert rest == ["20 distinct outcomes; 25 % of all variants beat buy and hold."]


def beside(**changes: Any) -> dict[str, Any]:
    figures = {"number": 8, "median_return": -0.9, "worst_return": -67.2, "twins": 0, "ruined": 0}
    return figures | changes


PEAK = "Neighbours of the winner: median \N{MINUS SIGN}0.9 %, worst \N{MINUS SIGN}67 %."


def test_a_winner_whose_neighbours_lost_money_is_doubted_before_its_gain_is_told() -> None:
    first, second, *_ = with_test(9.0, 3.0, **beside())
    assert first == PEAK
    assert second.startswith("The best of 601 328 variants made 9 %")


def test_of_a_winner_that_lost_money_the_neighbours_are_no_news() -> None:
    first, second, *_ = with_test(-9.0, 3.0, **beside())
    assert first.startswith("The best of 601 328 variants lost 9 %")
    assert second == PEAK


def test_a_loss_on_the_test_comes_before_the_loss_of_neighbours() -> None:
    first, second, *_ = with_test(9.0, -3.0, **beside())
    assert "made 9 % where it was chosen and lost 3 % where it was not" in first
    assert second == PEAK


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Neighbours of the winner: median 15 %, worst 9 %."),
        ({"twins": 4}, "Neighbours of the winner: median 15 %, worst 9 %."),
        (
            {"twins": 5},
            "Neighbours of the winner: median 15 %, worst 9 %; 5 of 8 trade exactly as it does.",
        ),
        ({"twins": 8}, "All 8 neighbours of the winner trade exactly as it does."),
        ({"number": 1}, "The only neighbour of the winner made 15 %."),
        ({"number": 1, "twins": 1}, "The only neighbour of the winner trades exactly as it does."),
        ({"number": 0, "median_return": None, "worst_return": None}, None),
        ({"median_return": None}, None),
    ],
)
def test_good_neighbours_are_told_after_the_gain(
    changes: dict[str, Any], sentence: str | None
) -> None:
    _, *rest = with_test(9.0, 3.0, **beside(median_return=15.0, worst_return=9.0) | changes)
    field = "20 distinct outcomes; 25 % of all variants beat buy and hold."
    assert rest == ([sentence] if sentence else []) + [field]


def test_a_test_without_a_trade_is_no_return_of_0() -> None:
    first, *_ = with_test(9.0, 0.0, trades=0, held=None)
    assert first == (
        "The best of 601 328 variants made 9 % where it was chosen and never traded where it was "
        "not."
    )


@pytest.mark.parametrize(("trades", "said_so"), [(1, True), (9, True), (10, False)])
def test_a_test_of_few_trades_says_little(trades: int, said_so: bool) -> None:
    long = "1 trade" if trades == 1 else f"{trades} trades"
    found = f"Its test is {long} long, which says little." in with_test(9.0, 3.0, trades=trades)
    assert found is said_so


def test_a_loss_on_the_test_comes_before_what_the_order_says() -> None:
    first, second, *_ = with_test(9.0, -3.0, trades=4)
    assert "lost 3 % where it was not" in first
    assert second == "Its test is 4 trades long, which says little."


@pytest.mark.parametrize("made", [-100.0, -4999.0])
def test_a_ruined_winner_is_called_so(made: float) -> None:
    first, *_ = said(top=rows(made), outcomes=outcomes(benchmark_return_pct=-6.0))
    assert first == (
        "The best of 601 328 variants was ruined: it lost all its money; buy and hold lost 6 %."
    )


@pytest.mark.parametrize(
    ("present", "sentence"),
    [
        (31 * 24, "Data cover 31 of 365 days."),
        (31 * 24 - 1, "Data cover 30 of 365 days."),
        (361 * 24, "Data cover 361 of 365 days."),
        (1, "Data cover 1 of 8 760 bars."),
        (365 * 24, None),
    ],
)
def test_what_the_candles_do_not_cover_is_told_in_whole_days(
    present: int, sentence: str | None
) -> None:
    found = said(coverage=coverage(bars_present=present))
    assert [line for line in found if line.startswith("Data cover")] == [sentence] * bool(sentence)
    if sentence:
        assert found[0] == sentence  # before the gain


def test_a_range_of_hours_is_told_in_bars() -> None:
    asked = {"start": "2022-01-01T00:00:00Z", "end": "2022-01-01T06:00:00Z"}
    found = said(coverage=coverage(asked=asked, bars_expected=6, bars_present=5))
    assert found[0] == "Data cover 5 of 6 bars."


def test_outages_of_an_exchange_are_told_behind_what_the_search_found() -> None:
    found = said(coverage=coverage(bars_present=365 * 24 - 17))
    assert found.index("17 of 8 760 bars had no candle.") > 0
    assert not any(line.startswith("Data cover") for line in found)


def test_a_job_that_waits_says_already_what_the_candles_do_not_cover() -> None:
    found = said(state="queued", coverage=coverage(31), outcomes=None, top=[])
    assert found == ["Data cover 31 of 365 days."]


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"outcomes": outcomes(eligible=0), "top": rows(trades=29)},
            "No variant made the 30 trades that ranking asks for: the order says little.",
        ),
        (
            {"top": rows(trades=29)},
            "The best variant made 29 trades, fewer than the 30 trades that ranking asks for.",
        ),
        (
            {"top": rows(trades=1)},
            "The best variant made 1 trade, fewer than the 30 trades that ranking asks for.",
        ),
        (
            {
                "top": rows(trades=1),
                "request": request(ranking={"primary_metric": "sqn", "min_trades": 0}),
            },
            "The best variant made one trade: that is one event, whatever its figures say.",
        ),
        ({"top": rows(trades=0)}, "The best variant never traded."),
        (
            {"outcomes": outcomes(eligible=19)},
            "Only 19 of 601 328 variants made the 30 trades that ranking asks for.",
        ),
        (
            {"top": rows(sqn=None), "request": request("sqn")},
            "The best variant has no defined SQN: the order says little.",
        ),
    ],
)
def test_an_order_that_means_little_is_said_to(parts: dict[str, Any], sentence: str) -> None:
    assert said(**parts)[0] == sentence


@pytest.mark.parametrize(
    "parts",
    [
        {"outcomes": outcomes(eligible=20)},
        {
            "top": rows(profit_factor=None, infinite=["profit_factor"]),
            "request": request("profit_factor"),
        },
        {"outcomes": outcomes(tried=5, eligible=5), "top": rows(count=5)},
    ],
    ids=["enough eligible", "infinite is the best", "a small search"],
)
def test_an_order_that_holds_is_not_doubted(parts: dict[str, Any]) -> None:
    assert " made 12 %" in said(**parts)[0]


def test_blocks_without_history_are_named() -> None:
    names = ["a", "b", "c", "d", "e"]
    assert said(coverage=coverage(undefined=names[:1]))[0] == (
        "Too little history for a: some variants have no value on the first bar."
    )
    assert said(coverage=coverage(undefined=names))[0] == (
        "Too little history for a, b, c and 2 more: some variants have no value on the first bar."
    )


def test_shares_are_of_variants_without_stops_where_there_are_stops() -> None:
    assert said(request=request(risk=True))[1] == (
        "20 distinct outcomes; without stops and targets 0 % of all variants beat buy and hold."
    )


@pytest.mark.parametrize(
    ("parts", "begin"),
    [
        ({"top": rows(count=300)}, "At least 300 distinct outcomes;"),
        ({"top": rows(count=1)}, "1 distinct outcome;"),
        ({"top": rows(count=20), "request": request(preselect=20)}, "At least 20 distinct"),
        (
            {"top": rows(count=300), "outcomes": outcomes(tried=300, eligible=300)},
            "300 distinct outcomes;",
        ),
        (
            {"request": request(ranking={"min_trades": 0, "distinct": False})},
            "0 % of all variants beat buy and hold.",
        ),
        ({"outcomes": outcomes(benchmark_return_pct=None)}, "20 distinct outcomes."),
    ],
)
def test_outcomes_are_counted_as_far_as_they_are_known(parts: dict[str, Any], begin: str) -> None:
    assert said(**parts)[1].startswith(begin)


@pytest.mark.parametrize(
    ("beaten", "tried", "share"),
    [
        (0, 601_328, "0 %"),
        (1, 601_328, "less than 0.01 %"),
        (300, 601_328, "0.05 %"),
        (6_014, 601_328, "1 %"),
        (28_043, 28_080, "more than 99 %"),
        (601_327, 601_328, "more than 99 %"),
        (601_328, 601_328, "100 %"),
    ],
)
def test_a_share_says_neither_none_nor_all_where_it_is_only_near(
    beaten: int, tried: int, share: str
) -> None:
    found = said(outcomes=outcomes(beat_benchmark=beaten, tried=tried))
    assert found[1] == f"20 distinct outcomes; {share} of all variants beat buy and hold."


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (0.0, "neither made nor lost money"),
        (0.004, "made less than 0.01 %"),
        (0.5, "made 0.5 %"),
        (1.26, "made 1.3 %"),
        (1234.5, "made 1 234 %"),
        (1e300, "made more than 1 000 000 %"),
        (-0.004, "lost money: less than 0.01 %"),
        (None, "has no return that could be stated: its money overflowed"),
    ],
)
def test_a_return_is_told_in_few_figures(made: float | None, words: str) -> None:
    found = said(top=rows(made), outcomes=outcomes(benchmark_return_pct=None))
    assert found[0] == f"The best of 601 328 variants {words}."


def test_one_variant_is_one_variant() -> None:
    found = said(top=rows(count=1), outcomes=outcomes(tried=1, eligible=1))
    assert found[0].startswith("The best of 1 variant made")


def test_a_running_job_says_what_is_best_so_far_and_judges_nothing_yet() -> None:
    found = said(state="running", top=rows(-5.0), request=request("sharpe"))
    assert found == [
        "So far, ranked by Sharpe ratio, the best of 601 328 variants lost money:"
        " \N{MINUS SIGN}5 %;"
        " buy and hold made 64 %."
    ]
    assert said(state="running", top=[], outcomes=None) == []


@pytest.mark.parametrize(("state", "ended"), [("failed", "failed"), ("cancelled", "was cancelled")])
def test_a_job_that_ended_before_its_time_says_so_first(state: str, ended: str) -> None:
    assert said(state=state, top=[]) == [f"The job {ended} before it had found anything to keep."]
    first, second, *_ = said(state=state, top=rows(-5.0))
    assert first == f"The job {ended}: what stands here is the best it had found by then."
    assert "lost money" in second


def test_a_job_of_an_earlier_release_is_judged_by_its_rows() -> None:
    assert said(coverage=None, outcomes=None) == ["The best variant made 12 %.", NOT_VALIDATED]


def test_a_search_that_stored_nothing_says_so() -> None:
    assert said(top=[]) == ["The search stored no variant.", NOT_VALIDATED]


def test_a_validated_job_is_not_said_to_lack_it() -> None:
    assert NOT_VALIDATED not in said(request=request(validation={"train_pct": 70}))


def test_of_many_alarms_the_first_are_told_and_the_last_sentence_stays() -> None:
    found = said(
        top=rows(-5.0, trades=3),
        coverage=coverage(31, undefined=["trend"]),
    )
    assert len(found) == 4
    assert found[-1] == NOT_VALIDATED
    assert [line.split()[0] for line in found] == ["The", "The", "Data", "Not"]


NUMBERS = (True, -1, 0, 1, 7, 10**12, -0.0, 2.5, -101.0, 1e300, math.nan, -math.inf)
OTHERS = (None, "", "x", "2022-01-01T00:00:00Z", [], ["a", None], {}, {"values": [1]})
anything: st.SearchStrategy[Any] = st.sampled_from((*NUMBERS, *OTHERS))


def spoiled(whole: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The same with any of its parts missing, null or something else altogether."""
    parts = {
        name: (spoiled(value) if isinstance(value, dict) else st.just(value)) | anything
        for name, value in whole.items()
    }
    return st.fixed_dictionaries({}, optional=parts)


@given(
    coverage=st.none() | spoiled(coverage(31)),
    outcomes=st.none() | spoiled(outcomes()),
    top=st.lists(spoiled(rows()[0]), max_size=3),
    request=spoiled(request("sharpe", risk=True)),
    state=st.sampled_from(["queued", "running", "succeeded", "failed", "cancelled"]),
    figures=st.none() | spoiled({"neighbours": beside(twins=5)}),
)
def test_whatever_is_missing_there_are_one_to_four_sentences_and_the_same_ones_again(
    **parts: Any,
) -> None:
    found = verdict(**parts)
    assert found == verdict(**json.loads(json.dumps(parts)))
    assert all(sentence.endswith(".") and "None" not in sentence for sentence in found)
    assert len(set(found)) == len(found) <= 4
    if parts["state"] in ("succeeded", "failed", "cancelled"):
        assert found


def test_reading_a_verdict_loads_no_compiler() -> None:
    code = "import engine.verdict, sys; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
