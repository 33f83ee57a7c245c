"""One watcher at a time, on however many hosts."""

import threading
import time

from orthanc_mask2seg.service.leader import Leader
from orthanc_mask2seg.service.status import Counters


class Lease:
    """A lease that the test grants or takes away."""

    def __init__(self, granted=True):
        self.granted, self.fault, self.given_up = granted, None, False

    def hold(self):
        if self.fault is not None:
            raise self.fault
        return self.granted

    def give_up(self):
        self.given_up = True


class Watcher:
    """Counts how many run."""

    running = 0

    def run(self, stop):
        Watcher.running += 1
        stop.wait(60)
        Watcher.running -= 1

    def status(self):
        return Counters(reachable=True, error="").status(7, 0)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_watches_while_it_leads_and_stands_by_else():
    lease, stop, made = Lease(granted=False), threading.Event(), []

    faults = [OSError()]

    def make():
        if faults:
            raise faults.pop()
        made.append(Watcher())
        return made[-1]

    leader = Leader(make, lease, lease_seconds=1.0, renew_seconds=0.05)
    thread = threading.Thread(target=leader.run, args=(stop,), daemon=True)
    thread.start()
    time.sleep(0.2)
    assert (Watcher.running, made, leader.status().error) == (0, [], "standby")
    lease.granted = True
    wait_for(lambda: Watcher.running == 1)
    assert leader.status().known == 7
    lease.granted = False
    wait_for(lambda: Watcher.running == 0)
    lease.granted = True
    wait_for(lambda: Watcher.running == 1)
    assert len(made) == 2, "a new one remembers what another host did meanwhile"
    lease.fault = OSError()
    time.sleep(0.4)
    assert Watcher.running == 1, "an outage shorter than the lease"
    wait_for(lambda: Watcher.running == 0)
    lease.fault = None
    wait_for(lambda: Watcher.running == 1)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert Watcher.running == 0
    assert lease.given_up
