"""What is done to everything that programs rely on: servers, networks, candles, messages."""

import json
import time
from collections.abc import Callable
from uuid import uuid4

import redis

from tasks import wake_up
from tests.faults.chaos.blows import EVERYBODY, Blow, Clockwork
from tests.faults.chaos.plan import Planned
from tests.faults.chaos.site import Slot


class ToSurroundings(Clockwork):
    """Faults of what is around programs, and users who change their minds."""

    # --------------------------------------------------------------------------- servers

    def _restart_postgres(self, planned: Planned, mode: str = "fast") -> bool:
        if self._postgres_down:
            return False
        self._postgres_down = True
        self._hurt(planned.kind, None, planned.seconds + 3.0)
        self._site.server.stop(mode)
        self._later(planned.seconds, self._start_postgres)
        return True

    def _crash_postgres(self, planned: Planned) -> bool:
        return self._restart_postgres(planned, "immediate")

    def _postgres_away_for_longer_than_the_lease(self, planned: Planned) -> bool:
        return self._restart_postgres(planned)

    def _start_postgres(self) -> None:
        self._site.server.start()
        self._postgres_down = False
        self._site.stack.reconnect()

    def _end_sessions(self, planned: Planned) -> bool:
        self._site.stack.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND pid %% 2 = %s",
            (planned.rank % 2,),
        )
        return True

    def _restart_redis(self, planned: Planned) -> bool:
        if self._redis_down:
            return False
        self._redis_down = True
        self._site.redis.stop()
        self._later(planned.seconds, self._start_redis)
        return True

    def _start_redis(self) -> None:
        self._site.redis.start()
        self._redis_down = False

    def _empty_redis(self, _: Planned) -> bool:
        self._site.stack.flush_redis()
        return True

    # --------------------------------------------------------------------------- networks

    def _for_a_while(self, slot: Slot, hurt: Callable[[], None], planned: Planned) -> bool:
        network = slot.postgres if "redis" not in planned.kind.lower() else slot.redis
        if network is slot.postgres:
            self._hurt(planned.kind, slot, planned.seconds)
        hurt()
        self._later(planned.seconds, network.heal)
        return True

    def _cut_postgres(self, planned: Planned) -> bool:
        self._any(planned).postgres.cut()
        return True

    def _cut_redis(self, planned: Planned) -> bool:
        self._any(planned).redis.cut()
        return True

    def _blackhole_postgres(self, planned: Planned) -> bool:
        slot = self._any(planned)
        return self._for_a_while(slot, slot.postgres.blackhole, planned)

    def _blackhole_redis(self, planned: Planned) -> bool:
        slot = self._any(planned)
        return self._for_a_while(slot, slot.redis.blackhole, planned)

    def _refuse_postgres(self, planned: Planned) -> bool:
        slot = self._any(planned)
        return self._for_a_while(slot, slot.postgres.refuse, planned)

    def _refuse_redis(self, planned: Planned) -> bool:
        slot = self._any(planned)
        return self._for_a_while(slot, slot.redis.refuse, planned)

    def _swallow_first_statements(self, planned: Planned) -> bool:
        slot = self._any(planned)
        return self._for_a_while(slot, slot.postgres.swallow_first, planned)

    def _lose_the_answer_of_a_claim(self, planned: Planned) -> bool:
        return self._lose(planned, b"claimed AS (")

    def _lose_the_answer_of_an_end(self, planned: Planned) -> bool:
        return self._lose(planned, b"WITH ended AS (")

    def _lose(self, planned: Planned, after: bytes) -> bool:
        network = self._worker(planned).postgres
        network.drop_answer_of(b"COMMIT", after=after)

        def count() -> None:
            if not network.dropped.is_set():  # nobody wrote that meanwhile
                self.done[planned.kind] -= 1
                self.missed[planned.kind] += 1

        self._later(planned.seconds, count)
        return True

    # --------------------------------------------------------------------------- candles

    def _candles_away(self, planned: Planned) -> bool:
        here = self._site.stack.candles
        there = here.with_name("away")
        if there.exists():
            return False
        here.rename(there)
        now = time.time()
        self.candles_away.append(Blow(planned.kind, EVERYBODY, now, now + planned.seconds + 20))

        def back() -> None:
            there.rename(here)

        self._later(planned.seconds, back)
        return True

    # --------------------------------------------------------------------------- messages

    def _repeat_messages(self, _: Planned) -> bool:
        unfinished = self._load.unfinished()[:5]
        return self._push([payload(job_id) for job_id in unfinished for _ in range(10)])

    def _forge_messages(self, _: Planned) -> bool:
        ended = [*self._load.kinds][:5]
        return self._push([payload(uuid4()) for _ in range(10)] + [payload(one) for one in ended])

    def _garbage_messages(self, _: Planned) -> bool:
        return self._push(
            [
                *(b"\xff no json", b"[]", b"{}", b""),
                payload("no uuid"),
                payload(uuid4(), queue_name="other"),
                payload(uuid4(), actor_name="other"),
                payload(uuid4(), kwargs={"job_id": "x"}),
                payload(uuid4(), options={"eta": 4_102_444_800_000}),
                payload(uuid4(), message_id=["unhashable"]),
            ]
        )

    def _push(self, payloads: list[bytes]) -> bool:
        key = f"{self._namespace}:{wake_up.QUEUE}"
        with redis.Redis.from_url(self._site.redis.url) as client:
            for content in payloads:
                name = uuid4().hex
                client.hset(f"{key}.msgs", name, content)
                client.rpush(key, name)
        return bool(payloads)

    # --------------------------------------------------------------------------- users

    def _cancel(self, planned: Planned, times: int = 1) -> bool:
        unfinished = self._load.unfinished()
        if not unfinished:
            return False
        for _ in range(times):
            self._load.cancel(unfinished[planned.rank % len(unfinished)])
        return True

    def _cancel_repeatedly(self, planned: Planned) -> bool:
        return self._cancel(planned, 5)


def payload(job_id: object, **changes: object) -> bytes:
    """A message as dramatiq writes it, with some fields changed."""
    fields = {
        "queue_name": wake_up.QUEUE,
        "actor_name": wake_up.ACTOR_NAME,
        "args": [str(job_id)],
        "kwargs": {},
        "options": {},
        "message_id": str(uuid4()),
        "message_timestamp": 0,
    }
    return json.dumps(fields | changes).encode()
