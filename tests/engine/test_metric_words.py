"""What figures are called where people read them."""

import pytest

from engine.metric_names import METRICS
from engine.metric_words import WORDS, words, words_with_unit


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_of_the_ranking_has_a_name_for_people(name: str) -> None:
    assert words(name) == WORDS[name]
    assert "_" not in words(name)


def test_no_two_figures_have_one_name() -> None:
    assert len(set(WORDS.values())) == len(WORDS)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("total_return_pct", "total return (%)"),
        ("return_over_max_drawdown", "return / max drawdown"),
        ("num_trades", "trades"),
        ("some_new_figure_pct", "some new figure (%)"),
    ],
)
def test_a_name_stands_with_its_unit_where_it_has_one(name: str, shown: str) -> None:
    assert words_with_unit(name) == shown
