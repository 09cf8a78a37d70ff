"""The embedded engine in its process: what it leaves behind, and who may use it."""

from pathlib import Path

import numpy as np

from storage.candles import Bars
from storage.candles.folder import FolderStore
from tests.storage.candle_rows import START
from tests.storage.folder_owner import owner


def one_price(ts_open: np.ndarray, price: float) -> Bars:
    values = np.full(len(ts_open), price)
    return Bars(ts_open, values, values, values, values, values)


def test_a_user_that_is_killed_leaves_nothing_after_the_next_start(tmp_path: Path) -> None:
    candles, temporary = tmp_path / "candles", tmp_path / "tmp"
    temporary.mkdir()
    FolderStore(candles).append(1, "BTCUSDT", [one_price(np.array([START]), 1.0)])
    with owner("asks", temporary, candles) as (killed, names):
        assert (names, len(list(temporary.iterdir()))) == ("1", 1)
        killed.kill()
        killed.wait()

    with owner("asks", temporary, candles):
        assert len(list(temporary.iterdir())) == 1  # its own

    assert list(temporary.iterdir()) == []


def test_a_user_that_starts_leaves_the_others_theirs(tmp_path: Path) -> None:
    candles, temporary = tmp_path / "candles", tmp_path / "tmp"
    temporary.mkdir()
    FolderStore(candles).append(1, "BTCUSDT", [one_price(np.array([START]), 1.0)])
    with owner("asks", temporary, candles) as (first, _), owner("asks", temporary, candles):
        assert len(list(temporary.iterdir())) == 2
        again, _ = first.communicate("")
        assert again == "1\n"
        assert len(list(temporary.iterdir())) == 1


def test_stores_of_one_process_share_an_engine_until_the_last_is_closed(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    FolderStore(tmp_path / "full").append(1, "BTCUSDT", [one_price(np.array([START]), 1.0)])

    with owner("asks-two", temporary, tmp_path / "empty", tmp_path / "full") as (_, found):
        assert found == "[0, 1, 1, 0]"

    assert list(temporary.iterdir()) == []


def test_a_forked_process_may_not_use_the_engine_of_its_parent(tmp_path: Path) -> None:
    with owner("asks-forked", tmp_path, tmp_path / "candles") as (_, error):
        assert error == "RuntimeError"
