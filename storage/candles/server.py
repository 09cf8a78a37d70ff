"""Candles on a ClickHouse server, spoken to over HTTP."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError

from configs.environment import ClickHouseServer
from storage.candles.arrow import as_numpy
from storage.candles.faults import server_faults
from storage.candles.funding import (
    FundingRates,
    FundingSeries,
    changed_funding,
    check_funding,
    funding_table,
)
from storage.candles.known import ImportedFile, Known, check_form, together
from storage.candles.minutes import (
    bars_table,
    changed,
    check_bars,
    check_instrument,
    files_table,
    possible,
)
from storage.candles.records import MINUTE_MS, Bars, utc
from storage.candles.server_reader import CONNECT_SECONDS, ServerReader
from storage.candles.store import CandleStore, statement
from storage.candles.windows import EARLIEST_MS, LATEST_MS

ANSWER_SECONDS = 120
UNKNOWN_TABLE, UNKNOWN_DATABASE = 60, 81
TABLE, COARSE_TABLE = "canonical_candles_1m", "canonical_candles_coarse"
KNOWN_TABLE = "instruments"
FUNDING_TABLE = "funding_rates"


class ServerStore(CandleStore):
    """Candles in the tables of the server's database: minutes, longer bars, and what is known.

    Writing and creating tables is left to clickhouse-connect's client.

    `answer_seconds`: how long the server may take to answer one query.
    """

    def __init__(self, server: ClickHouseServer, *, answer_seconds: int = ANSWER_SECONDS) -> None:
        self._server = server
        self._answer_seconds = answer_seconds
        self._reader: ServerReader | None = None
        self._client: Any = None

    def ensure_table(self) -> None:
        """Create the database and the tables that are missing."""
        if not self._command("has_table"):
            self._command("create_database")
            self._command("create_table")
        if not self._command("has_instruments"):
            self._command("create_coarse_table")
            self._command("create_instruments")

    def append(
        self,
        market_id: int,
        symbol: str,
        chunks: Iterable[Bars],
        *,
        known: Known | None = None,
        files: Sequence[ImportedFile] = (),
    ) -> int:
        """Insert the new and the changed bars; returns their number.

        Each chunk is one insert. After a failure the chunks before it are there; appending again
        is safe.
        """
        check_instrument(market_id, symbol)
        self.ensure_table()
        said = known or Known()
        self._say(market_id, symbol, said, said_something=known is not None)
        step = said.timeframe_ms
        ingested_at = int(self._command("clock"))
        published, after_ms = 0, -1
        for chunk in chunks:
            check_bars(chunk, after_ms, said)
            if len(chunk.ts_open) == 0:
                continue
            begin, after_ms = int(chunk.ts_open[0]), int(chunk.ts_open[-1])
            part = changed(chunk, self._present(market_id, symbol, begin, after_ms, said))
            if len(part):
                rows = bars_table(market_id, symbol, part, ingested_at, step)
                table = TABLE if step == MINUTE_MS else COARSE_TABLE
                with server_faults(self._server):
                    self._connection().insert_arrow(table, rows, database=self._server.database)
                published += len(part)
        if files:
            rows = files_table(market_id, symbol, said, files, int(self._command("clock")))
            with server_faults(self._server):
                self._connection().insert_arrow(KNOWN_TABLE, rows, database=self._server.database)
        return published

    def _say(self, market_id: int, symbol: str, said: Known, *, said_something: bool) -> None:
        """Check the form of bars, and store what is not known yet."""
        before = self._said(market_id, symbol)
        minutes = before is None and said.timeframe_ms == MINUTE_MS
        check_form(symbol, None if minutes else before or self.form(market_id, symbol), said)
        if said_something and (before is None or together(before, said) != before):
            flags = {"sessions": int(said.sessions), "has_volume": int(said.has_volume)}
            asked = {"market_id": market_id, "symbol": symbol}
            self._command("say", **asked, **{**asdict(said), **flags})

    @property
    def place(self) -> str:
        """See `CandleStore.place`."""
        return f"{self._server.database} at {self._server.host}:{self._server.port}"

    def span(self, market_id: int, symbol: str, timeframe_ms: int) -> tuple[int, int] | None:
        """See `CandleStore.span`."""
        name = "bounds" if timeframe_ms == MINUTE_MS else "bounds_coarse"
        asked = {"market_id": market_id, "symbol": symbol, "base_ms": timeframe_ms}
        listed = self._listed(name, {**asked, "from_ms": EARLIEST_MS, "to_ms": LATEST_MS})
        found = listed[0] if listed else {"found": 0}
        return (found["first_ms"], found["last_ms"]) if found["found"] else None

    def form(self, market_id: int, symbol: str) -> Known | None:
        """See `CandleStore.form`."""
        said = self._said(market_id, symbol)
        if said is None and self.span(market_id, symbol, MINUTE_MS):
            return Known()
        return said

    def known(self, market_id: int, symbol: str) -> Known:
        """See `CandleStore.known`; nothing is known where the table is not there."""
        return self._said(market_id, symbol) or Known()

    def _said(self, market_id: int, symbol: str) -> Known | None:
        if not possible(market_id, symbol):
            return None
        listed = self._listed("known", {"market_id": market_id, "symbol": symbol})
        if not listed:
            return None
        (row,) = listed
        return Known(
            timeframe_ms=row["timeframe_ms"],
            sessions=bool(row["sessions"]),
            has_volume=bool(row["has_volume"]),
            original=row["original"],
            phase_ms=row["phase_ms"],
        )

    def files(self, market_id: int, symbol: str) -> Mapping[str, ImportedFile]:
        """See `CandleStore.files`."""
        if not possible(market_id, symbol):
            return {}
        listed = self._listed("imported_files", {"market_id": market_id, "symbol": symbol})
        return {
            row["sha256"]: ImportedFile(
                row["file"], row["sha256"], row["rows"], utc(row["imported_ms"])
            )
            for row in listed
        }

    def delete(self, market_id: int, symbol: str) -> bool:
        """See `CandleStore.delete`; returns when it is done."""
        there = self.extent(market_id, symbol) is not None
        there |= self._said(market_id, symbol) is not None
        if there:
            self.ensure_table()
            for name in ("delete_minutes", "delete_coarse", "delete_known"):
                self._command(name, market_id=market_id, symbol=symbol)
        if self._command("has_funding"):
            there |= len(self.funding(market_id, symbol, EARLIEST_MS, LATEST_MS)) > 0
            self._command("delete_funding", market_id=market_id, symbol=symbol)
        return there

    def delete_between(self, market_id: int, symbol: str, from_ms: int, to_ms: int) -> None:
        """See `CandleStore.delete_between`; returns when it is done."""
        check_instrument(market_id, symbol)
        self.ensure_table()
        # Files go first: one that counts as imported though its bars are gone is never read again.
        asked = {"market_id": market_id, "symbol": symbol}
        self._command("forget_files", **asked)
        for name in ("delete_minutes_between", "delete_coarse_between"):
            self._command(name, **asked, from_ms=from_ms, to_ms=to_ms)

    def funding(self, market_id: int, symbol: str, from_ms: int, to_ms: int) -> FundingRates:
        """See `FundingStore.funding`; nothing is stored where the table is not there."""
        if not possible(market_id, symbol):
            return FundingRates.none()
        begin, end = max(from_ms, EARLIEST_MS), min(to_ms, LATEST_MS)
        asked = {"market_id": market_id, "symbol": symbol, "from_ms": begin, "to_ms": end}
        rows = self._select_if_there("funding", asked)
        return FundingRates.none() if rows is None else FundingRates(*map(as_numpy, rows.columns))

    def append_funding(self, market_id: int, symbol: str, rates: FundingRates) -> int:
        """See `FundingStore.append_funding`; all of it is one insert."""
        check_instrument(market_id, symbol)
        check_funding(rates)
        if not self._command("has_funding"):
            self._command("create_database")
            self._command("create_funding")
        if not len(rates):
            return 0
        window = int(rates.times[0]), int(rates.times[-1]) + 1
        added = changed_funding(rates, self.funding(market_id, symbol, *window))
        if len(added):
            rows = funding_table(market_id, symbol, added, int(self._command("clock")))
            with server_faults(self._server):
                self._connection().insert_arrow(FUNDING_TABLE, rows, database=self._server.database)
        return len(added)

    def funding_series(self) -> list[FundingSeries]:
        """See `FundingStore.funding_series`."""
        return [
            FundingSeries(
                *(row["market_id"], row["symbol"], row["rates"]),
                *(utc(row["first_ms"]), utc(row["last_ms"])),
            )
            for row in self._listed("funding_series")
        ]

    def _present(
        self, market_id: int, symbol: str, first_ms: int, last_ms: int, known: Known
    ) -> Bars:
        step = known.timeframe_ms
        window = first_ms, last_ms + 1
        return self._rolled_up(market_id, symbol, *window, step, step, known.phase_ms)

    def start(self, market_id: int, symbol: str) -> None:
        """Do nothing: a server has been started, and a connection is opened by the first query."""

    def close(self) -> None:
        """Close the connections."""
        for opened in (self._reader, self._client):
            if opened is not None:
                opened.close()
        self._reader = self._client = None

    def _select(self, name: str, parameters: Mapping[str, Any]) -> pa.Table:
        with server_faults(self._server):
            return self._answer(name, parameters)

    def _select_if_there(self, name: str, parameters: Mapping[str, Any]) -> pa.Table | None:
        with server_faults(self._server):
            try:
                return self._answer(name, parameters)
            except DatabaseError as error:
                # What the release before has made has minutes only, and before an import nothing.
                if name in ("names", "instruments"):
                    raise
                if error.code not in (UNKNOWN_TABLE, UNKNOWN_DATABASE):
                    raise
        return None

    def _answer(self, name: str, parameters: Mapping[str, Any]) -> pa.Table:
        if self._reader is None:
            self._reader = ServerReader(self._server, answer_seconds=self._answer_seconds)
        return self._reader.select(
            statement(name), {"database": self._server.database, **parameters}
        )

    def _command(self, name: str, **parameters: Any) -> Any:
        asked = {"database": self._server.database, **parameters}
        with server_faults(self._server):
            return self._connection().command(statement(name), asked)

    def _connection(self) -> Any:
        if self._client is None:
            import clickhouse_connect

            # It warns of every error that it also raises.
            logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)

            self._client = clickhouse_connect.get_client(
                host=self._server.host,
                port=self._server.port,
                username=self._server.user,
                password=self._server.password,
                interface="https" if self._server.secure else "http",
                verify=self._server.verify,
                connect_timeout=CONNECT_SECONDS,
                send_receive_timeout=self._answer_seconds,
                # The worker retries, and it must know that it does.
                query_retries=0,
                autogenerate_session_id=False,
                dedicated_pool=True,
            )
        return self._client
