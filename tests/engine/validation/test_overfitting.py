"""PBO against brute force in whole numbers and fractions, against pandas, and by its laws."""

import itertools
import json
import math
from fractions import Fraction
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.kernels.splits import TILE
from engine.validation import GROWTH_LIMIT, GROWTH_UNIT, Unknown
from engine.validation.overfitting import Overfitting, overfitting
from engine.worker_threads import WorkerThreads

Growths = NDArray[np.int32]
ONE = WorkerThreads(1)


def asked(growths: Growths, splits: int | None = None, seed: int = 0) -> Overfitting:
    found = overfitting(growths, seed=seed, threads=ONE, splits=splits)
    assert isinstance(found, Overfitting)
    return found


def plain(growths: list[list[int]]) -> dict[str, Any]:
    """Every split as the paper says it, by loops over whole numbers; ω is a fraction."""
    variants, blocks = len(growths), len(growths[0])
    winners, omegas, pairs = {}, {}, {}
    for inside in itertools.combinations(range(blocks), blocks // 2):
        here = [sum(row[b] for b in inside) for row in growths]
        there = [sum(row) - grown for row, grown in zip(growths, here, strict=True)]
        best = min(range(variants), key=lambda row: (-here[row], row))
        places = [at for at, row in enumerate(sorted(there), 1) if row == there[best]]
        rank = Fraction(sum(places), len(places))
        mask = sum(1 << b for b in inside)
        winners[mask] = best
        omegas[mask] = rank / (variants + 1)
        pairs[mask] = here[best], there[best]
    return {
        "winners": winners,
        "omegas": omegas,
        "pairs": pairs,
        "pbo": Fraction(sum(o <= Fraction(1, 2) for o in omegas.values()), len(omegas)),
        "loss": Fraction(sum(out < 0 for _, out in pairs.values()), len(pairs)),
    }


def assert_as_plain(growths: list[list[int]]) -> None:
    found, expected = asked(np.array(growths, np.int32)), plain(growths)
    masks = found.masks.tolist()
    assert masks == sorted(expected["winners"])
    assert dict(zip(masks, found.rows.tolist(), strict=True)) == expected["winners"]
    halves = zip(found.in_sample.tolist(), found.out_of_sample.tolist(), strict=True)
    assert dict(zip(masks, halves, strict=True)) == expected["pairs"]
    for mask, logit in zip(masks, found.logits.tolist(), strict=True):
        omega = expected["omegas"][mask]
        assert logit == pytest.approx(math.log(omega / (1 - omega)), rel=1e-14, abs=1e-14)
        assert (logit <= 0) == (omega <= Fraction(1, 2))
    assert found.pbo == float(expected["pbo"])
    assert found.loss_share == float(expected["loss"])


def matrices(blocks: int, most: int, largest: int) -> st.SearchStrategy[list[list[int]]]:
    row = st.lists(st.integers(-largest, largest), min_size=blocks, max_size=blocks)
    return st.lists(row, min_size=2, max_size=most)


@settings(max_examples=60, deadline=None)
@given(matrices(8, 7, 2) | matrices(8, 7, GROWTH_LIMIT))
def test_every_split_of_few_variants_is_as_plain_loops_say(growths: list[list[int]]) -> None:
    assert_as_plain(growths)


@settings(max_examples=4, deadline=None)
@given(st.sampled_from([10, 12]).flatmap(lambda blocks: matrices(blocks, 4, 3)))
def test_any_even_number_of_blocks_is_split(growths: list[list[int]]) -> None:
    assert_as_plain(growths)


@pytest.mark.parametrize("sign", [-1, 1])
def test_sums_of_the_largest_growths_do_not_overflow(sign: int) -> None:
    growths = np.full((3, 16), sign * GROWTH_LIMIT, np.int32)
    growths[1, 3] -= sign
    found = asked(growths, splits=200)
    assert set(found.in_sample.tolist()) <= {
        sign * 8 * GROWTH_LIMIT,
        sign * 8 * GROWTH_LIMIT - sign,
    }
    json.dumps(found.document(), allow_nan=False)


@pytest.mark.parametrize("variants", [2, TILE - 1, TILE, TILE + 1, 3 * TILE + 5])
def test_pandas_ranks_as_many_variants_as_there_are(variants: int) -> None:
    random = np.random.default_rng(variants)
    growths = random.integers(-40, 40, (variants, 16)).astype(np.int32)
    found = asked(growths, splits=300, seed=variants)
    inside = (found.masks[:, None] >> np.arange(16)) & 1
    here, there = (pd.DataFrame(growths @ half.T) for half in (inside, 1 - inside))
    rows = here.idxmax()
    assert found.rows.tolist() == rows.tolist()
    ranks = there.rank(method="average")
    omega = np.array([ranks.at[row, split] for split, row in rows.items()]) / (variants + 1)
    np.testing.assert_allclose(found.logits, np.log(omega / (1 - omega)), rtol=0, atol=1e-12)
    assert found.pbo == (omega <= 0.5).mean()
    outside = [int(there.at[row, split]) for split, row in rows.items()]
    assert found.loss_share == (np.array(outside) < 0).mean()
    document = found.document()
    for name, sums in (("in", found.in_sample), ("out_of", outside)):
        middle = 100 * math.expm1(median(map(int, sums)) / GROWTH_UNIT)
        assert document[f"median_{name}_sample_pct"] == pytest.approx(middle, rel=1e-12)


def test_the_winner_moves_to_whatever_tile_has_it() -> None:
    """Of equal sums the first row is the winner, over the borders of tiles as well."""
    for best in (0, TILE - 1, TILE, 2 * TILE):
        growths = np.zeros((2 * TILE + 9, 8), np.int32)
        growths[best] = 1
        growths[best + 3] = 1
        found = asked(growths)
        assert set(found.rows.tolist()) == {best}
        assert set(found.equal.tolist()) == {2}


# --- laws ---------------------------------------------------------------------------------------


def test_an_edge_in_every_block_is_no_luck() -> None:
    growths = np.random.default_rng(1).integers(-100, 100, (50, 8)).astype(np.int32)
    growths[17] = 1000
    found = asked(growths)
    assert (found.pbo, found.loss_share) == (0.0, 0.0)
    assert set(found.rows.tolist()) == {17}


def test_what_was_gained_here_is_lost_there_where_all_end_alike() -> None:
    growths = np.random.default_rng(2).integers(-100, 100, (50, 8)).astype(np.int32)
    growths[:, 7] -= growths.sum(axis=1, dtype=np.int32)
    found = asked(growths)
    assert (found.pbo, found.loss_share) == (1.0, 1.0)
    assert not found.less.any()


def test_of_noise_half_of_the_winners_are_no_better_than_the_median() -> None:
    """Each matrix gives about anything, as its splits share the variants; many give a half."""
    random = np.random.default_rng(3)
    shares = [
        asked(random.integers(-(10**6), 10**6, (40, 8)).astype(np.int32)).pbo for _ in range(400)
    ]
    assert np.mean(shares) == pytest.approx(0.5, abs=4 * np.std(shares) / 20)


def test_where_all_are_equal_nothing_is_gained_by_choosing() -> None:
    found = asked(np.full((5, 8), 3, np.int32))
    assert found.pbo == 1.0
    assert not found.logits.any()
    assert found.document()["logits"]["counts"] == [70]


@settings(max_examples=30, deadline=None)
@given(matrices(8, 6, 3), st.randoms(use_true_random=False))
def test_the_order_of_blocks_changes_nothing(growths: list[list[int]], random: Any) -> None:
    order = list(range(8))
    random.shuffle(order)
    one, other = (
        asked(np.array(rows, np.int32))
        for rows in (growths, [[r[b] for b in order] for r in growths])
    )
    assert (one.pbo, one.loss_share) == (other.pbo, other.loss_share)
    assert sorted(one.logits.tolist()) == sorted(other.logits.tolist())


def test_threads_change_nothing() -> None:
    growths = np.random.default_rng(4).integers(-9, 9, (700, 16)).astype(np.int32)
    for splits in (1, 2, 1000):
        documents = [
            overfitting(growths, seed=9, threads=WorkerThreads(count), splits=splits).document()
            for count in (1, 2, 3)
        ]
        assert documents[0] == documents[1] == documents[2]


def test_growths_may_be_in_any_order_of_memory() -> None:
    growths = np.random.default_rng(4).integers(-9, 9, (90, 16)).astype(np.int32)
    wanted = asked(growths[::3].copy(), splits=50).document()
    assert asked(growths[::3], splits=50).document() == wanted
    assert asked(np.asfortranarray(growths[::3]), splits=50).document() == wanted


# --- the document -------------------------------------------------------------------------------


def test_bins_up_to_zero_hold_the_probability() -> None:
    growths = np.random.default_rng(5).integers(-2, 3, (31, 12)).astype(np.int32)
    found = asked(growths)
    document = found.document()
    edges, counts = document["logits"]["edges"], document["logits"]["counts"]
    assert 0.0 in edges
    assert len(edges) == len(counts) + 1 <= 61
    assert sum(counts) == document["splits"] == 924
    assert sum(counts[: edges.index(0.0)]) == round(document["pbo"] * 924)
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        near = 1e-9
        inner = (found.logits > low + near) & (found.logits < high - near)
        outer = (found.logits > low - near) & (found.logits < high + near)
        assert inner.sum() <= count <= outer.sum()


def test_a_thousand_pairs_are_shown_of_more() -> None:
    growths = np.random.default_rng(6).integers(-GROWTH_UNIT, GROWTH_UNIT, (5, 16)).astype(np.int32)
    document = asked(growths, seed=8).document()
    assert len(document["pairs_pct"]) == 1000
    assert document["pairs_pct"] == asked(growths, splits=1000, seed=8).document()["pairs_pct"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert len(asked(growths, splits=10).document()["pairs_pct"]) == 10


def test_growth_is_said_in_percent() -> None:
    """The winner doubles in every half, and loses a tenth in the other."""
    growths = np.zeros((2, 8), np.int32)
    growths[0] = round(math.log(1.1) * GROWTH_UNIT)
    document = asked(growths).document()
    assert document["median_in_sample_pct"] == pytest.approx((1.1**4 - 1) * 100, rel=1e-5)
    assert document["pairs_pct"][0] == pytest.approx([(1.1**4 - 1) * 100] * 2, rel=1e-5)


@pytest.mark.parametrize("variants", [0, 1])
def test_nothing_is_chosen_among_fewer_than_two(variants: int) -> None:
    found = overfitting(np.zeros((variants, 16), np.int32), seed=1, threads=ONE)
    assert isinstance(found, Unknown)
    assert found.document() == {
        "unknown": f"Only {variants} of the variants could have been chosen; it takes 2 to choose."
    }


@pytest.mark.parametrize(
    ("growths", "splits", "message"),
    [
        (np.zeros((2, 16)), 5, "growths are float64"),
        (np.zeros(16, np.int32), 5, r"must be int32\[N, S\]"),
        (np.zeros((2, 9), np.int32), 5, "growths have 9 blocks"),
        (np.zeros((2, 6), np.int32), 5, "growths have 6 blocks"),
        (np.zeros((2, 18), np.int32), 5, "growths have 18 blocks"),
        (np.full((2, 16), GROWTH_LIMIT + 1, np.int32), 5, "clip them to"),
        (np.zeros((2, 16), np.int32), 0, "splits is 0"),
    ],
)
def test_what_is_wrong_is_named(growths: Any, splits: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overfitting(growths, seed=1, threads=ONE, splits=splits)
