"""Why a job fails: the stable code, one short sentence for the user, details for a program."""

import signal
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from engine.candles import NoMarketData
from engine.indicators.plugins import PluginFault
from engine.indicators.registry import plugin_with
from engine.request import RequestError
from storage.records import FailureCode
from tasks.messages import Failed

OUT_OF_MEMORY_TEXTS = ("Cannot allocate memory", "failed to map segment")
LOADER_GAVE_UP = 127
"""Exit code of the C library's loader when a thread's own data cannot be allocated."""

FORK_SERVER_DIED = 255
"""What multiprocessing says of a child whose fork server can no longer tell how it ended."""


def of_exception(error: BaseException, memory_limit_bytes: int) -> Failed:
    """Failure of a job whose computation raised `error`."""
    from storage.candles import CandleSourceUnavailable  # heavy, and rarely needed in the worker

    trace = "".join(traceback.format_exception(error))
    # Whoever needed the memory may have wrapped that into an error of its own.
    if any(_is_out_of_memory(cause) for cause in _chain(error)):
        return out_of_memory(memory_limit_bytes, trace)
    match error:
        case RequestError():
            return refused(error)
        case NoMarketData():
            return Failed(FailureCode.NO_MARKET_DATA, str(error))
        case PluginFault():
            return Failed(FailureCode.PLUGIN_FAILED, str(error), trace=trace)
        case CandleSourceUnavailable():
            return Failed(FailureCode.CANDLE_SOURCE_UNAVAILABLE, str(error), trace=trace)
        case _:
            return unexpected({"exception": type(error).__name__}, trace)


def of_death(code: int | None) -> Failed:
    """Failure of a job whose process died with exit code `code`, -n for signal n."""
    if code is not None and code < 0:
        return unexpected({"signal": _signal_name(-code)})
    if code == FORK_SERVER_DIED:  # and the kernel ended the child with it
        return unexpected({"signal": signal.SIGKILL.name, "process": "fork server"})
    return unexpected({"exit_code": code})


def refused(error: RequestError) -> Failed:
    """Failure of a job whose stored request is not valid."""
    problems = [{"path": problem.path, "message": problem.text} for problem in error.errors]
    return Failed(FailureCode(error.code), str(error).splitlines()[0], {"errors": problems})


def suspecting(failure: Failed, request: Mapping[str, Any]) -> Failed:
    """Name the plugins of a computation that died or fell silent: their kernels may do both."""
    if failure.code not in (FailureCode.UNEXPECTED_ERROR, FailureCode.STALLED):
        return failure
    try:
        template = request["template"]
        blocks = (*template["indicator_grids"], *(template.get("exit_grids") or ()))
        found = {plugin_with(block["indicator_id"]) for block in blocks}
    except (AttributeError, KeyError, TypeError):  # changed by hand, and nobody came to read it
        return failure
    names = sorted(str(plugin) for plugin in found - {None})
    if not names:
        return failure
    message = f"{failure.message}; it computed indicators of {', '.join(names)}"
    return replace(failure, message=message, details={**failure.details, "plugins": names})


def out_of_memory(limit_bytes: int, trace: str | None = None) -> Failed:
    """Failure of a job that met its memory limit, or the end of the machine's memory."""
    message = (
        f"the job needs more memory than it may use ({limit_bytes / 2**20:.0f} MiB): "
        "ask for fewer variants or fewer bars"
    )
    return Failed(FailureCode.MEMORY_LIMIT_EXCEEDED, message, {"limit_bytes": limit_bytes}, trace)


def stalled(seconds: float) -> Failed:
    """Failure of a job whose process said nothing for `seconds`."""
    message = f"the computation made no progress for {seconds:g} s and was ended"
    return Failed(FailureCode.STALLED, message, {"stall_seconds": seconds})


def unexpected(details: dict[str, object], trace: str | None = None) -> Failed:
    """Failure that has no code of its own."""
    message = "the computation failed unexpectedly; the worker's log says more"
    return Failed(FailureCode.UNEXPECTED_ERROR, message, details, trace)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals
        return f"signal {number}"


def _is_out_of_memory(error: BaseException) -> bool:
    # A library that cannot be mapped is an ImportError, anything else of the system an OSError.
    text = str(error)
    return isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY_TEXTS)


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
