"""A close that equals a risk level in decimals hits it, long and short alike; the next one misses.

Prices, percents and slippage are decimals, as a trader writes them, and decimal arithmetic says
where the level is. What float64 makes of the same products must not decide.
"""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.adapter import engine_run, engine_scores
from tests.engine.properties_sweeps import law
from tests.engine.simulator import Execution, RiskLevels, simulate

NEXT = Decimal("1e-10")  # relative: a close so far beyond a level is another price
KINDS = ("sl", "tp", "tsl")

prices = st.decimals("0.0001", "99999", places=4) | st.sampled_from(
    [Decimal(text) for text in ("100", "1", "0.07", "43210.5", "1.1", "3")]
)
percents = st.decimals("0.1", "95", places=2) | st.sampled_from(
    [Decimal(text) for text in ("10", "55", "1", "2.5", "0.5", "33.3", "7", "70")]
)
gains = st.sampled_from([Decimal(text) for text in ("0", "0.1", "0.37", "0.003")])
slippages = st.sampled_from([Decimal(text) for text in ("0", "0", "0.01", "0.05", "0.3", "1.25")])


@dataclass(frozen=True, slots=True)
class Touch:
    """A position whose price touches one risk level exactly, or stops just short of it."""

    direction: int
    risk: RiskLevels
    execution: Execution
    entry: list[Decimal]  # the entry and, for a trailing stop, the best price
    level: Decimal
    beyond: int  # 1: the level is hit from below, -1: from above

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self.risk, kind) is not None)

    def closes(self, *, touching: bool) -> list[float]:
        last = self.level if touching else self.level * (1 - self.beyond * NEXT)
        return [float(close) for close in (*self.entry, last, last)]


@st.composite
def touches(draw: st.DrawFn) -> Touch:
    direction, kind = draw(st.sampled_from((1, -1))), draw(st.sampled_from(KINDS))
    entry, percent, slippage = draw(prices), draw(percents), draw(slippages)
    bars = [entry]
    measured_from = entry * (1 + direction * slippage / 100)
    if kind == "tsl":
        measured_from = entry * (1 + direction * draw(gains))
        bars.append(measured_from)
    beyond = direction if kind == "tp" else -direction
    level = measured_from * (1 + beyond * percent / 100)
    risk = RiskLevels(**{kind: float(percent)})
    return Touch(direction, risk, Execution(slippage_pct=float(slippage)), bars, level, beyond)


@law(1500)
@given(touches())
def test_a_close_that_equals_a_decimal_level_hits_it_and_the_next_price_does_not(
    touch: Touch,
) -> None:
    for touching in (True, False):
        closes = touch.closes(touching=touching)
        signals = [touch.direction] * len(closes)
        touched = (len(touch.entry), touch.kind)
        expected = touched if touching else (len(closes) - 1, "forced_close")
        for trade in (simulate, engine_run):
            (found,) = trade(signals, closes, touch.execution, touch.risk).trades
            assert (found.exit_bar, found.reason) == expected


@law(300)
@given(touches())
def test_a_decimal_hit_ends_the_trade_in_a_sweep_too(touch: Touch) -> None:
    axes = (touch.risk.sl,), (touch.risk.tp,), (touch.risk.tsl,)
    for touching in (True, False):
        closes = [*touch.closes(touching=touching), float(touch.entry[0])]
        signals = [touch.direction] * len(closes)
        run = simulate(signals, closes, touch.execution, touch.risk)
        for secondary in (None, "sqn"):
            found = engine_scores(signals, closes, touch.execution, axes, secondary)
            assert found.primary[0] == pytest.approx(run.total_return_pct, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("direction", "risk", "close"),
    [
        (1, RiskLevels(tp=10.0), 110.0),
        (-1, RiskLevels(sl=10.0), 110.0),
        (-1, RiskLevels(tsl=10.0), 110.0),
        (1, RiskLevels(sl=55.0), 45.0),
        (1, RiskLevels(tsl=55.0), 45.0),
        (-1, RiskLevels(tp=55.0), 45.0),
    ],
)
def test_a_price_of_100_hits_a_level_of_whole_percents(
    direction: int, risk: RiskLevels, close: float
) -> None:
    run = engine_run([direction] * 3, [100.0, close, close], Execution(), risk)
    assert run.trades[0].exit_bar == 1
