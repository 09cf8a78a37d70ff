"""What is done to programs: deaths, pauses, deploys."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import psutil

from tests.faults.chaos.blows import Clockwork, Rescue
from tests.faults.chaos.load import AWAY
from tests.faults.chaos.plan import Planned
from tests.faults.chaos.site import WORKER, Slot
from tests.faults.harness import owner_pid


class ToPrograms(Clockwork):
    """Faults of workers, their children, and schedulers."""

    # --------------------------------------------------------------------------- deaths

    def _kill_worker(self, planned: Planned, *, unluckiest: bool = False) -> bool:
        found = self._owner(planned.rank, unluckiest=unluckiest)
        if found is None:
            return False
        job, slot, pid = found
        slot.harmed = True
        self._hurt(planned.kind, slot)
        os.kill(pid, signal.SIGKILL)
        self.rescues.append(Rescue("killed", job.job_id, job.attempt, time.time()))
        return True

    def _kill_owner_of_the_unluckiest(self, planned: Planned) -> bool:
        return self._kill_worker(planned, unluckiest=True)

    def _kill_master(self, planned: Planned) -> bool:
        found = self._owner(planned.rank)
        if found is None:
            return False
        job, slot, _ = found
        slot.harmed = True
        self._hurt(planned.kind, slot, 10.0)
        os.kill(slot.program.pid, signal.SIGKILL)
        self.rescues.append(Rescue("told to stop", job.job_id, job.attempt, time.time()))
        return True

    def _kill_child(self, planned: Planned) -> bool:
        found = self._owner(planned.rank)
        child = None if found is None else self._child(found[2])
        if found is None or child is None:
            return False
        self._count_child(found[2], found[0].job_id, child.kill)
        return True

    def _kill_child_twice(self, planned: Planned) -> bool:
        if not self._kill_child(planned):
            return False

        def again() -> None:
            with suppress(*AWAY):
                self._kill_child(planned)

        self._later(0.3, again)
        return True

    def _kill_fork_server(self, planned: Planned) -> bool:
        found = self._owner(planned.rank)
        child = None if found is None else self._child(found[2])
        server = None if child is None else child.parent()
        if found is None or server is None:
            return False
        self._count_child(found[2], found[0].job_id, server.kill)
        return True

    def _count_child(self, pid: int, job_id: UUID, kill: Callable[[], None]) -> None:
        """Its owner may have gone on to another job by now: then it is the child of that one."""
        self.children_killed[job_id] += 1
        kill()
        for job in self._load.owned():
            if owner_pid(job) == pid and job.job_id != job_id:
                self.children_killed[job.job_id] += 1

    def _kill_scheduler(self, planned: Planned) -> bool:
        slot = self._scheduler(planned)
        slot.harmed = True
        slot.program.process.kill()
        return True

    # --------------------------------------------------------------------------- pauses

    def _pause_worker(self, planned: Planned) -> bool:
        found = self._owner(planned.rank)
        if found is None:
            return False
        _, slot, pid = found
        self._hurt(planned.kind, slot, planned.seconds)
        slot.paused_until = time.monotonic() + planned.seconds
        worker = psutil.Process(pid)
        worker.suspend()
        self._later(planned.seconds, worker.resume)
        return True

    def _pause_briefly(self, planned: Planned) -> bool:
        return self._pause_worker(planned)

    def _pause_master_and_all(self, planned: Planned) -> bool:
        found = self._owner(planned.rank)
        return found is not None and self._pause_all_of(found[1], planned)

    def _pause_scheduler(self, planned: Planned) -> bool:
        return self._pause_all_of(self._scheduler(planned), planned)

    def _pause_all_of(self, slot: Slot, planned: Planned) -> bool:
        self._hurt(planned.kind, slot, planned.seconds)
        slot.paused_until = time.monotonic() + planned.seconds
        for process in slot.below():
            process.suspend()
            self._later(planned.seconds, process.resume)
        return True

    def _pause_child_past_the_stall_limit(self, planned: Planned) -> bool:
        found = self._owner(planned.rank)
        child = None if found is None else self._child(found[2])
        if found is None or child is None:
            return False
        child.suspend()
        self.children_paused.add(found[0].job_id)
        self.children_paused |= {
            job.job_id for job in self._load.owned() if owner_pid(job) == found[2]
        }
        return True

    # --------------------------------------------------------------------------- deploys

    def _stop_by(self, slot: Slot, send: Callable[[], object], kind: str) -> bool:
        if not slot.ready:
            return False
        if slot.command is WORKER:
            self._hurt(kind, slot, 15.0)
            with suppress(*AWAY):
                for job in self._load.owned():
                    with suppress(psutil.Error):
                        if psutil.Process(owner_pid(job)).ppid() == slot.program.pid:
                            self.rescues.append(
                                Rescue("told to stop", job.job_id, job.attempt, time.time())
                            )
        slot.tell_to_stop(send)
        return True

    def _terminate_worker(self, planned: Planned) -> bool:
        slot = self._worker(planned)
        return self._stop_by(slot, slot.program.process.terminate, planned.kind)

    def _terminate_group_twice(self, planned: Planned) -> bool:
        slot = self._worker(planned)

        def twice() -> None:
            slot.program.signal_group(signal.SIGTERM)
            slot.program.signal_group(signal.SIGTERM)

        return self._stop_by(slot, twice, planned.kind)

    def _interrupt_group(self, planned: Planned) -> bool:
        slot = self._worker(planned)
        return self._stop_by(slot, lambda: slot.program.signal_group(signal.SIGINT), planned.kind)

    def _terminate_scheduler(self, planned: Planned) -> bool:
        slot = self._scheduler(planned)
        return self._stop_by(slot, slot.program.process.terminate, planned.kind)
