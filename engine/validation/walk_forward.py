"""Walk-forward: choose again and again by what was known, and look at what came next.

Source: R. Pardo (1992), Design, Testing and Optimization of Trading Systems: walk-forward analysis.
The bars are S blocks. Fold f of F, from 0, tests block t = S − F + f. Of all variants with at least
`min_trades` entries in the blocks of its training it takes the one that grew most in them (of
equals the first): training is every block before t (*anchored*), or the S − F blocks before t
(*rolling*). No block from t on has a part in the choice, not even by the number of trades. The
growths in the tests of what was chosen, one behind the other, are the stitched growth.

It ranks by return, whatever else a search is ranked by, and by blocks marked to market: a position
across a border is worth in each block what it moved there. Changing from one winner to the next
costs nothing here, and a winner may hold a position at the begin of a test.

Edge cases: where no variant has enough trades a fold stays in cash, its growth is 0. A variant that
is ruined grows by the floor of its equity once, and by nothing afterwards. The best in hindsight is
that of all variants over all tests, whatever its trades: nobody could have known it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.request.model import WALK_FORWARD_MODES, WalkForwardMode
from engine.validation import Counts, Floats, Growths, Unknown, check_growths, percent

_LEAST = np.iinfo(np.int32).min


@dataclass(frozen=True, slots=True)
class Fold:
    """One choice and its test; `row` is None where the fold stays in cash."""

    first: int  # block of the training
    test: int  # block of the test; the one before ends the training
    eligible: int  # variants with enough trades in the training
    row: int | None
    train_growth: int | None
    train_entries: int | None
    test_growth: int
    test_entries: int

    def document(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "train_blocks": [self.first, self.test - 1],
            "test_block": self.test,
            "eligible": self.eligible,
            "row": self.row,
            "train_return_pct": None if self.train_growth is None else percent(self.train_growth),
            "train_entries": self.train_entries,
            "test_return_pct": percent(self.test_growth),
            "test_entries": self.test_entries,
        }


@dataclass(frozen=True, slots=True)
class WalkForward:
    """All folds, and what there is to compare their tests with."""

    mode: WalkForwardMode
    blocks: int
    min_trades: int
    folds: tuple[Fold, ...]
    hindsight_row: int
    hindsight_growths: tuple[int, ...]  # of each test
    benchmark_growths: tuple[float, ...] | None  # of each test

    @property
    def growth(self) -> int:
        """The stitched growth of all tests."""
        return sum(fold.test_growth for fold in self.folds)

    def document(self) -> dict[str, Any]:
        """Return it as plain data for JSON; curves are returns since the begin of the first test.

        Rows are those of the growths that were passed in.
        """
        benchmark = self.benchmark_growths
        return {
            "mode": self.mode,
            "blocks": self.blocks,
            "min_trades": self.min_trades,
            "folds": [fold.document() for fold in self.folds],
            "return_pct": percent(self.growth),
            "curve_pct": _curve([fold.test_growth for fold in self.folds]),
            "hindsight": {
                "row": self.hindsight_row,
                "return_pct": percent(sum(self.hindsight_growths)),
                "curve_pct": _curve(self.hindsight_growths),
            },
            "benchmark": None
            if benchmark is None
            else {"return_pct": percent(sum(benchmark)), "curve_pct": _curve(benchmark)},
        }


def walk_forward(
    growths: Growths,
    entries: Counts,
    *,
    folds: int,
    mode: WalkForwardMode,
    min_trades: int,
    benchmark: Floats | None = None,
) -> WalkForward | Unknown:
    """Walk through the folds.

    `growths` and `entries` int32[N, S] are growth and number of entries of every base variant in
    each block, in ascending order of their index; `benchmark` float64[S] is the growth of anything
    to compare with, in the same units, and finite. `folds` is 1 to S − 1.
    """
    check_growths(growths)
    variants, blocks = growths.shape
    _check(growths, entries, folds, mode, benchmark)
    if variants == 0:
        return Unknown("There is no variant to choose.")
    tests = range(blocks - folds, blocks)
    afterwards = growths[:, tests.start :].sum(axis=1, dtype=np.int32)
    best = int(afterwards.argmax())
    return WalkForward(
        mode=mode,
        blocks=blocks,
        min_trades=min_trades,
        folds=tuple(_folds(growths, entries, tests, mode, min_trades)),
        hindsight_row=best,
        hindsight_growths=tuple(growths[best, tests.start :].tolist()),
        benchmark_growths=None if benchmark is None else tuple(benchmark[tests.start :].tolist()),
    )


def _folds(
    growths: Growths, entries: Counts, tests: range, mode: WalkForwardMode, min_trades: int
) -> Iterator[Fold]:
    """Choose by the blocks before each test; sums of training blocks are carried on."""
    grown = growths[:, : tests.start].sum(axis=1, dtype=np.int32)
    entered = entries[:, : tests.start].sum(axis=1, dtype=np.int32)
    for fold, test in enumerate(tests):
        first = fold if mode == "rolling" else 0
        eligible = entered >= min_trades
        count = int(np.count_nonzero(eligible))
        if count == 0:
            yield Fold(first, test, 0, None, None, None, 0, 0)
        else:
            row = int(np.where(eligible, grown, _LEAST).argmax())
            yield Fold(
                first=first,
                test=test,
                eligible=count,
                row=row,
                train_growth=int(grown[row]),
                train_entries=int(entered[row]),
                test_growth=int(growths[row, test]),
                test_entries=int(entries[row, test]),
            )
        for total, blocks in ((grown, growths), (entered, entries)):
            total += blocks[:, test]
            if mode == "rolling":
                total -= blocks[:, first]


def _check(
    growths: Growths, entries: Counts, folds: int, mode: str, benchmark: Floats | None
) -> None:
    """Raise ValueError with what is wrong."""
    blocks = growths.shape[1]
    if entries.shape != growths.shape or entries.dtype != np.int32:
        raise ValueError(
            f"entries are {entries.dtype}{list(entries.shape)};"
            f" must be int32{list(growths.shape)} as the growths"
        )
    if not 1 <= folds < blocks:
        raise ValueError(f"folds is {folds}; must be 1 to {blocks - 1}, one less than the blocks")
    if mode not in WALK_FORWARD_MODES:
        raise ValueError(f"mode is {mode!r}; must be 'anchored' or 'rolling'")
    if benchmark is not None and (benchmark.shape != (blocks,) or not np.isfinite(benchmark).all()):
        raise ValueError(f"benchmark has to be {blocks} finite growths, one for each block")


def _curve(growths: Sequence[float]) -> list[float | None]:
    """Return the return by the end of each test."""
    return [percent(growth) for growth in np.cumsum(growths).tolist()]
