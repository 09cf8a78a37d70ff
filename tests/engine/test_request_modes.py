"""Names that stand once: what a request may say is what the engine computes and ranks by."""

from typing import get_args

from engine.kernels import DIRECTIONS, SIZINGS
from engine.kernels.rules import caps_entries, execution_rules, locks_profit
from engine.request import complete, parse
from engine.request.model import DirectionMode, SizingMode
from tests.engine.cases import DIRECTIONS as SIMULATED_DIRECTIONS
from tests.engine.mode_cases import MODES
from tests.engine.requests import DEFAULTS, LIMITS, with_value


def test_the_engine_computes_the_modes_a_request_may_name_and_the_simulator_knows() -> None:
    assert set(SIZINGS) == set(get_args(SizingMode)) == set(MODES["sizing_mode"])
    assert set(DIRECTIONS) == set(get_args(DirectionMode)) == set(SIMULATED_DIRECTIONS)


def test_each_sizing_mode_commits_what_its_name_says() -> None:
    capped, locked = set(), set()
    for mode in SIZINGS:
        wanted = with_value("template.sizing_mode", mode)
        wanted["template"]["risk_grid"] = {"sl": 2}
        rules = execution_rules(parse(complete(wanted, DEFAULTS, LIMITS)))
        capped |= {mode} if caps_entries(rules) else set()
        locked |= {mode} if locks_profit(rules) else set()
    assert (capped, locked) == ({"fixed_quote"}, {"strategy_compound_profit_lock"})
