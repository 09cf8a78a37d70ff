"""Logging of every program: structured events through the one handler of the root logger.

One handler means one lock: in a worker process standard error is a pipe to the dramatiq master that
two unsynchronised writers would corrupt, so nothing of ours prints.
"""

import logging
import re
import sys
import threading
from functools import lru_cache
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

FIRST_KEYS = (
    *("timestamp", "level", "component", "status", "event"),
    *("job_id", "attempt", "locked_by", "stage"),
)

_SECRET_KEY = re.compile(r"(password|passwd|secret|token|cookie|authorization|dsn)$", re.IGNORECASE)
_SECRET_TEXT = (
    (re.compile(r"(\w+://[^\s:/@]*:)[^\s/]+(@)"), r"\1***\2"),  # scheme://user:password@host
    (re.compile(r"(password\s*=\s*)('[^']*'|\S+)", re.IGNORECASE), r"\1***"),  # key=value DSN
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "***"),  # a JSON Web Token, wherever it stands
    (re.compile(r"(roehub_session=|bearer\s+)[^\s;,\"']+", re.IGNORECASE), r"\1***"),
    (re.compile(r"([?&](?:token|secret|password)=)[^\s&\"']+", re.IGNORECASE), r"\1***"),
)


def configure(component: str, env: str) -> None:
    """Render everything that is logged: JSON in `prod`, logfmt elsewhere.

    `component` is on every line that does not name another. Records of libraries come out in the
    same form. Uses the handlers the root logger has, or one on standard error.
    """

    def named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("component", component)
        return event

    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        named,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=common,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _without_secrets,
            _ordered,
            _renderer(env),
        ],
    )
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stderr))
        root.setLevel(logging.INFO)
    for handler in root.handlers:
        handler.setFormatter(formatter)
    # No line says its thread or process.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # A log line that cannot be written must not be followed by a traceback in the same pipe.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def adopt(*names: str) -> None:
    """Have the loggers of a library, which brought handlers of their own, use ours instead."""
    for name in names:
        logger = logging.getLogger(name)
        if logger.handlers:
            logger.handlers.clear()
            logger.propagate = True


def _renderer(env: str) -> Processor:
    if env == "prod":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.processors.LogfmtRenderer(bool_as_flag=False)


def _ordered(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {key: event.pop(key) for key in FIRST_KEYS if key in event}
    return first | dict(event)


def _without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _harmless(key, value) for key, value in event.items()}


def _harmless(key: str, value: Any) -> Any:
    if _names_a_secret(key):
        return "***"
    if isinstance(value, str | BaseException):
        value = str(value)
        if _may_hold_a_secret(value):
            for secret, replacement in _SECRET_TEXT:
                value = secret.sub(replacement, value)
    return value


def _may_hold_a_secret(text: str) -> bool:
    """Whether one of `_SECRET_TEXT` may be found, which takes long and is rare."""
    folded = text.lower()
    return "://" in folded or "=" in folded or "eyj" in folded or "bearer" in folded


@lru_cache
def _names_a_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    structlog.get_logger().critical("uncaught_exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        structlog.get_logger().critical(
            "uncaught_exception",
            thread=args.thread.name if args.thread else None,
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
