"""What a button asks for: once, before others, and again only where that may help."""

from __future__ import annotations

import dataclasses

import pytest

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import NotInArchive
from orthanc_mask2seg.jobs.ledger import SqlLedger
from orthanc_mask2seg.jobs.port import Job, JobState, Seen, Verdict
from orthanc_mask2seg.model import Refusal
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service.orders import Orders, Steps
from orthanc_mask2seg.service.sieve import passes_over
from orthanc_mask2seg.service.worker import make_runner
from tests.builders import study, to_bytes


class Queue:
    """A queue that works when it is told to."""

    def __init__(self):
        self.jobs = {}
        self.retried = []

    def enqueue(self, request):
        self.jobs.setdefault(request.key, Job(id=request.key, request=request, state=JobState.WAITING))
        return request.key

    def get(self, job_id):
        return self.jobs.get(job_id)

    def retry(self, job_id):
        self.retried.append(job_id)
        self.jobs[job_id] = dataclasses.replace(self.jobs[job_id], state=JobState.WAITING, result=None)
        return job_id

    def work(self, run):
        for job_id, job in list(self.jobs.items()):
            if job.state is JobState.WAITING:
                self.jobs[job_id] = dataclasses.replace(job, state=JobState.DONE, result=run(job.request))


class House:
    def __init__(self, folder):
        self.archive, self.ledger, self.queue, self.steps = MemoryArchive(), SqlLedger(folder), Queue(), Steps()
        settings = Settings()
        self.orders = Orders(self.archive, self.ledger, self.queue, self.sieve, self.steps)
        self.settings = settings
        self.run = make_runner(self.archive, self.ledger, settings, steps=self.steps)

    def sieve(self, series):
        return passes_over(self.archive, series, self.settings)

    def send(self, *instances):
        for instance in instances:
            self.archive.add(to_bytes(instance))

    def key(self, instance):
        return self.archive.find_series(instance.SeriesInstanceUID).key

    def remember(self, job_id, verdict, study_uid):
        job = self.queue.get(job_id)
        self.ledger.remember(
            Seen(
                series_key=job.request.series_key,
                series_instance_uid=job.request.series_instance_uid,
                study_instance_uid=study_uid,
                version=job.request.version,
                verdict=verdict,
                job_id=job_id,
            )
        )


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.ledger.close()


def test_pressed_twice_it_is_one_job_and_converted_it_is_shown(house):
    made = study()
    house.send(*made.image, *made.mask)
    key = house.key(made.mask[0])
    first = house.orders.convert_series(key)
    assert house.orders.convert_series(key).id == first.id
    assert first.request.named_as_mask
    assert first.request.origin == "button"
    house.queue.work(house.run)
    again = house.orders.convert_series(key)
    assert (again.id, again.state) == (first.id, JobState.DONE)
    assert house.queue.retried == []
    links = house.orders.job_document(again)["links"]
    [segmentation] = [s for s in house.archive.all_series() if s.modality == "SEG"]
    assert links == {
        "mask": key,
        "source": house.key(made.image[0]),
        "outputs": [segmentation.key],
        "made": [{"kind": "SEG", "series": segmentation.key, "file": None}],
    }


def test_what_the_watcher_has_converted_is_shown(house):
    made = study()
    house.send(*made.image, *made.mask)
    key = house.key(made.mask[0])
    [job] = house.orders.convert_study(house.archive.series(key).study_key)
    house.queue.work(house.run)
    house.remember(job.id, Verdict.CONVERTED, made.mask[0].StudyInstanceUID)
    assert house.orders.convert_series(key).id == job.id
    assert len(house.queue.jobs) == 1


def test_a_deleted_segmentation_is_made_again(house):
    made = study()
    house.send(*made.image, *made.mask)
    key = house.key(made.mask[0])
    first = house.orders.convert_series(key)
    house.queue.work(house.run)
    [segmentation] = [s for s in house.archive.all_series() if s.modality == "SEG"]
    house.archive.delete_instance(segmentation.instance_keys[0])
    assert house.orders.convert_series(key).state is JobState.WAITING
    assert house.queue.retried == [first.id]


def test_a_refusal_is_tried_again(house):
    made = study()
    house.send(*made.mask)
    key = house.key(made.mask[0])
    first = house.orders.convert_series(key)
    house.queue.work(house.run)
    assert house.queue.get(first.id).result["outcome"] == "refused"
    house.send(*made.image)
    again = house.orders.convert_series(key)
    assert (again.id, again.state) == (first.id, JobState.WAITING)
    house.queue.work(house.run)
    assert house.queue.get(first.id).result["outcome"] == "converted"


def test_a_person_says_that_it_is_a_mask(house):
    """The images themselves do not look like a mask: unnamed they are skipped, named they get a reason."""
    made = study()
    house.send(*made.image)
    key = house.key(made.image[0])
    assert house.orders.convert_study(house.archive.series(key).study_key) == ()
    job = house.orders.convert_series(key)
    house.queue.work(house.run)
    assert house.queue.get(job.id).result["outcome"] == "refused"


def test_a_segmentation_is_no_mask_and_knows_where_it_comes_from(house):
    made = study()
    house.send(*made.image, *made.mask)
    job = house.orders.convert_series(house.key(made.mask[0]))
    house.queue.work(house.run)
    house.remember(job.id, Verdict.CONVERTED, made.mask[0].StudyInstanceUID)
    [segmentation] = [s for s in house.archive.all_series() if s.modality == "SEG"]
    refused = house.orders.convert_series(segmentation.key)
    assert isinstance(refused, Refusal)
    assert "SEG" in refused.detail
    document = house.orders.series_document(segmentation.key)
    house.ledger.forget(house.key(made.mask[0]))
    assert house.orders.series_document(segmentation.key) == document, "also where the watcher has not seen the mask"
    assert document["convertible"] is False
    assert document["made_from"] == {
        "masks": [house.key(made.mask[0])], "source": house.key(made.image[0]), "job": job.id,
    }  # fmt: skip
    of_mask = house.orders.series_document(house.key(made.mask[0]))
    assert of_mask["made_from"] is None
    assert of_mask["job"]["links"]["outputs"] == [segmentation.key]


def test_the_step_of_a_running_job_is_told(house):
    made = study()
    house.send(*made.image, *made.mask)
    told = []
    job = house.orders.convert_series(house.key(made.mask[0]))
    begin = house.steps.begin
    house.steps.begin = lambda key, step: (told.append(step), begin(key, step))
    house.run(job.request)
    assert told == ["match", "read", "convert", "store"]
    assert house.steps.get(job.request.series_key) == ""


def test_what_is_not_there(house):
    with pytest.raises(NotInArchive):
        house.orders.convert_series("nowhere")
    with pytest.raises(NotInArchive):
        house.orders.convert_study("nowhere")


def test_a_person_chooses_among_the_images_that_were_weighed(house):
    """Two series of the same grid cannot be told apart: a refusal that a person may settle, and change again."""
    made, twin = study(), study().image
    for instance in twin:
        instance.SeriesInstanceUID = "1.2.3.4"
    house.send(*made.image, *made.mask, *twin)
    job = house.orders.convert_series(house.key(made.mask[0]))
    house.queue.work(house.run)
    assert house.queue.get(job.id).result["reason"] == "ambiguous_source"
    for source in ("1.2.3.4", str(made.image[0].SeriesInstanceUID)):
        refused = house.queue.get(job.id)
        assert house.orders.convert_on(refused, "1.2.3.5") is None
        chosen = house.orders.convert_on(refused, source)
        assert chosen.id != job.id
        house.queue.work(house.run)
        result = house.queue.get(chosen.id).result
        assert (result["outcome"], result["source_series_uid"]) == ("converted", source)
        assert len([s for s in house.archive.all_series() if s.modality == "SEG"]) == 1
    house.archive.delete(house.archive.find_series("1.2.3.4").key)
    gone = house.orders.convert_on(house.queue.get(job.id), "1.2.3.4")
    house.queue.work(house.run)
    assert (house.queue.get(gone.id).result["outcome"], house.queue.get(gone.id).result["reason"]) == (
        "skipped",
        "deleted",
    )


def test_images_that_lie_elsewhere_are_refused_whoever_names_them(house):
    made, other = study(), study().image
    for instance in other:
        instance.SeriesInstanceUID = "1.2.3.4"
        x, y, z = instance.ImagePositionPatient
        instance.ImagePositionPatient = [x + 40, y, z + 1.1]
        instance.SOPInstanceUID = f"{instance.SOPInstanceUID}.9"[-64:]
    house.send(*made.image, *made.mask, *other)
    job = house.orders.convert_series(house.key(made.mask[0]))
    house.queue.work(house.run)
    weighed = {one["series_uid"] for one in house.queue.get(job.id).result["candidates"]}
    assert "1.2.3.4" in weighed
    chosen = house.orders.convert_on(house.queue.get(job.id), "1.2.3.4")
    house.queue.work(house.run)
    result = house.queue.get(chosen.id).result
    assert (result["outcome"], result["reason"]) == ("refused", "geometry_mismatch")
    assert "stays" in result["detail"]
