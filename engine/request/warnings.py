"""What a submitter should know of a request that is accepted: codes and plain sentences.

A warning is `{"code", "message", "path"}`; the path is that of the field whose change would help,
or None. Nothing here refuses anything.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from engine.candles import load_range, utc
from engine.coverage import Coverage, Presence
from engine.indicators.lookback import defined_after
from engine.request.model import RISK_AXES, Request
from engine.request.warmup import base_bars
from engine.request.words import plain
from engine.timeframes import TIMEFRAMES

Warned = dict[str, Any]

LARGE_GAP_SHARE = 0.01  # of the asked bars, missing in a row
MISSING_SHARE = 0.01  # of the asked bars, missing anywhere
LISTED = 5
DAY_MS = TIMEFRAMES["1d"]
_LIQUIDATED_AT_CLOSES = (
    "stops_at_closes",
    "liquidations are seen at closes only, so a position survives bars that go beyond its level "
    'and come back; "stop_fill": "intrabar" looks at highs and lows',
    "template.execution.stop_fill",
)
_SAFE = 1e-9  # levels this close to the extremes are taken to be reached


def coverage_unknown(reason: str) -> Warned:
    """Say that nobody could tell which candles there are."""
    return _warning(
        "coverage_unknown",
        f"whether there are candles for this could not be checked: {reason}",
        None,
    )


def of_coverage(request: Request, coverage: Coverage) -> list[Warned]:
    """Warn of asked bars that do not exist, and of values that do not exist on the first one."""
    return [
        *_partial(coverage, request.timeframe_ms),
        *_gap(coverage, request.timeframe_ms),
        *_undefined(request, coverage),
        *_unfunded(coverage),
    ]


def of_levels(request: Request, found: Presence) -> list[Warned]:
    """Warn of risk levels that no position of this range can reach."""
    step, phase_ms = request.timeframe_ms, found.phase_ms
    first_open, _ = load_range(request.start_ms, request.end_ms, step, 0, phase_ms)
    if found.lowest is None or found.highest is None:
        return []
    if found.expected is None and found.first_ms != first_open:
        return []  # the first bars repeat a close from before the range
    listed, axes = [], []
    for name in RISK_AXES:
        levels = [level for level in getattr(request.risk, name) if level is not None]
        idle = [one for one in levels if not _reachable(request, found, name, one / 100)]
        if idle:
            listed.append(f"{name} {_some(map(plain, idle))}")
            axes.append(f"template.risk_grid.{name}")
    if not listed:
        return []
    return [
        _warning(
            "levels_cannot_trigger",
            f"no position can reach these risk levels, in percent: {'; '.join(listed)}. Prices in "
            f"the range go from {found.lowest:g} to {found.highest:g}",
            axes[0] if len(axes) == 1 else "template.risk_grid",
        )
    ]


def of_fills(request: Request) -> list[Warned]:
    """Warn of levels that are looked at when a bar closes, and met beyond by then.

    Also of liquidations, which a real position does not survive within a bar.
    """
    if request.execution.stop_fill != "close":
        return []
    found = {
        name for name in RISK_AXES if any(one is not None for one in getattr(request.risk, name))
    }
    if not found:
        return [] if request.execution.leverage is None else [_warning(*_LIQUIDATED_AT_CLOSES)]
    exits, outcomes, times = "stops", "losses", "1.5 times"
    if found == {"tp"}:
        exits, outcomes, times = "targets", "gains", "1.4 times"
    message = (
        f"{exits} are seen at closes only, so real {outcomes} exceed their level ({times} on real "
        '15-minute bars); "stop_fill": "intrabar" looks at highs and lows'
    )
    return [_warning("stops_at_closes", message, "template.execution.stop_fill")]


def of_leverage(request: Request) -> list[Warned]:
    """Warn of stop losses that lie at the liquidation or beyond: that comes first.

    A trailing stop as wide is no such case: it moves away from the liquidation.
    """
    leverage = request.execution.leverage
    if leverage is None:
        return []
    idle = [one for one in request.risk.sl if one is not None and one / 100 >= 1 / leverage]
    if not idle:
        return []
    message = (
        f"no position reaches these stop losses, in percent: {_some(map(plain, idle))}; with "
        f"leverage {plain(leverage)} it is liquidated first, {100 / leverage:.6g} % from its entry"
    )
    return [_warning("stops_beyond_liquidation", message, "template.risk_grid.sl")]


def _partial(coverage: Coverage, step: int) -> list[Warned]:
    asked, present = coverage.bars_expected, coverage.bars_present
    lacks_an_end = coverage.last_ms - coverage.first_ms < (asked - 1) * step
    if not lacks_an_end and asked - present < MISSING_SHARE * asked:
        return []
    days, of_days = round(present * step / DAY_MS), round(asked * step / DAY_MS)
    if 0 < days < of_days and not coverage.sessions:
        first, last = utc(coverage.first_ms)[:10], utc(coverage.last_ms)[:10]
        share = f"{days} of {of_days} days"
    else:
        first, last = utc(coverage.first_ms), utc(coverage.last_ms)
        share = f"{present} of {asked} bars"
    return [_warning("coverage_partial", f"candles cover {share}: {first} to {last}", "time_range")]


def _gap(coverage: Coverage, step: int) -> list[Warned]:
    bars, start = coverage.longest_gap_bars, coverage.longest_gap_start_ms
    large = bars > LARGE_GAP_SHARE * coverage.bars_expected or bars * step >= DAY_MS
    if start is None or not large:
        return []
    if coverage.sessions:
        text = f"{bars} bars in a row are missing from {utc(start)} on, closed hours left out"
    else:
        text = (
            f"there are no candles from {utc(start)} to {utc(start + bars * step)}: {bars} bars "
            "in a row repeat the last close"
        )
    return [_warning("coverage_gap", text, "time_range")]


def _undefined(request: Request, coverage: Coverage) -> list[Warned]:
    if not coverage.undefined:
        return []
    blocks = request.titled_blocks
    needed = max(
        base_bars(blocks[name], defined_after, request.timeframe_ms) for name in coverage.undefined
    )
    path, advice = "warmup_bars", "raise warmup_bars, or leave it out"
    if coverage.warmup_present < coverage.warmup_bars:
        path, advice = "time_range.start", "import earlier candles or start later"
    return [
        _warning(
            "warmup_missing",
            f"some variants of {_some(coverage.undefined)} have no value on the first traded bar: "
            f"they need {needed} bars before it, and {coverage.warmup_present} are there; {advice}",
            path,
        )
    ]


def _unfunded(coverage: Coverage) -> list[Warned]:
    funding = coverage.funding
    if funding is None or not funding.gaps:
        return []
    start, end = funding.gap_start_ms, funding.gap_end_ms
    more = funding.gaps - 1
    others = f" ({more} more gap{'' if more == 1 else 's'} of over a day)" if more else ""
    return [
        _warning(
            "funding_gap",
            f"no funding rates are stored from {utc(start)} to {utc(end)}{others}: nothing is paid "
            "there; import them, or give a number",
            "template.execution.funding_pct_per_8h",
        )
    ]


def _reachable(request: Request, found: Presence, axis: str, level: float) -> bool:
    """Whether some position of the range may reach a level, given as a fraction."""
    assert found.lowest is not None
    assert found.highest is not None
    slip = request.execution.slippage_pct / 100
    for side, slipped in (("long", 1 + slip), ("short", 1 - slip)):
        if request.direction_mode not in ("long-short", f"{side}-only"):
            continue
        # The trailing stop looks at raw closes, the others at the fill of the entry.
        fill = 1.0 if axis == "tsl" else slipped
        if (side == "long") != (axis == "tp"):  # reached by a fall
            reached = found.lowest <= found.highest * fill * (1 - level) * (1 + _SAFE)
        else:
            reached = found.highest >= found.lowest * fill * (1 + level) * (1 - _SAFE)
        if reached:
            return True
    return False


def _some(names: Iterable[str]) -> str:
    names = iter(names)
    listed, rest = list(islice(names, LISTED)), len(list(names))
    return ", ".join(listed) + (f" and {rest} more" if rest else "")


def _warning(code: str, message: str, path: str | None) -> Warned:
    return {"code": code, "message": message, "path": path}
