"""What an error of the database means for the work: try again, or give up.

Postgres says what happened in a five-character SQLSTATE (its manual, appendix A). One table here
sorts them; worker, scheduler and everything else decide by it and by nothing else.
"""

from enum import StrEnum

import psycopg


class Fault(StrEnum):
    """What to do about an error."""

    GONE = "gone"
    """The server or the connection went away: try again on a new connection."""

    REFUSED = "refused"
    """The server is there and refuses for now: try again, but not for ever."""

    BROKEN = "broken"
    """The statement, its data or this program is wrong: trying again would not help."""


# SQLSTATE, or its first two characters for a whole class; the longest entry that fits counts.
_FAULTS: dict[str, Fault] = {
    "08": Fault.GONE,  # connection exceptions
    "57P01": Fault.GONE,  # admin_shutdown: the server stops, or an operator ended the session
    "57P02": Fault.GONE,  # crash_shutdown: another server process crashed
    "57P03": Fault.GONE,  # cannot_connect_now: starting up or recovering
    "57P05": Fault.GONE,  # idle_session_timeout
    "25P03": Fault.GONE,  # idle_in_transaction_session_timeout: we were paused in a transaction
    "25P04": Fault.GONE,  # transaction_timeout: the same, the session is ended
    "26000": Fault.GONE,  # a prepared statement unknown here: a pooler gave us another session
    "42P05": Fault.GONE,  # a prepared statement that exists already: the same
    "53100": Fault.REFUSED,  # disk_full
    "53200": Fault.REFUSED,  # out_of_memory
    "53300": Fault.REFUSED,  # too_many_connections
    "58030": Fault.REFUSED,  # io_error
    "25006": Fault.REFUSED,  # read_only_sql_transaction: a failover is under way
    "40001": Fault.REFUSED,  # serialization_failure
    "40003": Fault.REFUSED,  # statement_completion_unknown
    "40P01": Fault.REFUSED,  # deadlock_detected
    "55P03": Fault.REFUSED,  # lock_not_available: lock_timeout
    "57014": Fault.REFUSED,  # query_canceled: statement_timeout
}

# Where the server says that a migration changed the table under a prepared statement; its message
# "cached plan must not change result type" is in the server's language.
_CACHED_PLAN = "RevalidateCachedQuery"


def of(error: BaseException) -> Fault:
    """Say what `error` means. Errors that are not the database's are broken."""
    if not isinstance(error, psycopg.Error):
        return Fault.BROKEN
    code = error.sqlstate
    if code is None:
        # Only the client saw it: the network, a closed connection, a time limit of our own.
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return Fault.GONE if lost else Fault.BROKEN
    if code == "0A000" and error.diag.source_function == _CACHED_PLAN:
        return Fault.GONE
    return _FAULTS.get(code) or _FAULTS.get(code[:2]) or Fault.BROKEN


def passing(error: BaseException) -> bool:
    """Whether the same work may succeed later."""
    return of(error) is not Fault.BROKEN
