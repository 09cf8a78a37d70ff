"""What the commands that look share: the store, the instrument that is meant, times, progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cli.errors import CommandError, printable
from cli.running_stack import environment

if TYPE_CHECKING:
    from storage.candles import CandleStore

Symbol = Annotated[
    str, typer.Argument(metavar="SYMBOL", help="The instrument: BTCUSDT, btc/usdt, ...")
]
MarketId = Annotated[
    int | None,
    typer.Option(
        "--market-id", min=0, max=65_535, help="Its market, where several have the symbol."
    ),
]

HOW_TO_IMPORT = "backtest candles import FILE --market-id 1 --symbol BTCUSDT"
SHARES = 1_000


def opened() -> "CandleStore":
    """Return the candle store that the environment, or the stack that runs here, names."""
    from configs.environment import candle_source
    from storage.candles import open_store

    return open_store(candle_source(environment()))


def find(store: "CandleStore", symbol: str, market_id: int | None) -> tuple[int, str]:
    """Return market and symbol of the one instrument that is meant; raises CommandError."""
    from storage.candles import normalised

    names = store.names()
    if not names:
        raise CommandError(f"there are no candles in {store.place}; type: {HOW_TO_IMPORT}")
    spelled = [name for name in names if name[1] == symbol]
    spelled = spelled or [name for name in names if normalised(name[1]) == normalised(symbol)]
    found = [name for name in spelled if market_id is None or name[0] == market_id]
    if len(found) == 1:
        return found[0]
    if found:
        markets = ", ".join(str(market) for market, _ in found)
        raise CommandError(
            f"{printable(symbol)} is in several markets ({markets}): say which by --market-id"
        )
    raise CommandError(_unknown(symbol, market_id, spelled or names, known=bool(spelled)))


def _unknown(
    symbol: str, market_id: int | None, names: list[tuple[int, str]], *, known: bool
) -> str:
    if known:
        markets = ", ".join(str(market) for market, _ in names)
        return f"{printable(names[0][1])} is in market {markets}, not in {market_id}"
    meant = get_close_matches(symbol.upper(), {name for _, name in names}, cutoff=0.5)
    hint = f"did you mean {' or '.join(meant)}? " if meant else ""
    return (
        f"there are no candles of {printable(symbol)}: {hint}`backtest candles list` shows what "
        "there is"
    )


def time_ms(text: str, option: str) -> int:
    """Read a time of an option as ms since the epoch, UTC unless it says otherwise."""
    try:
        found = datetime.fromisoformat(text.strip())
        found = found.replace(tzinfo=found.tzinfo or UTC)
        return round(found.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise CommandError(
            f"{option}: {printable(text)!r} is no time; write 2024-01-31, 2024-01-31T14:30 or "
            "2024-01-31T14:30+02:00 (UTC if it says no zone)"
        ) from None


@contextmanager
def progress(console: Console, what: str, *, shown: bool) -> Iterator[Callable[[float], None]]:
    """Show a bar while the block runs, where there is a terminal; yields what to tell the share."""
    if not (shown and console.is_terminal):
        yield lambda _share: None
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=SHARES)
        yield lambda share: bars.update(task, completed=share * SHARES)
