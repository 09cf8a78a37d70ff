"""The fields of a request, in the order in which people write them."""

from engine.metric_names import METRICS
from engine.request.block_entries import AXIS_ENTRIES, BLOCK_ENTRIES, EXIT_GRIDS, GRIDS
from engine.request.bounds import (
    BLOCKS,
    BORROWING,
    COSTS,
    COUNT,
    DRAWS,
    FOLDS,
    FROM_ZERO,
    FUNDING,
    LEVERAGE,
    MARKET_ID,
    MONEY,
    PERCENT_OF_EQUITY,
    REENTRY_BARS,
    RISK_PER_TRADE,
    SPLITS,
    TRAINED,
    WARMUP_BARS,
    Bounds,
)
from engine.request.model import (
    DIRECTION_MODES,
    ENTRY_FILLS,
    POSITIONS,
    RISK_AXES,
    SIZING_MODES,
    STOP_FILLS,
    STORED,
    WALK_FORWARD_MODES,
)
from engine.request.table import Derived, Entry, Most, Pattern, Setting, Table
from engine.timeframes import TIMEFRAMES

_SYMBOL = Pattern(r"[!-~]{1,64}", "1 to 64 ASCII characters without spaces")
_LEVELS = {"sl": "Stop loss", "tp": "Take profit", "tsl": "Trailing stop"}
_LEVEL_EXAMPLES = {
    "sl": {"mode": "range", "start": 1, "stop_incl": 5, "step": 1},
    "tp": [None, 2, 4, 8],
    "tsl": None,
}

_TOP = (
    Entry(
        "version",
        "integer",
        "Form of the document; stored requests carry it, and are read in their own form for ever.",
        bounds=COUNT,
        default=Derived("the newest"),
    ),
    Entry("time_range", "object", "The traded range in UTC: every bar that lies in it entirely."),
    Entry("time_range.start", "time", "First moment that is traded.", "2024-01-01"),
    Entry("time_range.end", "time", "First moment that is no longer traded.", "2025-01-01"),
)

_TEMPLATE = (
    Entry("template", "object", "What is traded, and how."),
    Entry("template.instrument_id", "object", "The instrument, as its candles were imported."),
    Entry(
        "template.instrument_id.market_id", "integer", "Number of the market.", 1, bounds=MARKET_ID
    ),
    Entry(
        "template.instrument_id.symbol",
        "text",
        "Symbol in that market.",
        "BTCUSDT",
        pattern=_SYMBOL,
    ),
    Entry(
        "template.timeframe",
        "choice",
        "Length of a bar.",
        "15m",
        choices=tuple(TIMEFRAMES),
        noun="timeframe",
    ),
    Entry(
        GRIDS,
        "array",
        "Indicators with the values to try: all combinations, traded where all signals agree.",
        [
            {
                "indicator_id": "ma.sma",
                "params": {"window": {"mode": "range", "start": 5, "stop_incl": 200, "step": 5}},
            }
        ],
    ),
    *BLOCK_ENTRIES,
    Entry(
        "template.position",
        "choice",
        "A position ends where its signals do (state), or is held until one against it (hold).",
        POSITIONS[0],
        choices=POSITIONS,
        noun="position",
        default=POSITIONS[0],
    ),
    Entry(
        EXIT_GRIDS,
        "array",
        "Indicators, in the same form, of which any closes what is held by a signal against it.",
        default=[],
    ),
    Entry(
        "template.direction_mode",
        "choice",
        "Which positions may be opened; a forbidden signal only closes.",
        DIRECTION_MODES[0],
        choices=DIRECTION_MODES,
        noun="direction mode",
        default=DIRECTION_MODES[0],
    ),
    Entry(
        "template.sizing_mode",
        "choice",
        "How much of the cash a position takes.",
        SIZING_MODES[0],
        choices=SIZING_MODES,
        noun="sizing mode",
        default=SIZING_MODES[0],
    ),
)

_EXECUTION = (
    Entry("template.execution", "object", "Cash, costs and fills.", default={}),
    Entry(
        "template.execution.init_cash_quote",
        "number",
        "Cash at the beginning, in the quote currency.",
        10_000,
        bounds=MONEY,
        default=Setting("init_cash_quote"),
    ),
    Entry(
        "template.execution.fee_pct",
        "number",
        "Fee of every fill, in percent of its amount.",
        0.075,
        bounds=COSTS,
        default=Setting("fee_pct_by_market_id", by="market_id"),
    ),
    Entry(
        "template.execution.slippage_pct",
        "number",
        "How much worse than the market a fill is, in percent; not of targets inside bars.",
        0.01,
        bounds=COSTS,
        default=Setting("slippage_pct"),
    ),
    Entry(
        "template.execution.fixed_quote",
        "number",
        "Amount of a position when sizing_mode is fixed_quote.",
        100,
        bounds=MONEY,
        default=Setting("fixed_quote"),
    ),
    Entry(
        "template.execution.safe_profit_percent",
        "number",
        "Share of each profit that is put aside when sizing_mode locks profits.",
        30,
        bounds=Bounds(minimum=0, maximum=100),
        default=Setting("safe_profit_percent"),
    ),
    Entry(
        "template.execution.entry_fill",
        "choice",
        "Where entries and signal exits fill: at the close that decides, or at the next open.",
        ENTRY_FILLS[0],
        choices=ENTRY_FILLS,
        noun="entry fill",
        default=ENTRY_FILLS[0],
    ),
    Entry(
        "template.execution.stop_fill",
        "choice",
        "Where stops and targets are seen: at closes only, or inside bars (recommended for stops).",
        STOP_FILLS[0],
        choices=STOP_FILLS,
        noun="stop fill",
        default=STOP_FILLS[0],
    ),
    Entry(
        "template.execution.reentry_after_bars",
        "integer",
        "Bars after a stop or target on which nothing is opened; 0: the next new signal opens.",
        0,
        bounds=REENTRY_BARS,
        default=0,
    ),
    Entry(
        "template.execution.percent",
        "axis",
        "Percent of the equity that a position takes when sizing_mode is percent; may be an axis.",
        100,
        bounds=PERCENT_OF_EQUITY,
        default=100,
    ),
    Entry(
        "template.execution.risk_per_trade_pct",
        "number",
        "Percent of the equity that a stop loss costs when sizing_mode is risk_per_trade.",
        1,
        bounds=RISK_PER_TRADE,
        default=1,
    ),
    Entry(
        "template.execution.leverage",
        "number",
        "How many times its margin a position is; without leverage (null) nothing is liquidated.",
        None,
        bounds=LEVERAGE,
        default=None,
        null=True,
    ),
    Entry(
        "template.execution.funding_pct_per_8h",
        "number",
        "What longs pay shorts at 00, 08, 16 UTC, in percent (negative: shorts pay), or as stored.",
        0,
        bounds=FUNDING,
        default=0,
        texts=(STORED,),
    ),
    Entry(
        "template.execution.borrow_pct_per_year",
        "number",
        "Interest on what a short has borrowed, in percent a year, by the time it is held.",
        0,
        bounds=BORROWING,
        default=0,
    ),
)

_RISK = (
    Entry("template.risk_grid", "object", "Exits to try, all combinations of them.", default={}),
    *(
        Entry(
            f"template.risk_grid.{name}",
            "axis",
            f"{_LEVELS[name]} in percent; null is off.",
            _LEVEL_EXAMPLES[name],
            bounds=Bounds(above=0),
            default=None,
            null=True,
        )
        for name in RISK_AXES
    ),
)

_SIZES = (
    Entry(
        "warmup_bars",
        "integer",
        "Bars before the range that indicators read; null is what the longest of the grid needs.",
        None,
        bounds=WARMUP_BARS,
        default=Setting("warmup_bars"),
        null=True,
    ),
    Entry(
        "preselect",
        "integer",
        "Variants that go on from stage A, without exits, to stage B, with them.",
        20_000,
        bounds=COUNT,
        default=Setting("preselect"),
    ),
    Entry(
        "top_k",
        "integer",
        "Variants that are kept in the end.",
        300,
        bounds=COUNT,
        default=Setting("top_k", "or all there can be"),
        most=Most("top_k_persisted", "jobs.top_k_persisted_default"),
    ),
    Entry(
        "top_trades_n",
        "integer",
        "The best of them, stored with their trades and equity curve.",
        3,
        bounds=FROM_ZERO,
        default=Setting("top_trades_n", "or top_k if that is less"),
    ),
    Entry(
        "result_bytes_max",
        "integer",
        "Bytes for trades and equity curves of all variants; what has no room is left out.",
        bounds=COUNT,
        default=Setting("result_bytes_max"),
        most=Most("result_bytes_max", "jobs.result_bytes_max"),
    ),
)

_RANKING = (
    Entry("ranking", "object", "What makes a variant better than another.", default={}),
    Entry(
        "ranking.primary_metric",
        "choice",
        "Metric to rank by.",
        "total_return_pct",
        choices=METRICS,
        noun="metric",
        default=Setting("primary_metric"),
    ),
    Entry(
        "ranking.secondary_metric",
        "choice",
        "Metric that decides where the first is equal.",
        None,
        choices=METRICS,
        noun="metric",
        default=Setting("secondary_metric"),
        null=True,
    ),
    Entry(
        "ranking.min_trades",
        "integer",
        "Variants with fewer trades rank behind all others.",
        30,
        bounds=FROM_ZERO,
        default=Setting("min_trades"),
    ),
    Entry(
        "ranking.distinct",
        "boolean",
        "Whether variants that trade alike take one place together.",
        True,
        default=Setting("distinct"),
    ),
    Entry(
        "validation",
        "object",
        "Bars that the winner is not chosen on, and is tested on; null: none.",
        default=None,
        null=True,
    ),
    Entry(
        "validation.train_pct",
        "number",
        "Share of the bars, in percent, that the search sees: the first ones.",
        70,
        bounds=TRAINED,
        default=Derived("70, unless test_start is given"),
        null=True,
    ),
    Entry(
        "validation.test_start",
        "time",
        "First moment that the search does not see; in place of train_pct.",
        None,
        default=None,
        null=True,
    ),
    Entry(
        "validation.blocks",
        "integer",
        "Stretches of like lengths that the training bars are cut into, an even number.",
        16,
        bounds=BLOCKS,
        default=16,
    ),
    Entry(
        "validation.splits",
        "integer",
        "Halves of the blocks to choose by, to see whether the search overfits; 0: none.",
        1000,
        bounds=SPLITS,
        default=1000,
    ),
    Entry(
        "validation.draws",
        "integer",
        "Times that the whole search is repeated on bars without an edge; 0: never.",
        39,
        bounds=DRAWS,
        default=39,
    ),
    Entry(
        "validation.walk_forward",
        "object",
        "Whether the search chooses again before each of the last blocks; null: it does not.",
        default=None,
        null=True,
    ),
    Entry(
        "validation.walk_forward.folds",
        "integer",
        "How many of the last blocks are tested; fewer than there are blocks.",
        8,
        bounds=FOLDS,
        default=8,
    ),
    Entry(
        "validation.walk_forward.mode",
        "choice",
        "Blocks that a fold is chosen by: all before its test, or so many that each has the same.",
        "anchored",
        choices=WALK_FORWARD_MODES,
        noun="mode",
        default="anchored",
    ),
)

TABLE = Table((*_TOP, *_TEMPLATE, *_EXECUTION, *_RISK, *_SIZES, *_RANKING, *AXIS_ENTRIES))
