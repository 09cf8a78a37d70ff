"""How modes of a request are said to people, and when stops at closes are warned of."""

from typing import Any

import pytest

from engine.request import complete, parse
from engine.request.model import ENTRY_FILLS, FIRST_EXECUTION, RISK_AXES, STOP_FILLS
from engine.request.warnings import of_fills
from engine.request.words import FILLS, HELD, fills_text, modes_text, position_text
from tests.engine.requests import DEFAULTS, LIMITS, explicit, with_value


@pytest.mark.parametrize(
    ("execution", "text"),
    [
        ({"entry_fill": "close", "stop_fill": "close"}, ""),
        ({"entry_fill": "next_open", "stop_fill": "close"}, "entries at the next open"),
        ({"entry_fill": "close", "stop_fill": "intrabar"}, "stops inside bars"),
        (
            {"entry_fill": "next_open", "stop_fill": "intrabar"},
            "entries at the next open, stops inside bars",
        ),
        ({"fee_pct": 0.075}, ""),  # of a job that was stored before there was a choice
        ({"stop_fill": "intrabar"}, "stops inside bars"),  # of a row, which names no default
    ],
)
def test_fills_that_are_not_at_closes_are_said_in_words(
    execution: dict[str, Any], text: str
) -> None:
    assert fills_text(execution) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ({"position": "state", "execution": {"reentry_after_bars": 0}}, ""),
        ({"execution": {}}, ""),  # of a job that was stored before there was a choice
        ({"position": "hold", "execution": {}}, HELD),
        ({"execution": {"reentry_after_bars": 1}}, "no entry for 1 bar after a stop or target"),
        (
            {"position": "hold", "execution": {"reentry_after_bars": 1200}},
            f"{HELD}, no entry for 1,200 bars after a stop or target",
        ),
    ],
)
def test_what_is_held_and_a_pause_are_said_in_words(template: dict[str, Any], text: str) -> None:
    assert position_text(template) == modes_text(template) == text


def test_all_modes_are_said_together_the_position_first() -> None:
    template = {"position": "hold", "execution": {"stop_fill": "intrabar"}}
    assert modes_text(template) == f"{HELD}, stops inside bars"


def test_every_choice_but_the_first_has_its_words() -> None:
    choices = {"entry_fill": ENTRY_FILLS, "stop_fill": STOP_FILLS}
    assert {name: (FIRST_EXECUTION[name], *words) for name, words in FILLS.items()} == choices


def warned(stop_fill: str, leverage: float | None = None, **risk: Any) -> list[dict[str, Any]]:
    execution = {"stop_fill": stop_fill, "leverage": leverage}
    request = with_value("template.execution", execution)
    request["template"]["risk_grid"] = risk
    return of_fills(parse(complete(request, DEFAULTS, LIMITS)))


@pytest.mark.parametrize("axis", ["sl", "tsl"])
def test_stops_at_closes_are_warned_of_with_what_to_do(axis: str) -> None:
    assert warned("close", tp=explicit(4), **{axis: explicit(None, 2)}) == [
        {
            "code": "stops_at_closes",
            "message": "stops are seen at closes only, so real losses exceed their level (1.5 "
            'times on real 15-minute bars); "stop_fill": "intrabar" looks at highs and lows',
            "path": "template.execution.stop_fill",
        }
    ]


def test_of_targets_alone_the_warning_speaks_of_gains() -> None:
    (found,) = warned("close", tp=explicit(None, 4))
    assert found["message"].startswith(
        "targets are seen at closes only, so real gains exceed their level (1.4 times on real "
    )


def test_liquidations_at_closes_are_warned_of_where_no_level_is() -> None:
    (found,) = warned("close", leverage=5.0)
    assert found["code"] == "stops_at_closes"
    assert found["message"] == (
        "liquidations are seen at closes only, so a position survives bars that go beyond its "
        'level and come back; "stop_fill": "intrabar" looks at highs and lows'
    )
    assert warned("close", leverage=5.0, sl=explicit(2)) == warned("close", sl=explicit(2))
    assert warned("intrabar", leverage=5.0) == []


def test_what_is_looked_at_inside_bars_is_warned_of_by_nobody() -> None:
    assert warned("intrabar", sl=explicit(2), tp=explicit(4), tsl=explicit(1)) == []


@pytest.mark.parametrize("off", [{}, {name: explicit(None) for name in RISK_AXES}])
def test_without_a_level_there_is_nothing_to_warn_of(off: dict[str, Any]) -> None:
    assert warned("close", **off) == []
