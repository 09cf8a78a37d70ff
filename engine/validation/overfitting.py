"""Probability of backtest overfitting: what became of the best of one half in the other half.

Source: D. H. Bailey, J. M. Borwein, M. López de Prado, Q. J. Zhu (2017), The probability of
backtest overfitting, Journal of Computational Finance 20 (4): combinatorially symmetric
cross-validation. The bars are S blocks. A *split* takes S/2 of them as the sample, of which there
are C(S, S/2) ways; a choice and its complement are two splits. In each split

- n* is the variant that grew most in sample (of equals the first),
- rank is that of n* by its growth out of sample, 1 = worst of N, the mean rank among equals,
- ω = rank / (N + 1) and λ = ln(ω / (1 − ω)).

PBO is the share of splits with λ ≤ 0: the winner of one half was no better than the median of the
other. It says whether *ranks* persist, not whether money was made, as losses by costs persist too:
so it stands beside the share of splits in which n* lost money out of sample, and beside the medians
of its growth in and out of sample. Log growths of blocks add, so the growth of a half is exact.
The measure of the paper is open; here it is the return.

Whether λ ≤ 0 is decided in whole numbers: 2 * less + equal <= N, where `less` variants are worse
out of sample, and `equal`, n* among them, are as good. No figure depends on threads.

Edge cases: with fewer than two variants there is nothing to choose: `Unknown`. If all are equal
each is the median, λ = 0, and PBO is 1: choosing gained nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels.splits import best_in_sample, rank_out_of_sample
from engine.validation import Floats, Growths, Unknown, check_growths, percent
from engine.validation.seeding import words
from engine.worker_threads import WorkerThreads

Masks = NDArray[np.uint32]
Int64 = NDArray[np.int64]

DEFAULT_SPLITS = 1_000
MOST_PAIRS = 1_000
BINS_A_SIDE = 30
_STREAM = "splits of blocks"


@dataclass(frozen=True, slots=True, eq=False)
class Overfitting:
    """What became of the winner of each split; arrays are in ascending order of the masks."""

    variants: int
    blocks: int
    masks: Masks  # uint32[splits], bit b: block b is in sample
    rows: Int64  # int64[splits], n*
    in_sample: Int64  # int64[splits], growth of n*
    out_of_sample: Int64
    less: Int64  # int64[splits], variants that are worse out of sample
    equal: Int64  # ... that are as good, n* among them
    shown: NDArray[np.bool_]  # bool[splits], whether a split is one of those to be drawn

    @property
    def pbo(self) -> float:
        """The share of splits with λ ≤ 0."""
        return float(np.mean(2 * self.less + self.equal <= self.variants))

    @property
    def loss_share(self) -> float:
        """The share of splits in which the winner lost money out of sample."""
        return float(np.mean(self.out_of_sample < 0))

    @property
    def logits(self) -> Floats:
        """λ of each split: float64[splits], exactly 0 at the median."""
        twice = 2 * self.less + self.equal + 1  # the rank, twice
        return np.log(twice / (2 * (self.variants + 1) - twice))

    def document(self) -> dict[str, Any]:
        """Return it as plain data for JSON; returns are those of half the blocks, in percent."""
        pairs = zip(
            self.in_sample[self.shown].tolist(),
            self.out_of_sample[self.shown].tolist(),
            strict=True,
        )
        return {
            "pbo": self.pbo,
            "loss_share": self.loss_share,
            "median_in_sample_pct": percent(float(np.median(self.in_sample))),
            "median_out_of_sample_pct": percent(float(np.median(self.out_of_sample))),
            "splits": len(self.masks),
            "variants": self.variants,
            "blocks": self.blocks,
            "logits": _histogram(self.logits),
            "pairs_pct": [[percent(inside), percent(outside)] for inside, outside in pairs],
        }


def overfitting(
    growths: Growths,
    *,
    seed: int,
    threads: WorkerThreads,
    splits: int | None = DEFAULT_SPLITS,
) -> Overfitting | Unknown:
    """Ask each split; None, or as many as there are, is all of them.

    `growths` int32[N, S] are those of the variants that are eligible, in ascending order of their
    index: not ruined, enough trades, one for each outcome. S is even, 8 to 16. Other arrays than
    those in C order are copied.
    """
    check_growths(growths)
    if splits is not None and splits < 1:
        raise ValueError(f"splits is {splits}; it must be 1 at least, or None for all of them")
    variants, blocks = growths.shape
    if variants < 2:
        return Unknown(
            f"Only {variants} of the variants could have been chosen; it takes 2 to choose."
        )
    growths = np.ascontiguousarray(growths)
    masks = drawn_splits(blocks, splits, seed)
    found = Overfitting(
        variants=variants,
        blocks=blocks,
        masks=masks,
        rows=np.empty(len(masks), np.int64),
        in_sample=np.empty(len(masks), np.int64),
        out_of_sample=np.empty(len(masks), np.int64),
        less=np.empty(len(masks), np.int64),
        equal=np.empty(len(masks), np.int64),
        shown=np.isin(masks, drawn_splits(blocks, MOST_PAIRS, seed)),
    )
    size = -(-len(masks) // threads.count)
    parts = [slice(begin, begin + size) for begin in range(0, len(masks), size)]
    threads.run(_ask, [(growths, found, part) for part in parts])
    return found


def _ask(growths: Growths, found: Overfitting, part: slice) -> None:
    """Fill in a part of the splits."""
    masks, rows = found.masks[part], found.rows[part]
    best = np.empty(len(masks), np.int32)
    best_in_sample(growths, masks, best, rows)
    inside = masks[:, None] >> np.arange(found.blocks, dtype=np.uint32) & 1 == 1
    marks = np.where(inside, 0, growths[rows]).sum(axis=1, dtype=np.int32)
    rank_out_of_sample(growths, masks, marks, found.less[part], found.equal[part])
    found.in_sample[part] = best
    found.out_of_sample[part] = marks


def drawn_splits(blocks: int, count: int | None, seed: int) -> Masks:
    """Return `count` different splits in ascending order; all where there are no more.

    Every choice of so many is as likely. Of one seed, few splits are among the many.
    """
    masks = np.arange(1 << blocks, dtype=np.uint32)
    every: Masks = masks[np.bitwise_count(masks) == blocks // 2]
    if count is None or count >= len(every):
        return every
    drawn = np.argsort(words(seed, _STREAM, len(every)), kind="stable")[:count]
    kept: Masks = every[np.sort(drawn)]
    return kept


def _histogram(logits: Floats) -> dict[str, Any]:
    """Return bins of equal width, of which 0 is an edge; a value on an edge is in the bin below.

    So the bins up to 0 hold the share that is the PBO. `edges` has one number more than `counts`.
    """
    reach = float(np.abs(logits).max())
    width = reach / BINS_A_SIDE if reach > 0.0 else 1.0
    at = np.ceil(logits / width).astype(np.int64)
    at = np.clip(at, 1 - BINS_A_SIDE, BINS_A_SIDE)  # the outer edges may round
    first, last = min(0, int(at.min())), max(0, int(at.max()))
    counts = np.bincount(at - first, minlength=last - first + 1)
    return {
        "edges": [(first - 1 + number) * width for number in range(len(counts) + 1)],
        "counts": counts.tolist(),
    }
