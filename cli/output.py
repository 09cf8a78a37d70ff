"""Standard output that may be a pipe nobody reads any more, or a disk without room."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast

from cli.errors import CommandError


class OutputLost(CommandError):
    """What was written to standard output did not get there; `error` says why.

    It is no OSError, so that neither typer nor rich takes it for one of theirs to end the process.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror}")
        self.error = error

    @property
    def reader_gone(self) -> bool:
        """Whether the reader, `head` for example, has seen enough."""
        return isinstance(self.error, BrokenPipeError)


class _Stream:
    """A text stream that tells its own errors from those of everything else."""

    lost = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._telling():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._telling():
            self._stream.flush()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.lost = True
            raise OutputLost(error) from None


@contextmanager
def guarded() -> Iterator[None]:
    """Raise OutputLost when standard output cannot be written, at the latest at the end.

    A reader who has gone does not change the exit code of a command that has come to its end. A
    character that the terminal cannot show is replaced.
    """
    stream = sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    guard = _Stream(stream)
    sys.stdout = cast(TextIO, guard)
    try:
        try:
            yield
        except SystemExit:
            _flush(guard)
            raise
        _flush(guard)
    finally:
        sys.stdout = stream
        if guard.lost:
            with suppress(OSError, ValueError):  # or the interpreter complains when it ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _flush(guard: _Stream) -> None:
    try:
        guard.flush()
    except OutputLost as lost:
        if not lost.reader_gone:
            raise
