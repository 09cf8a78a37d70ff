"""Which splits of the blocks are asked."""

import math

import numpy as np
import pytest

from engine.validation.overfitting import drawn_splits


@pytest.mark.parametrize(("blocks", "every"), [(8, 70), (10, 252), (16, 12_870)])
def test_there_are_as_many_splits_as_choices_of_half_the_blocks(blocks: int, every: int) -> None:
    masks = drawn_splits(blocks, None, 0)
    assert len(masks) == every == math.comb(blocks, blocks // 2)
    assert {mask.bit_count() for mask in masks.tolist()} == {blocks // 2}
    assert drawn_splits(blocks, every + 1, 0).tolist() == masks.tolist()


def test_drawn_splits_are_different_and_of_their_seed() -> None:
    for count in (1, 1000, 12_869):
        drawn = drawn_splits(16, count, 5).tolist()
        assert drawn == sorted(set(drawn))
        assert len(drawn) == count
        assert drawn == drawn_splits(16, count, 5).tolist()
    assert drawn_splits(16, 1000, 5).tolist() != drawn_splits(16, 1000, 6).tolist()
    assert set(drawn_splits(16, 1000, 5)) < set(drawn_splits(16, 2000, 5))


def test_every_split_is_drawn_as_often() -> None:
    """70 splits of 8 blocks, 20 of them drawn 3500 times: each about 1000 times."""
    times = np.zeros(256)
    for seed in range(3500):
        times[drawn_splits(8, 20, seed)] += 1
    drawn = times[times > 0]
    assert len(drawn) == 70
    # Draws without repetition scatter less than a chi-square of 69, whose 99.99 % quantile is 119.
    assert ((drawn - 1000) ** 2 / 1000).sum() < 119
