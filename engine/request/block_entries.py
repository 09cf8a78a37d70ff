"""The fields of a block of a request, and of its axes."""

from engine.indicators.declaration import SOURCES
from engine.request.bounds import Bounds
from engine.request.table import Derived, Entry, Pattern
from engine.timeframes import TIMEFRAMES

GRIDS, EXIT_GRIDS = "template.indicator_grids", "template.exit_grids"
BLOCK = f"{GRIDS}[]"
"""A block; those of `EXIT_GRIDS` have the same form, which the table holds once."""
EXPLICIT, RANGE = "explicit axis", "range axis"
AXES = f"{BLOCK}.params", f"{BLOCK}.signals"
"""Objects whose keys are names of parameters, which the catalogue of indicators knows."""

_NAME = Pattern(r"[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, dots, dashes or underscores")

BLOCK_ENTRIES = (
    Entry(
        f"{BLOCK}.name",
        "text",
        "Tells two blocks of the same indicator apart.",
        pattern=_NAME,
        default=Derived("the indicator_id"),
    ),
    Entry(
        f"{BLOCK}.indicator_id",
        "text",
        "An indicator; `backtest indicators` lists them.",
        "momentum.rsi",
    ),
    Entry(
        f"{BLOCK}.output",
        "text",
        "Which of its outputs gives the signal.",
        "rsi",
        default=Derived("its first output"),
    ),
    Entry(
        f"{BLOCK}.source",
        "axis",
        "Price series that it is computed on, where it reads one.",
        "close",
        choices=SOURCES,
        noun="source",
        default="close",
    ),
    Entry(
        f"{BLOCK}.timeframe",
        "choice",
        "Length of the bars it is computed on: a multiple of the template's, or null for the same.",
        choices=tuple(TIMEFRAMES),
        noun="timeframe",
        default=None,
        null=True,
    ),
    Entry(
        f"{BLOCK}.params",
        "object",
        "Axes of the parameters which that output uses.",
        default=Derived("the default axes of the indicator"),
    ),
    Entry(
        f"{BLOCK}.params.*",
        "axis",
        "Values of one parameter; `backtest indicators ID` shows bounds and defaults.",
        {"window": [7, 14, 21]},
        default=Derived("its default axis"),
    ),
    Entry(
        f"{BLOCK}.signals",
        "object",
        "Axes of the parameters of the rule that reads the output.",
        default=Derived("the default axes of the indicator"),
    ),
    Entry(
        f"{BLOCK}.signals.*",
        "axis",
        "Values of one parameter of the rule.",
        {
            "long_threshold": {"mode": "range", "start": 20, "stop_incl": 40, "step": 5},
            "short_threshold": [60, 70, 80],
        },
        default=Derived("its default axis"),
    ),
)

AXIS_ENTRIES = (
    Entry(
        f"{EXPLICIT}.mode",
        "choice",
        "These values, in this order. Short: the array alone, or one value alone.",
        "explicit",
        choices=("explicit",),
        noun="mode",
    ),
    Entry(f"{EXPLICIT}.values", "array", "The values, none of them twice.", [7, 14, 21]),
    Entry(
        f"{RANGE}.mode",
        "choice",
        "Values at equal distances, exact in decimals.",
        "range",
        choices=("range",),
        noun="mode",
    ),
    Entry(f"{RANGE}.start", "number", "First value.", 5),
    Entry(f"{RANGE}.stop_incl", "number", "No value beyond; itself one if it is met.", 200),
    Entry(
        f"{RANGE}.step",
        "number",
        "Distance between values.",
        5,
        bounds=Bounds(above=0),
    ),
)
