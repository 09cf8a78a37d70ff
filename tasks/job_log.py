"""Log lines about a job."""

from uuid import UUID

import structlog
from structlog.stdlib import BoundLogger


def job_log(job_id: UUID, locked_by: str, attempt: int | None = None) -> BoundLogger:
    """Logger whose every line says which job it is about, and whose."""
    log: BoundLogger = structlog.get_logger().bind(
        job_id=str(job_id), attempt=attempt, locked_by=locked_by, stage=None
    )
    return log
