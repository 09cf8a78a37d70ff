"""Children of the test process, and listening to them."""

from typing import Any, TypeVar

from configs import settings
from configs.environment import CandlesFolder
from engine.request import Limits, complete, read_defaults
from tasks.messages import Assignment, Progress
from tasks.process import Child

Message = TypeVar("Message")
PLENTY = 8 * 2**30


def assignment(
    candles: CandlesFolder,
    document: dict[str, Any],
    memory_bytes: int = PLENTY,
    shard_seconds: float = 1e9,
) -> Assignment:
    loaded = settings.load(None, {"ROEHUB_ENV": "test"})
    unlimited = Limits(max_variants_per_compute=2**40, max_compute_bytes_total=2**50)
    request = complete(document, read_defaults(*loaded.request_defaults()), unlimited)
    return Assignment(
        request=request,
        limits=unlimited,
        candle_source=candles,
        candle_retry_seconds=(),
        threads=1,
        memory_bytes=memory_bytes,
        shard_seconds=shard_seconds,
        workers=2,
    )


def heard(child: Child) -> Any:
    message = child.receive(60)
    assert message is not None, "the child is silent"
    return message


def expect(child: Child, kind: type[Message]) -> Message:
    """Skip progress until something else is said."""
    while isinstance(message := heard(child), Progress):
        pass
    assert isinstance(message, kind), message
    return message


def listen_to_the_end(child: Child) -> None:
    while True:
        heard(child)
