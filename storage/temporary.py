"""Temporary folders that live as long as the processes that own them.

An owner holds a shared lock on the folder itself. The kernel gives it back when the process ends,
however it ends, so a folder that can be locked exclusively has no owner any more: the next process
that makes a folder removes it. Locks of one host are seen across PID namespaces, where pids are
not, so containers may share TMPDIR.
"""

import fcntl
import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class OwnedFolder:
    """A folder in TMPDIR that this process owns until `give_up` or its end; `path` is absolute.

    `kind` says in the folder's name what it is for. Processes that give the same `shared_by` own
    one folder together; without it the folder is new and this process' own. A child that is forked
    without exec owns it, too; a program that is started does not. Making one first removes all
    folders without an owner, of every kind. Raises `OSError`.
    """

    def __init__(self, kind: str, *, shared_by: str | None = None) -> None:
        remove_leftovers()
        while True:
            unique = secrets.token_hex(8) if shared_by is None else shared_by
            self.path = Path(tempfile.gettempdir()).absolute() / f"{_prefix()}{kind}-{unique}"
            self.path.mkdir(mode=0o700, exist_ok=shared_by is not None)
            lock = _lock(self.path, fcntl.LOCK_SH)
            if lock is not None:
                self._lock: int | None = lock
                return
            # Somebody took it for a leftover before it was locked.

    def give_up(self) -> None:
        """Own it no more, and remove it if nobody else owns it; harmless when done before."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            _remove_without_owner(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_up()


def remove_leftovers() -> None:
    """Remove this user's folders whose owners have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        _remove_without_owner(folder)


def _prefix() -> str:
    return f"backtest-{os.getuid()}-"


def _remove_without_owner(folder: Path) -> None:
    # OSError: it has an owner, is gone, or its file system cannot lock it.
    with suppress(OSError):
        lock = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            try:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _lock(folder: Path, operation: int) -> int | None:
    """Lock a folder; the lock is held until the descriptor is closed in every process that has it.

    None if the folder was removed, or replaced, before the lock was there. Raises `OSError`, also
    for a folder of another user and for a link.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, operation)
        locked = os.fstat(descriptor)
        if locked.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user: remove it")
        with suppress(FileNotFoundError):
            if os.path.samestat(locked, folder.stat(follow_symlinks=False)):
                return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
