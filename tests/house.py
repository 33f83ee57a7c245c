"""A mask, its image, and what one job does with them: the real pipeline and ledger on an archive in memory."""

import io

from builders import Grid, blob, same_points, segments_of, study, to_bytes
from pydicom import dcmread

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import JobRequest
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.worker import make_runner

SECOND = blob(Grid(), centre=(0.4, 0.6, 0.3))
THIRD = blob(Grid(), centre=(0.6, 0.3, 0.7))


class Killed(BaseException):
    """kill -9, as far as the ledger and the archive can tell."""


class Archive(MemoryArchive):
    """Calls back at named moments, `before store` or `before store 2`: before and after a store, a deletion."""

    def __init__(self):
        super().__init__()
        self.moments = {}
        self.counts = {}
        self.labels = {}
        self.notes = {}

    def _now(self, moment):
        self.counts[moment] = self.counts.get(moment, 0) + 1
        act = self.moments.pop(f"{moment} {self.counts[moment]}", None)
        if act is not None:
            act()
        act = self.moments.pop(moment, None)
        if act is not None:
            act()

    def store(self, content):
        self._now("before store")
        receipt = super().store(content)
        self._now("after store")
        return receipt

    def delete_instance(self, instance):
        self._now("before delete")
        super().delete_instance(instance)
        self._now("after delete")

    def label(self, series, labels, among):
        assert labels <= among
        self.labels[series] = labels
        return True

    def keep_note(self, series, note):
        self.notes[series] = note
        return True

    def note(self, series):
        return self.notes.get(series)


class House:
    def __init__(self, folder, **settings):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.archive, self.ledger, self.settings = Archive(), SqlLedger(folder), Settings(**settings)
        self.made = study()
        for instance in (*self.made.image, *self.made.mask):
            self.archive.add(to_bytes(instance))
        self.mask_key = self.archive.find_series(self.made.mask[0].SeriesInstanceUID).key
        self.image_key = self.archive.find_series(self.made.image[0].SeriesInstanceUID).key

    def correct(self, labels):
        for instance in study(labels=labels).mask:
            self.archive.add(to_bytes(instance))

    def request(self, **more):
        series = self.archive.series(self.mask_key)
        return JobRequest(
            series_key=series.key,
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=series.study_instance_uid,
            version=series.version,
            rested=True,
            **more,
        )

    def run(self, request=None, ledger=None):
        return make_runner(self.archive, ledger or self.ledger, self.settings)(request or self.request())

    def other_ledger(self):
        """What another service knows, or this one after its state was lost: nothing."""
        (self.folder / "other").mkdir(exist_ok=True)
        return SqlLedger(self.folder / "other")

    def segs(self):
        found = [s for s in self.archive.all_series() if s.modality == "SEG"]
        return [dcmread(io.BytesIO(self.archive.content(key))) for s in found for key in s.instance_keys]

    def looks(self):
        return sorted((str(seg.SeriesDescription), str(seg.ContentLabel)) for seg in self.segs())

    def states(self):
        return sorted(row.state for row in self.ledger.stored(self.mask_key))


def killed():
    raise Killed


def delete(house, *keys):
    for key in keys:
        house.archive.delete(key)


def holds(seg, labels):
    buffer = io.BytesIO()
    seg.save_as(buffer)
    [found] = segments_of(buffer.getvalue()).values()
    return same_points(found, Grid().points(labels)[1])
