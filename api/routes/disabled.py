"""What stands in place of the calls about jobs where jobs are switched off."""

from fastapi import APIRouter
from starlette.requests import Request

from api.errors import ApiError
from api.metrics import METHODS

router = APIRouter(include_in_schema=False)


@router.api_route("/backtests/estimate", methods=sorted(METHODS))
@router.api_route("/backtests/stream", methods=sorted(METHODS))
@router.api_route("/backtests/jobs", methods=sorted(METHODS))
@router.api_route("/backtests/jobs/{rest:path}", methods=sorted(METHODS))
async def disabled(_request: Request) -> None:
    """Refuse."""
    raise ApiError(404, "jobs_disabled", "jobs are switched off here (jobs.enabled is false)")
