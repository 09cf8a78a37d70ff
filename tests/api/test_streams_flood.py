"""One user who opens streams without end gets those of the limit, and disturbs nobody else."""

import asyncio
import json
import resource
from typing import NamedTuple

import psutil

from tests.api.running import Api, Caller
from tests.api.streaming import LIST_PATH, Viewer
from tests.faults.harness import wait_for
from tests.loops import in_a_loop

TRIED = 10_000
PLACES = 20  # streams_per_user
CONNECTING = 500
"""At the same time; what a server has no room to keep waiting comes a second later."""
BYTES_EACH = 20 * 2**10
"""Of memory that the process may keep for each try: what the open sockets took at the same time."""
SPARE = 300
"""Descriptors that a process may have open beside these connections."""


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Answer(NamedTuple):
    """The status of an answer; its text only where it has an end."""

    status: int
    text: bytes


class Flood:
    """Connections that ask for a stream of one user, and stay open until the flood ends."""

    def __init__(self, api: Api, token: str) -> None:
        self.answers: list[Answer] = []
        self._port = api.port
        lines = (f"GET {LIST_PATH} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", "", "")
        self._wanted = "\r\n".join(lines).encode()
        self._connecting = asyncio.Semaphore(CONNECTING)
        self._streams: list[asyncio.StreamWriter] = []
        self._refused: list[asyncio.StreamWriter] = []

    async def ask(self, count: int) -> None:
        """Open so many more connections; when all are open, ask, and read what each is told."""
        opened = await asyncio.gather(*(self._open() for _ in range(count)))
        for _, writer in opened:
            writer.write(self._wanted)
        self.answers += await asyncio.gather(*(self._answer(*each) for each in opened))

    async def _open(self) -> Connection:
        async with self._connecting:
            return await asyncio.open_connection("127.0.0.1", self._port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        answer = Answer(int(head[0].split()[1]), await reader.readexactly(_length(head)))
        (self._streams if answer.status == 200 else self._refused).append(writer)
        return answer

    def forget_refused(self) -> None:
        """Close the connections that got no stream."""
        _close(self._refused)

    def end(self) -> None:
        """Close everything."""
        _close(self._refused)
        _close(self._streams)


def _length(head: list[str]) -> int:
    return sum(int(line.split(":")[1]) for line in head if line.startswith("content-length:"))


def _close(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
    writers.clear()


def room(process: psutil.Process) -> int:
    """Return how many connections this process and the API may hold open at the same time."""
    most = min(resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] for pid in (0, process.pid))
    return most - SPARE if most != resource.RLIM_INFINITY else TRIED


def test_ten_thousand_streams_of_one_user_are_those_of_the_limit_and_hold_nobody_up(
    api: Api, user: Caller
) -> None:
    assert api.process is not None
    process, other = psutil.Process(api.process.pid), api.new_user()
    assert user.user_id is not None
    token = api.token(user.user_id)
    descriptors, memory, at_once = process.num_fds(), process.memory_info().rss, room(process)

    async def flood() -> Flood:
        made = Flood(api, token)
        for first in range(0, TRIED, at_once):
            made.forget_refused()
            await made.ask(min(at_once, TRIED - first))
        for caller in (other, user):
            answer = await asyncio.to_thread(caller.get, "/backtests/jobs")
            assert answer.status_code == 200, answer.text
        made.end()
        return made

    made = in_a_loop(flood())
    refused = [answer for answer in made.answers if answer.status != 200]
    assert len(made.answers) - len(refused) == PLACES
    assert {answer.status for answer in refused} == {429}
    (text,) = {answer.text for answer in refused}
    error = json.loads(text)["error"]
    assert (error["code"], error["details"]) == ("too_many_requests", [])
    assert str(PLACES) in error["message"]
    wait_for(lambda: process.num_fds() <= descriptors + 50, "connections stay open")
    assert process.memory_info().rss - memory < TRIED * BYTES_EACH

    def opens() -> bool:
        with Viewer(api, LIST_PATH, user_id=user.user_id) as viewer:
            return viewer.status == 200

    wait_for(opens, "the places are not given back")
