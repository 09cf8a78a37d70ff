"""The search p-value on paths that are known to have an edge, or none.

`python -m benchmarks.luck` asks hundreds of paths; here a few, always the same, so that a null that
knows the data, or is searched otherwise than they are, is seen.
"""

import numpy as np
import pytest

from benchmarks.luck import EDGE_FREE, PLANTED, Kind, band

PATHS, DRAWS = 30, 9


@pytest.mark.parametrize("kind", EDGE_FREE[2:], ids=lambda kind: kind.name)
def test_luck_is_called_an_edge_as_often_as_p_says(kind: Kind) -> None:
    found = np.array([kind.p(DRAWS, seed) for seed in range(PATHS)])
    for share in (0.1, 0.5):
        low, high = band(PATHS, share, tail=0.001)  # a thousandth, as several shares are asked
        assert low <= np.mean(found <= share) <= high
    assert len(set(found)) > 5


def test_a_planted_edge_is_found() -> None:
    found = [PLANTED.p(DRAWS, seed) for seed in range(5)]
    assert np.mean(np.array(found) == 1 / (1 + DRAWS)) > 0.5


def test_a_band_holds_19_of_20() -> None:
    assert band(200, 0.1) == (0.06, 0.145)
    assert band(20, 0.05) == (0.0, 0.15)
