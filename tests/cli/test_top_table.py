"""The top list at every width: what is always there, what makes room, what never moves."""

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from cli import top_table
from engine.metric_names import METRICS

WIDTHS = (30, 40, 60, 80, 100, 132, 160, 250)

Json = dict[str, Any]
Values = Mapping[str, Sequence[Any]]


def explicit(values: Sequence[Any]) -> Json:
    return {"mode": "explicit", "values": list(values)}


def block(name: str, params: Values, signals: Values | None = None) -> Json:
    return {
        "name": name,
        "indicator_id": name,
        "output": "line",
        "source": explicit(["close"]),
        "params": {key: explicit(values) for key, values in params.items()},
        "signals": {key: explicit(values) for key, values in (signals or {}).items()},
    }


CROSS = block("ma.cross", {"ma": ["sma", "ema"], "fast": [5, 10], "slow": [100]})
RSI = block("momentum.rsi", {"window": [14]}, {"long_threshold": [48, 52.5]})


def request(
    primary: str = "total_return_pct",
    secondary: str | None = None,
    *,
    blocks: Sequence[Json] = (CROSS, RSI),
    risk: Values | None = None,
    distinct: bool = False,
) -> Json:
    levels = {name: explicit((risk or {}).get(name, [None])) for name in ("sl", "tp", "tsl")}
    return {
        "template": {"indicator_grids": list(blocks), "risk_grid": levels},
        "top_k": 100,
        "ranking": {
            "primary_metric": primary,
            "secondary_metric": secondary,
            "min_trades": 30,
            "distinct": distinct,
        },
    }


def variants(asked: Json, **metrics: Any) -> list[Json]:
    """The first variants of a request, all with the same figures."""
    template = asked["template"]
    places = [
        (number, group, name, axis["values"])
        for number, each in enumerate(template["indicator_grids"])
        for group in ("params", "signals")
        for name, axis in each[group].items()
    ]
    places += [(-1, "risk", name, axis["values"]) for name, axis in template["risk_grid"].items()]
    choices = itertools.islice(itertools.product(*(values for *_, values in places)), 8)
    rows = []
    for rank, choice in enumerate(choices, start=1):
        blocks = [
            {"name": each["name"], "output": "line", "source": "close", "params": {}, "signals": {}}
            for each in template["indicator_grids"]
        ]
        risk: Json = {}
        for (number, group, name, _values), value in zip(places, choice, strict=True):
            target = risk if group == "risk" else blocks[number][group]
            target[name] = value
        rows.append(
            {
                "rank": rank,
                "total_return_pct": metrics.get("total_return_pct", 1.25),
                "metrics_json": dict.fromkeys(METRICS, 1.25) | metrics,
                "payload_json": {"blocks": blocks, "risk": risk},
                "twins": rank,
            }
        )
    return rows


def printed(rows: Sequence[Json], asked: Json, width: int, *, ended: bool = False) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    for part in top_table.top_table(rows, asked, width, ended=ended):
        console.print(part, crop=False)
    return console.export_text()


def headings(text: str) -> list[str]:
    """The lines between what is said once and the first variant."""
    lines = text.split("\n\n", 1)[1].split("\n1 ", 1)[0].splitlines()
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("metric", METRICS)
def test_the_ranking_metrics_are_columns_whatever_the_width(metric: str, width: int) -> None:
    secondary = "calmar" if metric != "calmar" else "sqn"
    asked = request(metric, secondary)
    values = {metric: 7.125 if metric != "num_trades" else 71, secondary: 8.25}
    text = printed(variants(asked, **values), asked, width)
    first = text.split("\n1 ", 1)[1].split("\n", 1)[0]
    assert "7.1" in first or " 71" in first
    assert "8.25" in first
    columns = "\n".join(headings(text))
    assert any(mark in columns for mark in "▼▲")
    assert any(mark in columns for mark in "▽△")


def test_the_mark_says_which_end_is_best() -> None:
    down = request("max_drawdown_pct", "sharpe")
    text = printed(variants(down), down, 100)
    assert "ranked by max drawdown ▲, then Sharpe ratio ▽; at least 30 trades" in text


def test_a_wider_terminal_shows_the_same_metrics_and_more() -> None:
    asked = request("sharpe")
    shown = [
        [each.name for each in top_table.Layout.of(asked, [], width).metrics]
        for width in range(20, 200)
    ]
    assert all(set(before) <= set(after) for before, after in itertools.pairwise(shown))
    assert shown[0] == ["sharpe"]
    assert set(shown[-1]) == set(METRICS)


@pytest.mark.parametrize("width", WIDTHS)
def test_columns_stay_when_a_later_snapshot_knows_less(width: int) -> None:
    asked = request("sharpe", "sortino", risk={"sl": [None, 2]})
    full = variants(asked)
    poor = variants(asked, **dict.fromkeys(METRICS))[:1]
    before, after = (printed(rows, asked, width) for rows in (full, poor))
    assert headings(before) == headings(after)


@pytest.mark.parametrize(
    ("values", "shortest", "longest"),
    [
        (explicit([1, 123_456_789]), 1, 123_456_789),
        ({"mode": "range", "start": 5, "stop_incl": 100_000, "step": 0.125}, 5, 99_999.125),
    ],
)
def test_columns_stay_when_values_grow_longer(values: Json, shortest: Any, longest: Any) -> None:
    grid = block("momentum.rsi", {"w": [1]}) | {"params": {"w": values}}
    asked = request(blocks=[grid])
    texts = []
    for value in (shortest, longest):
        row = variants(request(blocks=[block("momentum.rsi", {"w": [value]})]))[0]
        texts.append(printed([row], asked, 100))
    assert headings(texts[0]) == headings(texts[1])


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_many_parameters_fit_the_terminal(width: int) -> None:
    many = {f"parameter_{letter}": [1, 2] for letter in "abcdef"}
    asked = request("sharpe", "calmar", blocks=[CROSS, block("x.many", many)], distinct=True)
    text = printed(variants(asked), asked, width)
    assert all(len(line) <= width for line in text.splitlines())


def test_parameters_that_all_rows_share_leave_the_table_of_an_ended_job_only() -> None:
    asked = request()
    same = [
        row for row in variants(asked) if row["payload_json"]["blocks"][0]["params"]["fast"] == 5
    ]
    running, ended = (printed(same, asked, 160, ended=ended) for ended in (False, True))
    assert "all: cross slow 100 · rsi window 14\n" in running
    assert "all: cross fast 5, slow 100 · rsi window 14\n" in ended
    assert "fast" in "\n".join(headings(running))
    assert "fast" not in "\n".join(headings(ended))


def test_one_row_keeps_its_parameters_as_columns() -> None:
    asked = request()
    text = printed(variants(asked)[:1], asked, 160, ended=True)
    assert "fast" in "\n".join(headings(text))


def test_a_level_that_is_off_in_all_variants_is_not_worth_a_word() -> None:
    asked = request(risk={"sl": [None, 2]})
    text = printed(variants(asked), asked, 160)
    assert "sl %" in text
    assert "tp" not in text


def test_twins_are_shown_where_outcomes_are_distinct() -> None:
    for distinct in (True, False):
        asked = request(distinct=distinct)
        assert ("twins" in printed(variants(asked), asked, 60)) is distinct


def test_infinite_undefined_and_off_are_told_apart() -> None:
    asked = request("profit_factor", blocks=[CROSS], risk={"sl": [None]})
    row = variants(asked)[0]
    row["metrics_json"] |= {"profit_factor": None, "infinite": ["profit_factor"], "sharpe": None}
    cells = printed([row], asked, 160).splitlines()[-1].split()
    shown = [each.name for each in top_table.Layout.of(asked, [], 160).metrics]
    assert cells[1 + shown.index("profit_factor")] == "∞"
    assert cells[1 + shown.index("sharpe")] == "-"
    asked = request(risk={"sl": [None, 2]})
    assert printed(variants(asked)[:1], asked, 160).split()[-1] == "off"


def test_blocks_whose_names_end_alike_are_told_apart() -> None:
    pair = [block("slow.rsi", {"window": [50, 60]}), block("fast.rsi", {"window": [5, 6]})]
    asked = request(blocks=pair)
    text = printed(variants(asked), asked, 160)
    assert {"slow.rsi", "fast.rsi"} <= set(text.split())
    assert text.splitlines()[-1].split()[-2:] == ["60", "6"]


def test_a_figure_of_unusual_size_makes_room_for_itself() -> None:
    asked = request("sharpe", blocks=[CROSS])
    text = printed(variants(asked, total_return_pct=9_876_543.21, sharpe=1e300), asked, 60)
    assert "1.000e+300" in text
    assert all(len(line) <= 60 for line in text.splitlines())


NAMES = st.text("abcdefghij_", min_size=1, max_size=12)
NUMBERS = st.one_of(st.integers(1, 10**6), st.floats(0.001, 99).map(lambda each: round(each, 3)))
AXIS = st.lists(NUMBERS, min_size=1, max_size=3, unique=True)
BLOCKS = st.dictionaries(NAMES, st.dictionaries(NAMES, AXIS, max_size=4), min_size=1, max_size=4)


@settings(deadline=None)
@given(
    blocks=BLOCKS,
    width=st.integers(20, 200),
    ranking=st.lists(st.sampled_from(METRICS), min_size=2, max_size=2, unique=True),
    distinct=st.booleans(),
    ended=st.booleans(),
)
def test_nothing_is_cut_whatever_is_asked_and_however_wide(
    blocks: dict[str, dict[str, list[Any]]],
    width: int,
    ranking: list[str],
    distinct: bool,
    ended: bool,
) -> None:
    grids = [block(name, params) for name, params in blocks.items()]
    asked = request(*ranking, blocks=grids, risk={"sl": [None, 1.5]}, distinct=distinct)
    rows = variants(asked, **dict.fromkeys(METRICS, 12_345))
    text = printed(rows, asked, width, ended=ended)
    assert "…" not in text
    words = text.replace(",", " ").split()
    for params in blocks.values():
        for name, values in params.items():
            assert name in words
            for value in values if len(rows) == 1 else values[:1]:
                assert f"{value:.15g}" in words
    assert text.count("12,345") >= 2 * len(rows)
