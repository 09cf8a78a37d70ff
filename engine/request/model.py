"""What a request is once it has been read: frozen values, no more checks needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from engine.indicators.registry import Indicator, Output
from engine.request.words import EXIT, block_title
from engine.timeframes import TIMEFRAMES

VERSION = 4
"""Version of effective requests as they are written now. One without a version is of version 1."""

MAX_INDEX = 2**63 - 1
"""The largest index of a variant, with its risk levels."""

RISK_AXES = ("sl", "tp", "tsl")

DirectionMode = Literal["long-short", "long-only", "short-only"]
SizingMode = Literal[
    "all_in",
    "fixed_quote",
    "strategy_compound",
    "strategy_compound_profit_lock",
    "percent",
    "risk_per_trade",
]
DIRECTION_MODES: tuple[DirectionMode, ...] = get_args(DirectionMode)
SIZING_MODES: tuple[SizingMode, ...] = get_args(SizingMode)

EntryFill = Literal["close", "next_open"]
StopFill = Literal["close", "intrabar"]
ENTRY_FILLS: tuple[EntryFill, ...] = get_args(EntryFill)
STOP_FILLS: tuple[StopFill, ...] = get_args(StopFill)

WalkForwardMode = Literal["anchored", "rolling"]

WALK_FORWARD_MODES: tuple[WalkForwardMode, ...] = get_args(WalkForwardMode)

Stored = Literal["stored"]
STORED: Stored = "stored"
"""What stands for a number that is to be read from the candle store: funding as it was paid."""

Position = Literal["state", "hold"]
POSITIONS: tuple[Position, ...] = get_args(Position)

FIRST_EXECUTION: Mapping[str, Any] = MappingProxyType(
    {
        "entry_fill": "close",
        "stop_fill": "close",
        "reentry_after_bars": 0,
        "percent": 100,
        "risk_per_trade_pct": 1,
        "leverage": None,
        "funding_pct_per_8h": 0,
        "borrow_pct_per_year": 0,
    }
)
"""What members of `execution` that came with version 3 were before a request could say so.

Keys and hashes leave them out where they are this, so that they stay those of before. So may a
document of any version.
"""

FIRST_POSITION: Position = "state"
"""What a position was before a request could say so: keys and hashes leave it out as well."""

Level = float | None
"""A value of an axis of stage B in human percent; None: the risk exit is off, or no percent."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a request that leaves something out gets.

    `top_k_persisted` and `result_bytes_max` are also the most that a request may ask for.
    `warmup_bars` None means what the grid of the request needs.
    `fee_pct_by_market_id` and `indicator_grids` (id → {"params": axes, "signals": axes}) may lack
    an entry; a request that needs it is then refused.
    """

    warmup_bars: int | None
    top_k: int
    preselect: int
    top_k_persisted: int
    top_trades_n: int
    primary_metric: str
    secondary_metric: str | None
    init_cash_quote: float
    fixed_quote: float
    safe_profit_percent: float
    slippage_pct: float
    fee_pct_by_market_id: Mapping[int, float]
    indicator_grids: Mapping[str, Any]
    result_bytes_max: int = 32 * 2**20
    min_trades: int = 30
    distinct: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest request that is accepted: variants of stage A and B, estimated bytes.

    `max_axis_values` is how many values one axis has at most: whoever reads a request lists them.
    `threads` is how many compute a job, each with memory of its own.
    """

    max_variants_per_compute: int
    max_compute_bytes_total: int
    max_stage_b_variants: int = 20_000_000
    threads: int = 1
    max_axis_values: int = 1_000_000


UNGUARDED = Limits(MAX_INDEX, MAX_INDEX, MAX_INDEX, max_axis_values=MAX_INDEX)
"""For reading what a guard has accepted before: no more than what can be numbered."""


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """One indicator with its axes, by parameter name in declared order.

    `sources` is empty for an indicator that chooses none. A choice is held by its name.
    `timeframe` is a larger one than that of the template, None: that of the template.
    """

    name: str
    indicator: Indicator
    output: Output
    sources: tuple[str, ...]
    params: Mapping[str, tuple[float | str, ...]]
    signals: Mapping[str, tuple[float | str, ...]]
    timeframe: str | None = None

    @property
    def timeframe_ms(self) -> int | None:
        """Length of its larger bars; None where it has those of the template."""
        return None if self.timeframe is None else TIMEFRAMES[self.timeframe]

    @property
    def title(self) -> str:
        """What people call it: "rsi", or "rsi 1h" where its bars are not those of the template."""
        return block_title(self.name, self.timeframe)


@dataclass(frozen=True, slots=True)
class Execution:
    """Cash, costs, fills and sizes; percentages are human (0.075 = 0.075 %).

    `entry_fill` is where entries and signal exits fill: at the close of the bar that decides, or at
    the next open. `stop_fill` is where stops and targets are seen: at closes, or inside bars.
    `reentry_after_bars`: on so many bars after a risk exit, and on its own, nothing is opened;
    0: the next edge opens.
    `percent` is the first value of its axis: stage A sizes with it. `leverage` None: none, and a
    position takes all it costs. Funding is paid every 8 hours, or as it is stored, borrowing by the
    time a short is held.
    """

    init_cash_quote: float
    fee_pct: float
    slippage_pct: float
    fixed_quote: float
    safe_profit_percent: float
    entry_fill: EntryFill
    stop_fill: StopFill
    reentry_after_bars: int
    percent: float
    risk_per_trade_pct: float
    leverage: float | None
    funding_pct_per_8h: float | Stored
    borrow_pct_per_year: float


@dataclass(frozen=True, slots=True)
class Risk:
    """The axes of stage B, each at least one value long.

    `percent` is how much of the equity a position takes, (None,) where sizing is not by percent.
    """

    sl: tuple[Level, ...]
    tp: tuple[Level, ...]
    tsl: tuple[Level, ...]
    percent: tuple[Level, ...]

    @property
    def total(self) -> int:
        """Number of combinations."""
        return len(self.sl) * len(self.tp) * len(self.tsl) * len(self.percent)


@dataclass(frozen=True, slots=True)
class Ranking:
    """What variants are ordered by, and whether lists hold each outcome once."""

    primary_metric: str
    secondary_metric: str | None
    min_trades: int
    distinct: bool = True


@dataclass(frozen=True, slots=True)
class WalkForward:
    """How often a search chooses again, and by which blocks."""

    folds: int
    mode: WalkForwardMode


@dataclass(frozen=True, slots=True)
class Validation:
    """Where training ends and the test begins, and what a search is asked.

    Training ends after a share of the bars, or at a time: one of the two is None. 0 `splits` or
    `draws` are not asked, and without `walk_forward` none is walked.
    """

    train_pct: float | None
    test_start_ms: int | None
    blocks: int = 16
    splits: int = 1000
    draws: int = 39
    walk_forward: WalkForward | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A valid request. `document` is the effective JSON it was made of; times are ms since 1970.

    `blocks` open positions, `exit_blocks` close what is held; each are sorted by name, and one name
    may stand in both. A position "state" is flat where the signals are NEUTRAL, and has no exit
    blocks; one on "hold" is kept there until it is closed.
    `result_bytes_max` is what the trades and equity curves of all variants may take together.
    Without `validation` the winner is chosen on all bars.
    """

    document: Mapping[str, Any]
    start_ms: int
    end_ms: int
    market_id: int
    symbol: str
    timeframe: str
    timeframe_ms: int
    blocks: tuple[BlockRequest, ...]
    position: Position
    exit_blocks: tuple[BlockRequest, ...]
    direction_mode: DirectionMode
    sizing_mode: SizingMode
    execution: Execution
    risk: Risk
    warmup_bars: int
    preselect: int
    top_k: int
    top_trades_n: int
    result_bytes_max: int
    ranking: Ranking
    validation: Validation | None = None

    @property
    def wants_stored_funding(self) -> bool:
        """Whether funding is what the candle store has of it."""
        return self.execution.funding_pct_per_8h == STORED

    @property
    def titled_blocks(self) -> dict[str, BlockRequest]:
        """All blocks by what people call them, in the order of the grid: "rsi 1h", "exit rsi"."""
        return {
            **{block.title: block for block in self.blocks},
            **{EXIT + block.title: block for block in self.exit_blocks},
        }
