"""Running the API: one uvicorn server, or several processes that share its port."""

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from cli.errors import SUCCEEDED, UNEXPECTED, CommandError

APPLICATION = "api.app:create_app"
GRACE_SECONDS = 3
"""How long open answers may take to end; the application itself ends the process soon after."""
UNANSWERED_SECONDS = 30
"""How long what was sent may stay without an acknowledgement until a connection is given up.

A viewer who vanished without a word is found that way, for a stream sends a comment every 15 s.
Linux by itself goes on for a quarter of an hour, and for ever where the other end takes no more.
"""
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def serve(host: str, port: int, processes: int) -> int:
    """Answer until SIGINT, SIGTERM or SIGHUP; returns the exit code.

    Of several processes one that dies is replaced, and SIGHUP replaces them all, one by one. Raises
    CommandError when the address cannot be used, and what the application says about its settings.
    """
    with _metrics_folder(processes):
        from api.app import create_app

        application = create_app()  # opens nothing: what is wrong is said before anything listens
        config = uvicorn.Config(
            APPLICATION if processes > 1 else application,
            factory=processes > 1,
            workers=processes,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        with _bound(host, port) as listening:
            structlog.get_logger().info("listening", url=_url(listening))
            return _several(config, listening) if processes > 1 else _one(config, listening)


def _one(config: uvicorn.Config, listening: socket.socket) -> int:
    # uvicorn takes SIGINT and SIGTERM itself while it runs, and passes them on at its end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    server = uvicorn.Server(config)
    server.run(sockets=[listening])
    return SUCCEEDED if server.started else UNEXPECTED


def _several(config: uvicorn.Config, listening: socket.socket) -> int:
    processes = Multiprocess(config, sockets=[listening])

    def stop(number: int, _frame: FrameType | None) -> None:
        # It looks at its signals twice a second only; its processes shall begin to end at once.
        for each in processes.processes:
            each.process.terminate()
        processes.signal_queue.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    processes.run()
    failed = any(process.exitcode not in (0, -signal.SIGTERM) for process in processes.processes)
    return UNEXPECTED if failed else SUCCEEDED


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux; connections take it from the listener
            listening.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_SECONDS * 1000
            )
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no name of a host"
        raise CommandError(
            f"{host}:{port} cannot be listened on: {why}; give another --port or --host"
        ) from None
    with listening:
        yield listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _metrics_folder(processes: int) -> Iterator[None]:
    """Give several processes a folder in which their metrics are added up."""
    if processes == 1 or os.environ.get(METRICS_FOLDER):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="backtest-api-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder
        yield
