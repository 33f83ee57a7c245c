"""Stand-ins for the watcher's neighbours: an archive that is only an index, a queue that only lists."""

from __future__ import annotations

from dataclasses import replace

from orthanc_mask2seg.errors import NotInArchive
from orthanc_mask2seg.jobs.port import Job, JobState
from orthanc_mask2seg.model import ArchiveKey, Change, Series, Uid
from orthanc_mask2seg.pacs.port import ChangesPage


class Index:
    """The index of an archive: series with so many instances, and a journal."""

    def __init__(self):
        self.held = {}
        self.journal = []
        self.fault = None
        self.broken = {}
        self.looks = 0
        self.updates = 0
        self.silent = False
        self.labels = {}
        self.notes = {}

    def _note(self, kind, key):
        if not self.silent:
            self.journal.append(Change(sequence=len(self.journal) + 1, kind=kind, key=ArchiveKey(key)))

    def put(self, key, count, study="study", modality="CT"):
        new = key not in self.held
        self.updates += 1
        keys = tuple(ArchiveKey(f"{key}-{i}") for i in range(count))
        self.held[key] = Series(
            key=ArchiveKey(key),
            series_instance_uid=Uid(f"1.{key}"),
            study_instance_uid=Uid(study),
            modality=modality,
            instance_keys=keys,
            last_update=str(self.updates),
        )
        for instance in keys:
            self._note("NewInstance", instance)
        if new:
            self._note("NewSeries", key)

    def delete(self, key):
        del self.held[key]

    def _check(self):
        self.looks += 1
        if self.fault is not None:
            raise self.fault

    def all_series(self):
        self._check()
        return iter(tuple(self.held.values()))

    def series(self, key):
        self._check()
        if key in self.broken:
            raise self.broken[key]
        if key not in self.held:
            raise NotInArchive
        return self.held[key]

    def find_series(self, uid):
        self._check()
        for series in self.held.values():
            if series.series_instance_uid == uid:
                return series
        raise NotInArchive

    def label(self, series, labels, among):
        self._check()
        assert labels <= among
        if labels:
            self.labels[series] = labels
        return True

    def keep_note(self, series, note):
        self._check()
        self.notes[series] = note
        return True

    def series_of_study(self, study):
        self._check()
        return tuple(s for s in self.held.values() if s.study_instance_uid == study)

    def changes(self, since, limit):
        self._check()
        found = tuple(c for c in self.journal if c.sequence > since)[:limit]
        last = found[-1].sequence if found else self.last_change()
        return ChangesPage(changes=found, last=last, done=last >= self.last_change())

    def last_change(self):
        return self.journal[-1].sequence if self.journal else 0


class Queue:
    """A queue in which jobs end when the test says so."""

    def __init__(self):
        self.jobs = {}
        self.asked = []
        self.retried = []
        self.before_asking = None
        self.before_return = None

    def enqueue(self, request, delay_seconds=0.0):
        assert delay_seconds == 0.0
        if self.before_asking is not None:
            raise self.before_asking
        self.asked.append(request)
        self.jobs.setdefault(request.key, Job(id=request.key, request=request, state=JobState.WAITING))
        if self.before_return is not None:
            raise self.before_return
        return request.key

    def retry(self, job_id):
        self.retried.append(job_id)
        self.jobs[job_id] = replace(self.jobs[job_id], state=JobState.WAITING, result=None)
        return job_id

    def get(self, job_id):
        return self.jobs.get(job_id)

    def end(self, request, outcome, reason=None):
        document = {"outcome": outcome, "reason": reason}
        self.jobs[request.key] = replace(self.jobs[request.key], state=JobState.DONE, result=document)
        return document
