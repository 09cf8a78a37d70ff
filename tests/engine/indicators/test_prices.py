"""One price for a bar: means of its prices are written in one place, and exact on a flat bar."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

import engine
from engine import synthetic
from engine.indicators.compute import price
from engine.indicators.registry import SOURCES
from tests.engine.indicators.test_flat_prices import BARS, COLUMNS, ROUNDS, constant


@settings(max_examples=200, deadline=None)
@example(value=ROUNDS)
@example(value=1.7976931348623157e308)
@given(value=st.floats(5e-324, 1.7976931348623157e308))
def test_the_mean_of_equal_prices_is_that_price(value: float) -> None:
    candles = constant(value, np.ones(3), bars=3)
    for source in SOURCES:
        assert (price(candles, source) == value).all(), source


def test_the_mean_of_other_prices_is_their_sum_divided() -> None:
    """Also where the close, or open and close, are an extreme of the bar."""
    walk = synthetic.bars(2, BARS, 900_000)
    bar = np.arange(BARS)
    close = np.choose(bar % 3, [walk.close, walk.high, walk.low])
    candles = replace(walk, close=close, open=np.where(bar % 6 < 3, walk.open, close))
    o, h, l, c = (getattr(candles, name) for name in COLUMNS)  # noqa: E741
    assert (price(candles, "hl2") == (h + l) / 2).all()
    assert (price(candles, "hlc3") == (h + l + c) / 3).all()
    assert (price(candles, "ohlc4") == (o + h + l + c) / 4).all()


def test_only_one_module_knows_the_formula_of_a_mean_price() -> None:
    """Sums of a bar's prices divided by two, three or four stand in `kernels/prices.py` alone."""
    sums = re.compile(r"(high|low|close|inputs)[^\n]*\+[^\n]*(high|low|close|inputs)[^\n]*/ [234]")
    folder = Path(engine.__file__).parent
    found = [path.name for path in folder.rglob("*.py") if sums.search(_code(path))]
    assert found == ["prices.py"]


def _code(path: Path) -> str:
    """A module without its comments and texts."""
    return ast.unparse(_WithoutTexts().visit(ast.parse(path.read_text())))


class _WithoutTexts(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node
