"""Holding a lease: a thread that renews it, and one that acts when it can no longer be ours."""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from structlog.stdlib import BoundLogger

from configs.one_line import one_line
from storage import faults, leases
from storage.records import Beat, Lease
from storage.session import Session

RETRY_SECONDS = 1.0


class Ownership:
    """The time during which a job is ours; `lost` and `cancel_requested` say what others did.

    The deadline is kept by the monotonic clock and counted from before the last renewal that
    succeeded was *sent*, whoever sent it, so it comes before the lease ends in the database, whose
    clock started later. When it passes, `lost` is set, and everything that the owner may be
    waiting for ends: the actions given to `on_loss` are called, calls of the database give up.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        session: Session,
        heartbeat_seconds: float,
        claim_sent_at: float,
        log: Callable[[], BoundLogger],
    ) -> None:
        self.lease = lease
        self.lost = threading.Event()
        self.cancel_requested = threading.Event()
        self._session = session
        self._heartbeat_seconds = heartbeat_seconds
        self._log = log
        self._on_loss: list[Callable[[], object]] = []
        self._renewed_at = claim_sent_at
        self._first_beat_at = claim_sent_at + heartbeat_seconds
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._changed = threading.Condition()
        self._heart = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Ownership":
        self._watchdog.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        self._watchdog.join()
        if self._heart.is_alive():
            self._heart.join(RETRY_SECONDS)

    def on_loss(self, action: Callable[[], object]) -> None:
        """Call `action` when the lease is lost, from any thread; at once when it is lost now."""
        with self._changed:
            self._on_loss.append(action)
            lost = self.lost.is_set()
        if lost:
            action()

    @property
    def renewed_at(self) -> float:
        """When the last renewal that succeeded was sent, by the monotonic clock."""
        return self._renewed_at

    def renewed(self, sent_at: float) -> None:
        """Say that a renewal succeeded, which was sent after `sent_at`; from any thread."""
        with self._changed:
            self._renewed_at = max(self._renewed_at, sent_at)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that the owner now writes its last statement, which itself finds out a lost lease.

        From then on a heartbeat that finds the job no longer owned means nothing: it may have come
        just after that statement.
        """
        self._closing.set()

    def lose(self) -> None:
        """Act on the loss of the lease; once."""
        with self._changed:
            if self.lost.is_set():
                return
            self.lost.set()
            actions = list(self._on_loss)
        for action in actions:
            action()

    def _watch(self) -> None:
        # No I/O and no logging here: a full pipe or a dead network must not delay the deadline.
        with self._changed:
            while (left := self._renewed_at + self.lease.seconds - time.monotonic()) > 0:
                if self._heart.ident is None:
                    # Most jobs end before the first beat is due: they need no thread for it.
                    first = self._first_beat_at - time.monotonic()
                    if first <= 0 and not self._start_heart():
                        break
                    left = min(left, first) if first > 0 else left
                self._changed.wait(left)
                if self._ended.is_set() or self.lost.is_set():
                    return
        self.lose()

    def _start_heart(self) -> bool:
        try:
            self._heart.start()
        except RuntimeError:  # no thread is to be had, so nobody would renew
            return False
        return True

    def _beat_on(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause) and not self.lost.is_set():
            sent_at = time.monotonic()
            try:
                beat = self._session.run_one(self._beat, abandon=self._over)
            except Exception as error:  # the owner's other writes may still renew the lease
                if not self._over():
                    self._say_failed(error)
                pause = min(RETRY_SECONDS, self._heartbeat_seconds)
                continue
            if beat is None:
                if not self._closing.is_set():
                    self.lose()
                break
            if beat.cancel_requested:
                self.cancel_requested.set()
            self.renewed(sent_at)
            pause = self._heartbeat_seconds
        self._session.close()

    def _say_failed(self, error: Exception) -> None:
        event = "heartbeat_failed" if faults.passing(error) else "heartbeat_broken"
        sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
        self._log().warning(event, error=one_line(error), sqlstate=sqlstate)

    def _over(self) -> bool:
        return self._ended.is_set() or self.lost.is_set()

    def _beat(self, conn: psycopg.Connection[Any]) -> Beat | None:
        return leases.renew(conn, self.lease)
