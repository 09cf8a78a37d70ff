"""Rows of plans and shards that contradict themselves, by the check that refuses them."""

OPEN: dict[str, str] = {
    "job_id": "%(job_id)s",
    "stage": "'stage_a'",
    "shard": "0",
    "plan_id": "%(job_id)s",
    "part": "'{}'",
    "state": "'open'",
    "locked_by": "NULL",
    "attempt": "0",
    "crash_count": "0",
    "lease_expires_at": "NULL",
    "processed_units": "0",
    "total_units": "10",
    "result": "NULL",
    "error": "NULL",
}
ERROR = """'{"code": "c", "message": "m", "details": {}}'"""
RUNNING = OPEN | {"state": "'running'", "locked_by": "'o'", "lease_expires_at": "now()"}
DONE = OPEN | {
    "state": "'done'",
    "locked_by": "'o'",
    "result": r"'\x00'",
    "processed_units": "10",
}
FAILED = OPEN | {"state": "'failed'", "locked_by": "'o'", "error": ERROR}
STATES = {"open": OPEN, "running": RUNNING, "done": DONE, "failed": FAILED}

CHECKS: list[tuple[str, dict[str, str]]] = [
    ("state", FAILED | {"state": "'lost'", "error": "NULL"}),
    ("shard", OPEN | {"shard": "-1"}),
    ("part", OPEN | {"part": "'[]'"}),
    ("attempt", OPEN | {"attempt": "-1"}),
    ("crash_count", OPEN | {"crash_count": "-1"}),
    ("total_units", DONE | {"total_units": "-1", "processed_units": "-1"}),
    ("locked_by", OPEN | {"locked_by": "'o'"}),
    ("locked_by", RUNNING | {"locked_by": "NULL"}),
    ("locked_by", DONE | {"locked_by": "NULL"}),
    ("locked_by", FAILED | {"locked_by": "NULL"}),
    ("lease_while_running", OPEN | {"lease_expires_at": "now()"}),
    ("lease_while_running", RUNNING | {"lease_expires_at": "NULL"}),
    ("lease_while_running", DONE | {"lease_expires_at": "now()"}),
    ("lease_while_running", FAILED | {"lease_expires_at": "now()"}),
    ("result_when_done", OPEN | {"result": r"'\x00'"}),
    ("result_when_done", RUNNING | {"result": r"'\x00'"}),
    ("result_when_done", DONE | {"result": "NULL"}),
    ("result_when_done", FAILED | {"result": r"'\x00'"}),
    ("error_when_failed", OPEN | {"error": ERROR}),
    ("error_when_failed", RUNNING | {"error": ERROR}),
    ("error_when_failed", DONE | {"error": ERROR}),
    ("error_when_failed", FAILED | {"error": "NULL"}),
    ("error", FAILED | {"error": "'[]'"}),
    ("error", FAILED | {"error": """'{"code": 1, "message": 1}'"""}),
    ("processed_units", OPEN | {"processed_units": "1"}),
    ("processed_units", RUNNING | {"processed_units": "-1"}),
    ("processed_units", RUNNING | {"processed_units": "11"}),
    ("processed_units", DONE | {"processed_units": "9"}),
    ("processed_units", FAILED | {"processed_units": "1"}),
]

PLAN: dict[str, str] = {
    "job_id": "%(job_id)s",
    "stage": "'stage_a'",
    "plan_id": "%(job_id)s",
    "engine_identity": "'e'",
    "candles_hash": "'c'",
    "shards": "1",
}
