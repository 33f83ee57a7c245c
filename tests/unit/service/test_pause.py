"""The pause: one tries, the others wait, nobody spends an attempt."""

import threading
import time

import pytest

from orthanc_mask2seg.errors import ArchiveBusy, ArchiveDenied, ArchiveFull, NotSupported
from orthanc_mask2seg.jobs.port import JobRequest
from orthanc_mask2seg.service.orders import Steps
from orthanc_mask2seg.service.pause import Pause


def request(key="mask"):
    return JobRequest(series_key=key, series_instance_uid="1.2", study_instance_uid="1.3", version="1")


class Site:
    """A PACS that takes nothing in until it is mended."""

    def __init__(self, fault):
        self.fault, self.tries, self.mended = fault, [], threading.Event()

    def run(self, asked):
        self.tries.append(asked.series_key)
        if not self.mended.is_set():
            raise self.fault
        return {"outcome": "converted"}


def in_threads(run, keys):
    answers = []
    threads = [threading.Thread(target=lambda key=key: answers.append(run(request(key)))) for key in keys]
    for thread in threads:
        thread.start()
    return threads, answers


@pytest.mark.parametrize("fault", [ArchiveFull(), ArchiveDenied()])
def test_jobs_keep_their_place_and_end_when_the_pacs_is_mended(fault):
    site, pause = Site(fault), Pause(threading.Event(), Steps(), first_seconds=0.05, longest=0.1)
    threads, answers = in_threads(pause.wrap(site.run), "abc")
    until(lambda: len(site.tries) > 6)
    assert pause.alarm().code == fault.code
    assert answers == []
    site.mended.set()
    for thread in threads:
        thread.join(20)
    assert answers == [{"outcome": "converted"}] * 3
    assert pause.alarm() is None


def test_only_one_tries_at_a_time():
    """Twenty jobs do not knock twenty times as often as one."""
    site, stop = Site(ArchiveFull()), threading.Event()
    pause = Pause(stop, Steps(), first_seconds=0.2, longest=0.2)
    run = pause.wrap(site.run)
    first, _ = in_threads(run, "a")
    until(pause.alarm)
    before, began = len(site.tries), time.monotonic()
    others, _ = in_threads(run, [str(n) for n in range(20)])
    until(lambda: len(site.tries) >= before + 4)
    assert time.monotonic() - began > 3 * 0.2
    site.mended.set()
    for thread in (*first, *others):
        thread.join(20)


def test_other_faults_are_nothing_to_wait_for():
    site, pause = Site(ArchiveBusy()), Pause(threading.Event(), Steps())
    with pytest.raises(ArchiveBusy):
        pause.wrap(site.run)(request())
    assert pause.alarm() is None


def test_another_fault_during_a_try_ends_that_job_alone():
    site, pause = Site(ArchiveFull()), Pause(threading.Event(), Steps(), first_seconds=0.05, longest=0.05)
    faults = []

    def run():
        try:
            pause.wrap(site.run)(request())
        except ArchiveBusy as error:
            faults.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    until(pause.alarm)
    site.fault = ArchiveBusy()
    thread.join(20)
    assert faults == [ArchiveBusy]
    assert pause.alarm() is not None
    site.mended.set()
    assert pause.wrap(site.run)(request("next")) == {"outcome": "converted"}
    assert pause.alarm() is None


def test_a_job_that_stores_nothing_proves_nothing():
    """A refusal gets through a full disk: the alarm stays until something is stored."""
    site, pause = Site(ArchiveFull()), Pause(threading.Event(), Steps(), first_seconds=0.2, longest=0.2)
    [thread], _ = in_threads(pause.wrap(site.run), "a")
    until(pause.alarm)
    assert pause.wrap(lambda _asked: {"outcome": "refused"})(request("b")) == {"outcome": "refused"}
    assert pause.alarm() is not None
    site.mended.set()
    thread.join(20)
    assert pause.alarm() is None


@pytest.mark.parametrize("over", ["skipped", "failed"])
def test_the_alarm_ends_with_the_last_job_that_met_what_it_is_for(over):
    """The masks that waited are deleted meanwhile: nothing is stored that would prove that there is room."""
    gone = threading.Event()

    def run(_asked):
        if not gone.is_set():
            raise ArchiveFull
        if over == "failed":
            raise NotSupported
        return {"outcome": over}

    pause = Pause(threading.Event(), Steps(), first_seconds=0.05, longest=0.05)
    wrapped, ended = pause.wrap(run), []

    def work(key):
        try:
            ended.append(wrapped(request(key)))
        except NotSupported as error:
            ended.append(error)

    threads = [threading.Thread(target=work, args=(key,)) for key in "ab"]
    for thread in threads:
        thread.start()
    until(pause.alarm)
    gone.set()
    for thread in threads:
        thread.join(20)
    assert len(ended) == 2
    assert pause.alarm() is None


def test_a_service_that_stops_does_not_wait():
    stop = threading.Event()
    site, pause = Site(ArchiveFull()), Pause(stop, Steps(), first_seconds=60.0)
    faults = []

    def run():
        try:
            pause.wrap(site.run)(request())
        except ArchiveFull as error:
            faults.append(error.code)

    thread = threading.Thread(target=run)
    thread.start()
    until(pause.alarm)
    stop.set()
    thread.join(5)
    assert faults == ["archive_full"]


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
