"""Reads folder stores in a process of its own: chDB must not live where tests start processes."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from storage.candles import Bars, CandleStore, Instrument
from storage.candles.folder import FolderStore


class Reader:
    """A process with an engine; errors of the store arrive as they were raised."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def bars(
        self,
        folder: Path,
        from_ms: int,
        to_ms: int,
        timeframe_ms: int = 60_000,
        *,
        market_id: int = 1,
        symbol: str = "BTCUSDT",
    ) -> Bars:
        arguments = (folder, market_id, symbol, from_ms, to_ms, timeframe_ms)
        return self._pool.submit(_bars, *arguments).result(timeout=60)

    def engine_bars(self, folder: Path, from_ms: int, to_ms: int, timeframe_ms: int) -> Bars:
        """The same bars, read by chDB whatever files there are."""
        arguments = (folder, 1, "BTCUSDT", from_ms, to_ms, timeframe_ms)
        return self._pool.submit(_engine_bars, *arguments).result(timeout=60)

    def call(self, folder: Path, method: str, *arguments: object, **named: object) -> Any:
        """Ask any method of a store of this folder."""
        return self._pool.submit(_call, folder, method, *arguments, **named).result(timeout=60)

    def instruments(self, folder: Path) -> list[Instrument]:
        return self._pool.submit(_instruments, folder).result(timeout=60)

    def close(self) -> None:
        self._pool.submit(_close).result(timeout=60)
        self._pool.shutdown()


class _EngineStore(FolderStore):
    """Reads with chDB whatever files there are."""

    _rolled_up = CandleStore._rolled_up


# Stores stay open in the reading process, so that several folders share its engine.
_open: dict[Path, FolderStore] = {}
_open_engines: dict[Path, _EngineStore] = {}


def _store(folder: Path) -> FolderStore:
    return _open.setdefault(folder, FolderStore(folder))


def _bars(folder: Path, *arguments: object) -> Bars:
    return _store(folder).bars(*arguments)  # type: ignore[arg-type]


def _engine_bars(folder: Path, *arguments: object) -> Bars:
    store = _open_engines.setdefault(folder, _EngineStore(folder))
    return store.bars(*arguments)  # type: ignore[arg-type]


def _call(folder: Path, method: str, *arguments: object, **named: object) -> object:
    return getattr(_store(folder), method)(*arguments, **named)


def _instruments(folder: Path) -> list[Instrument]:
    return _store(folder).instruments()


def _close() -> None:
    for store in (*_open.values(), *_open_engines.values()):
        store.close()
