"""The shapes of what operators send and are answered; `api.operating` makes the answers."""

from api.schemas import (
    _COUNT,
    _FLAG,
    _ID,
    _NUMBER,
    _PRINTABLE,
    _PROGRESS,
    _STAGE,
    _TEXT,
    _TIME,
    COMPONENTS,
    _many,
    _object,
    _or_null,
    _words,
)
from storage.operating import Problem
from storage.records import State
from storage.switches import LONGEST_REASON

_PAUSE = _or_null(_object(since=_TIME, by=_TEXT, reason=_or_null(_TEXT)))
_WAITING = _object(
    number=_COUNT,
    oldest=_or_null(_TIME),
    ages=_many(_object(up_to=_or_null(_COUNT), number=_COUNT)),
)
QUEUE = _object(
    paused=_PAUSE,
    queued=_WAITING,
    running=_WAITING,
    ended=_object(**{str(state): _COUNT for state in State if state.terminal}),
)
WORKERS = _object(
    items=_many(_object(host=_TEXT, jobs=_COUNT, owners=_many(_TEXT), heartbeat_at=_TIME))
)
LEASES = _object(
    items=_many(
        _object(
            job_id=_ID,
            user_id=_ID,
            owner=_or_null(_TEXT),
            host=_or_null(_TEXT),
            attempt=_COUNT,
            crash_count=_COUNT,
            progress=_PROGRESS,
            locked_at=_TIME,
            heartbeat_at=_TIME,
            lease_expires_at=_TIME,
            expired=_FLAG,
            cancel_requested_at=_or_null(_TIME),
        )
    )
)
STUCK = _object(
    found=_COUNT,
    items=_many(
        _object(
            job_id=_ID,
            user_id=_ID,
            state=_words((State.QUEUED, State.RUNNING)),
            problem=_words(Problem),
            since=_TIME,
            seconds=_NUMBER,
            owner=_or_null(_TEXT),
            stage=_STAGE,
            attempt=_COUNT,
            said=_TEXT,
            advice=_TEXT,
            runbook=_TEXT,
        )
    ),
)
EVENTS = _object(items=_many(_object(job_id=_ID, **COMPONENTS["Event"]["properties"])))
REASON = {"type": "string", "minLength": 1, "maxLength": LONGEST_REASON, "pattern": _PRINTABLE}
PAUSE = _object({"reason": _or_null(REASON)})
SWITCHED = _object(changed=_FLAG, paused=_PAUSE)
