"""Storing for the service, with the real pipeline on an archive in memory: corrected masks, deletions, sudden ends."""

import pytest
from builders import Grid, blob, study, to_bytes
from house import SECOND, THIRD, House, Killed, delete, holds, killed

from orthanc_mask2seg.errors import ArchiveDamaged, ArchiveForbidden, ArchiveRejected, NotSupported
from orthanc_mask2seg.jobs.port import StoredState
from orthanc_mask2seg.service.retiring import SUPERSEDED


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_a_corrected_mask_replaces_and_says_so(house):
    first = house.run()["outputs"][0]
    house.correct(SECOND)
    document = house.run()
    [seg] = house.segs()
    assert holds(seg, SECOND)
    [earlier] = document["earlier"]
    assert (earlier["sop_instance_uid"], earlier["state"]) == (first["sop_instance_uid"], "deleted")
    assert house.states() == ["current"]


def test_kept_versions_say_their_number_and_stay_byte_for_byte(tmp_path):
    house = House(tmp_path, earlier="kept")
    first = house.run()["outputs"][0]
    before = house.archive.content(first["orthanc_id"])
    house.correct(SECOND)
    house.run()
    house.correct(THIRD)
    document = house.run()
    assert house.archive.content(first["orthanc_id"]) == before
    assert [label for _, label in house.looks()] == ["SEGMENTATION", "VERSION_2", "VERSION_3"]
    assert len({description for description, _ in house.looks()}) == 3
    assert [e["state"] for e in document["earlier"]] == ["superseded"]
    [newest] = [seg for seg in house.segs() if seg.ContentLabel == "VERSION_3"]
    assert newest.SeriesDescription.endswith(" (version 3)")
    assert holds(newest, THIRD)
    marked = [key for key, labels in house.archive.labels.items() if labels == {"mask2seg-superseded"}]
    current = house.archive.find_series(newest.SeriesInstanceUID).key
    assert len(marked) == 2
    assert current not in marked


def test_versioned_marks_the_earlier_ones_in_dicom(tmp_path):
    house = House(tmp_path, earlier="versioned")
    house.run()
    for labels in (SECOND, THIRD):
        house.correct(labels)
        house.run()
    looks = house.looks()
    assert [label for _, label in looks].count("SUPERSEDED") == 2
    assert [d for d, label in looks if label != "SUPERSEDED"] == [
        d for d, _ in looks if d.endswith("(version 3)") and not d.startswith("SUPERSEDED")
    ]
    for seg, labels in zip(
        sorted(house.segs(), key=lambda s: (s.ContentLabel != "SUPERSEDED", "version 2" in s.SeriesDescription)),
        (blob(Grid()), SECOND, THIRD),
        strict=True,
    ):
        assert holds(seg, labels), seg.SeriesDescription
        assert seg.file_meta.MediaStorageSOPInstanceUID == seg.SOPInstanceUID


@pytest.mark.parametrize("earlier", ["replaced", "kept", "versioned"])
def test_the_same_mask_again_is_the_same_seg(tmp_path, earlier):
    house = House(tmp_path, earlier=earlier)
    house.run()
    house.correct(SECOND)
    first = house.run()
    looks = house.looks()
    house.correct(SECOND)  # sent again: another version of the series, the same content
    again = house.run()
    assert again["outputs"] == first["outputs"]
    assert house.looks() == looks
    assert again["earlier"] == []


@pytest.mark.parametrize("earlier", ["kept", "versioned"])
def test_a_correction_taken_back_is_a_version_too(tmp_path, earlier):
    house = House(tmp_path, earlier=earlier)
    for labels in (None, SECOND, blob(Grid())):
        if labels is not None:
            house.correct(labels)
        house.run()
    [newest] = [s for s in house.segs() if s.ContentLabel == "VERSION_3"]
    assert holds(newest, blob(Grid()))
    assert len(house.segs()) == 3


@pytest.mark.parametrize("earlier", ["replaced", "kept", "versioned"])
@pytest.mark.parametrize("moment", ["before store", "after store", "before delete", "after delete"])
def test_a_sudden_end_heals_when_the_job_runs_again(tmp_path, earlier, moment):
    """Killed between any two steps, the second version ends as if nothing had happened."""
    calm = House(tmp_path / "calm", earlier=earlier)
    house = House(tmp_path / "killed", earlier=earlier)
    for each in (calm, house):
        each.run()
        each.correct(SECOND)
    calm.run()
    house.archive.moments[moment] = killed
    try:
        house.run()
    except Killed:
        house.run()
    assert house.looks() == calm.looks()
    assert house.states() == calm.states()


@pytest.mark.parametrize("moment", ["after store", "before delete", "after delete"])
def test_a_sudden_end_heals_though_the_mask_has_changed_again(house, moment):
    """The interrupted version is never asked for again, and must not stay beside the next one."""
    house.run()
    house.correct(SECOND)
    house.archive.moments[moment] = killed
    interrupted = house.request()
    with pytest.raises(Killed):
        house.run()
    house.correct(THIRD)
    assert house.run(interrupted)["reason"] == "superseded"
    house.run()
    [seg] = house.segs()
    assert holds(seg, THIRD)
    assert house.states() == ["current"]


@pytest.mark.parametrize("moment", ["before store", "after store"])
@pytest.mark.parametrize("what", ["mask", "image", "study"])
def test_what_is_deleted_meanwhile_gets_no_seg(house, moment, what):
    """Not even for a moment after the job: a deleted study is not there again."""
    keys = {"mask": [house.mask_key], "image": [house.image_key], "study": [house.mask_key, house.image_key]}[what]
    house.archive.moments[moment] = lambda: delete(house, *keys)
    document = house.run()
    assert (document["outcome"], document["reason"]) == ("skipped", "deleted")
    assert house.segs() == []
    assert house.states() == []
    if what == "study":
        assert list(house.archive.all_series()) == []


def test_a_study_deleted_after_a_sudden_end_is_not_resurrected(house):
    house.archive.moments["after store"] = killed
    asked = house.request()
    with pytest.raises(Killed):
        house.run()
    assert [row.state for row in house.ledger.announced(asked.key)] == [StoredState.ANNOUNCED]
    delete(house, house.mask_key, house.image_key)
    assert house.run(asked)["reason"] == "deleted"
    assert list(house.archive.all_series()) == []


def test_a_refusal_after_a_sudden_end_leaves_what_was_stored(house):
    """It may be another service's, which has told its user of it: what would not be made now is no reason to delete."""
    house.run()
    house.correct(SECOND)
    house.archive.moments["after store"] = killed
    asked = house.request()
    with pytest.raises(Killed):
        house.run()
    assert house.states() == ["announced", "current"]
    delete(house, house.image_key)
    document = house.run(asked)
    assert document["outcome"] == "refused"
    assert [e["state"] for e in document["earlier"]] == ["standing, its source is deleted"]
    [seg] = house.segs()
    assert holds(seg, SECOND)
    assert house.states() == ["current"]


def test_a_refusal_after_a_store_that_came_to_nothing_has_no_seg(house):
    house.archive.moments["before store"] = killed
    asked = house.request()
    with pytest.raises(Killed):
        house.run()
    delete(house, house.image_key)
    document = house.run(asked)
    assert (document["outcome"], document["earlier"]) == ("refused", [])
    assert house.states() == []


def test_a_damaged_seg_of_a_sudden_end_is_taken_back_by_a_refusal(house, monkeypatch):
    house.archive.moments["after store"] = killed
    asked = house.request()
    with pytest.raises(Killed):
        house.run()
    delete(house, house.image_key)

    honest, [damaged] = house.archive.content, house.ledger.announced(asked.key)

    def content(key):
        if key == damaged.orthanc_id:
            raise ArchiveDamaged
        return honest(key)

    monkeypatch.setattr(house.archive, "content", content)
    assert house.run(asked)["outcome"] == "refused"
    assert house.states() == []
    assert [s for s in house.archive.all_series() if s.modality == "SEG"] == []


def test_a_seg_that_is_there_is_not_sent_again(house):
    """What is not sent cannot bring back a study that is deleted at that moment."""
    first = house.run()
    house.archive.moments["before store"] = killed
    again = house.run()
    assert again["outputs"] == first["outputs"]
    assert house.states() == ["current"]


def test_a_study_deleted_while_its_seg_is_stored_again_is_not_resurrected(house):
    """Somebody had deleted the SEG, so it is made once more; the end comes between the store and the look after it."""
    asked = house.request()
    house.run(asked)
    [seg] = [s.key for s in house.archive.all_series() if s.modality == "SEG"]
    delete(house, seg)
    house.archive.moments["before store"] = lambda: delete(house, house.mask_key, house.image_key)
    house.archive.moments["after store"] = killed
    with pytest.raises(Killed):
        house.run(asked)
    assert house.run(asked)["reason"] == "deleted"
    assert list(house.archive.all_series()) == []


def test_a_mask_that_changes_before_the_store_is_left_to_its_next_job(house, monkeypatch):
    asked = house.request()
    address_of = house.archive.address_of

    def changing(content):
        house.correct(SECOND)
        return address_of(content)

    monkeypatch.setattr(house.archive, "address_of", changing)
    assert house.run(asked)["reason"] == "superseded"
    assert house.segs() == []


@pytest.mark.parametrize("fault", [NotSupported, ArchiveForbidden, ArchiveRejected])
def test_an_archive_that_cannot_delete_keeps_what_was_superseded(house, monkeypatch, fault):
    """The new SEG is there, so the job is done; the old one is labelled, and not tried again."""

    def refuse(_instance):
        raise fault

    house.run()
    house.correct(SECOND)
    monkeypatch.setattr(house.archive, "delete_instance", refuse)
    document = house.run()
    assert (document["outcome"], document["earlier"][0]["state"]) == ("converted", "superseded")
    assert house.states() == ["current", "superseded"]
    assert [labels for labels in house.archive.labels.values() if SUPERSEDED in labels]
    house.correct(THIRD)
    assert [e["sop_instance_uid"] for e in house.run()["earlier"]] == [document["outputs"][0]["sop_instance_uid"]]


def test_a_second_equal_image_leaves_the_seg_and_says_so(house):
    first = house.run()["outputs"][0]
    twin = study().image
    for instance in twin:
        instance.SeriesInstanceUID = "1.2.3.4"
        house.archive.add(to_bytes(instance))
    document = house.run(house.request(study_version="later"))
    assert (document["outcome"], document["reason"]) == ("refused", "ambiguous_source")
    [earlier] = document["earlier"]
    assert (earlier["sop_instance_uid"], earlier["state"]) == (first["sop_instance_uid"], "standing")
    assert earlier["source_series_uid"] == house.made.image[0].SeriesInstanceUID
    assert "stays" in document["detail"]
    assert house.archive.labels[house.mask_key] == {"mask2seg-mask", "mask2seg-converted", "mask2seg-refused"}
    assert len(house.segs()) == 1


def test_a_deleted_image_leaves_the_seg_and_says_so(house):
    house.run()
    delete(house, house.image_key)
    document = house.run(house.request(study_version="later"))
    assert document["outcome"] != "converted"
    assert [e["state"] for e in document["earlier"]] == ["standing, its source is deleted"]
    assert "deleted" in document["detail"]
    assert len(house.segs()) == 1


def test_merged_masks_are_one_version_together(tmp_path):
    house = House(tmp_path, merge="study")
    house.run()
    house.correct(SECOND)
    house.run()
    [seg] = house.segs()
    assert holds(seg, SECOND)
