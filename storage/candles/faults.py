"""What went wrong with a candle source, in words that name the cause and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.environment import ClickHouseServer
from storage.candles.records import CandleSourceUnavailable

# Error codes of ClickHouse (src/Common/ErrorCodes.cpp).
REFUSED_CREDENTIALS = frozenset({192, 193, 194, 516})
ACCESS_DENIED = 497
UNKNOWN_TABLE, UNKNOWN_DATABASE = 60, 81
OUT_OF_MEMORY = frozenset({173, 241})
# The engine says so in many ways: a failed allocation, a thread that got no stack, or a start that
# fails for no reason it can name (it starts in memory only, so there is no other).
OUT_OF_MEMORY_TEXTS = (
    "bad_alloc",
    "Cannot allocate memory",
    "MEMORY_LIMIT_EXCEEDED",
    "failed to start the thread",
    "thread constructor failed",
    "Error initializing EmbeddedServer: .",
    "failed to map segment",
)
ENGINE_LACKS_MEMORY = "the candle engine could not get the memory it needs"
# INCORRECT_DATA, CANNOT_EXTRACT_TABLE_STRUCTURE, THERE_IS_NO_COLUMN, CANNOT_PARSE_*.
DAMAGED_FILE = frozenset({8, 27, 117, 636})
# Names of exceptions of urllib3 and OpenSSL, found anywhere in the chain of causes.
TLS_FAILED = frozenset({"SSLError", "SSLCertVerificationError"})
NO_ANSWER = frozenset({"ConnectTimeoutError", "ReadTimeoutError"})
UNREACHABLE = frozenset({"NewConnectionError", "NameResolutionError"})
HTTP_STATUS = re.compile(r"HTTP status (\d{3})")


@contextmanager
def server_faults(server: ClickHouseServer) -> Iterator[None]:
    """Turn any error of a ClickHouse server or of the way to it into `CandleSourceUnavailable`."""
    from clickhouse_connect.driver.exceptions import ClickHouseError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        raise _server_fault(error, server) from error
    except (ValueError, LookupError, TypeError) as error:
        # A cut-off or foreign answer, found while it was decoded.
        raise CandleSourceUnavailable(
            f"ClickHouse at {server.host}:{server.port} sent an incomplete or unreadable "
            "answer; if this lasts, check that CH_PORT is its HTTP port"
        ) from error


@contextmanager
def embedded_faults(folder: Path) -> Iterator[None]:
    """Turn an error of the embedded engine into `CandleSourceUnavailable` or `MemoryError`."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        yield
    except ImportError as error:
        if _lacks_memory(error):
            raise MemoryError(ENGINE_LACKS_MEMORY) from error
        raise CandleSourceUnavailable(
            "the embedded candle engine is not installed: install the extra 'embedded', "
            "or set CH_HOST to a ClickHouse server",
            permanent=True,
        ) from error
    except (ClickHouseError, OSError, RuntimeError) as error:
        text = str(error)
        code = getattr(error, "code", None)
        if code in OUT_OF_MEMORY or _lacks_memory(error):
            raise MemoryError(ENGINE_LACKS_MEMORY) from error
        if isinstance(error, RuntimeError) and "DB::Exception" not in text:
            raise
        raise CandleSourceUnavailable(
            f"the candle files in {folder} cannot be read: {_first_line(text)}",
            permanent=code in DAMAGED_FILE,
        ) from error


@contextmanager
def reading_faults(place: Path) -> Iterator[None]:
    """Turn an error while candle files are read into `CandleSourceUnavailable`."""
    import pyarrow as pa

    try:
        yield
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        # What Arrow says of damaged content is sometimes an OSError without a number.
        damaged = getattr(error, "errno", None) is None
        raise CandleSourceUnavailable(
            f"candles in {place} cannot be read: {_first_line(str(error))}",
            permanent=damaged,
        ) from error


@contextmanager
def writing_faults(folder: Path) -> Iterator[None]:
    """Turn an error while candle files are written into `CandleSourceUnavailable`."""
    import pyarrow as pa

    try:
        yield
    except OSError as error:
        raise CandleSourceUnavailable(
            f"candles cannot be written to {folder}: {error.strerror or error}", permanent=True
        ) from error
    except pa.ArrowInvalid as error:
        raise CandleSourceUnavailable(
            f"a candle file in {folder} is damaged: {_first_line(str(error))}", permanent=True
        ) from error


def _server_fault(error: Exception, server: ClickHouseServer) -> CandleSourceUnavailable:
    where = f"ClickHouse at {server.host}:{server.port}"
    code = getattr(error, "code", None)
    status = HTTP_STATUS.search(str(error))
    if code in REFUSED_CREDENTIALS or (code is None and status and status[1] in ("401", "403")):
        return CandleSourceUnavailable(
            f"{where} refused user {server.user!r}: check CH_USER and CH_PASSWORD", permanent=True
        )
    if code == ACCESS_DENIED:
        return CandleSourceUnavailable(
            f"{where} does not let user {server.user!r} do this: grant the rights on "
            f"{server.database}.canonical_candles_1m, canonical_candles_coarse and instruments",
            permanent=True,
        )
    if code in (UNKNOWN_DATABASE, UNKNOWN_TABLE):
        return CandleSourceUnavailable(
            f"{where} has no table {server.database}.canonical_candles_1m: check CH_DATABASE, "
            "or import candles first",
            permanent=True,
        )
    if code is not None:
        name = getattr(error, "name", None) or "no name"
        return CandleSourceUnavailable(f"{where} failed with code {code} ({name})")
    if status:
        return CandleSourceUnavailable(f"{where} answered with HTTP status {status[1]}")
    return _transport_fault(error, where)


def _transport_fault(error: Exception, where: str) -> CandleSourceUnavailable:
    names = _causes(error)
    if names & TLS_FAILED:
        return CandleSourceUnavailable(
            f"no TLS connection to {where}: check CH_SECURE, CH_PORT and the certificate "
            "(CH_VERIFY=0 accepts any)",
            permanent=True,
        )
    # A connection that timed out is a "new connection error" for urllib3, too.
    if names & NO_ANSWER:
        return CandleSourceUnavailable(f"{where} does not answer in time")
    if names & UNREACHABLE:
        return CandleSourceUnavailable(f"{where} cannot be reached: check CH_HOST and CH_PORT")
    return CandleSourceUnavailable(f"{where} broke the connection off")


def _lacks_memory(error: BaseException) -> bool:
    """Whether an error or what it came from is a failed allocation, whoever wrapped it."""
    current: BaseException | None = error
    while current is not None:
        if any(sign in str(current) for sign in OUT_OF_MEMORY_TEXTS):
            return True
        current = current.__cause__ or current.__context__
    return False


def _causes(error: BaseException) -> set[str]:
    """Names of the classes of an error, its causes and the reasons of urllib3's retry errors."""
    names: set[str] = set()
    pending: list[BaseException] = [error]
    while pending:
        current = pending.pop()
        if type(current).__name__ in names:
            continue
        names.add(type(current).__name__)
        reasons = (current.__cause__, current.__context__, getattr(current, "reason", None))
        pending.extend(reason for reason in reasons if isinstance(reason, BaseException))
    return names


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "no reason given"
