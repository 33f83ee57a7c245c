"""Storing when a host stands still and wakes up late, when state is lost, and when somebody changes what is stored."""

import io

import pytest
from builders import Grid, blob, study, to_bytes
from house import SECOND, THIRD, House, Killed, delete, holds, killed
from pydicom import dcmread

from orthanc_mask2seg.errors import ArchiveUnreachable, ChangedMeanwhile, StoreMismatch

MOMENTS = ["before store", "after store", "before delete", "after delete"]
MODES = ["replaced", "kept", "versioned"]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def current(house):
    """SEGs that look current."""
    hidden = {key for key, labels in house.archive.labels.items() if "mask2seg-superseded" in labels}
    return [
        dcmread(io.BytesIO(house.archive.content(series.instance_keys[0])))
        for series in house.archive.all_series()
        if series.modality == "SEG" and series.key not in hidden and not series.series_description.startswith("SUPERS")
    ]


@pytest.mark.parametrize(
    ("earlier", "moment"),
    [(mode, moment) for mode in MODES for moment in MOMENTS if mode != "kept" or "store" in moment],
)
@pytest.mark.parametrize("taken_over", [False, True], ids=["stands still", "is taken over"])
def test_a_host_that_wakes_up_late_does_not_undo_what_was_done_since(tmp_path, earlier, moment, taken_over):
    """It stands still while its job is taken over, and the mask is corrected and converted."""
    house = House(tmp_path, earlier=earlier)
    house.run()
    house.correct(SECOND)
    late = house.request()

    def meanwhile():
        house.correct(THIRD)
        if taken_over:
            assert house.run(late)["reason"] == "superseded"
        house.run()

    house.archive.moments[moment] = meanwhile
    try:
        house.run(late)
    except ChangedMeanwhile:
        house.run(late)
    assert house.archive.moments == {}
    [seg] = current(house)
    assert holds(seg, THIRD)


@pytest.mark.parametrize("step", ["look", "settle"])
def test_a_host_that_wakes_up_after_its_last_look_leaves_the_newer_one(house, monkeypatch, step):
    late = house.request()
    honest = {"look": house.ledger.stored, "settle": house.ledger.exchange_stored}[step]
    calls = []

    def stand_still(*args):
        calls.append(1)
        if len(calls) == 2:  # the first one is before the store
            house.correct(SECOND)
            house.run()
        return honest(*args)

    monkeypatch.setattr(house.ledger, {"look": "stored", "settle": "exchange_stored"}[step], stand_still)
    try:
        house.run(late)
    except ChangedMeanwhile:
        house.run(late)
    [seg] = current(house)
    assert holds(seg, SECOND)
    assert house.states() == ["current"]


def test_a_host_that_wakes_up_late_leaves_the_same_content_that_came_again(house):
    """The mask was corrected and corrected back: the SEG of the late job is that of the newest one."""
    late = house.request()

    def meanwhile():
        house.correct(SECOND)
        house.run()
        house.correct(blob(Grid()))
        house.run()

    house.archive.moments["before store"] = meanwhile
    assert house.run(late)["reason"] == "superseded"
    [seg] = current(house)
    assert holds(seg, blob(Grid()))
    assert house.states() == ["current"]


@pytest.mark.parametrize("moment", ["before store 2", "after store 2", "before store 3", "after store 3"])
@pytest.mark.parametrize("ends", [False, True], ids=["goes on", "ends suddenly"])
def test_a_study_that_is_deleted_while_its_outputs_are_stored_does_not_come_back(tmp_path, moment, ends):
    house = House(tmp_path, outputs=("seg", "sr", "rtstruct"))
    asked = house.request()

    def meanwhile():
        delete(house, *(series.key for series in house.archive.all_series()))
        if ends and "before" not in moment:
            raise Killed

    house.archive.moments[moment] = meanwhile
    try:
        house.run(asked)
    except Killed:
        house.run(asked)
    assert list(house.archive.all_series()) == []


def test_an_output_that_was_stored_at_a_sudden_end_goes_when_the_study_went(tmp_path):
    house = House(tmp_path, outputs=("seg", "sr"))
    asked = house.request()
    house.archive.moments["after store 2"] = killed
    with pytest.raises(Killed):
        house.run(asked)
    keys = [series.key for series in house.archive.all_series() if series.modality != "SR"]
    delete(house, *keys)
    assert house.run(asked)["reason"] == "deleted"
    assert list(house.archive.all_series()) == []


def test_outputs_are_stored_once_and_go_with_their_seg(tmp_path):
    house = House(tmp_path, outputs=("seg", "sr", "rtstruct"))
    house.run()
    first = {s.series_instance_uid for s in house.archive.all_series() if s.modality in {"SR", "RTSTRUCT"}}
    house.run()
    assert {s.series_instance_uid for s in house.archive.all_series() if s.modality in {"SR", "RTSTRUCT"}} == first
    house.correct(SECOND)
    house.run()
    second = {s.series_instance_uid for s in house.archive.all_series() if s.modality in {"SR", "RTSTRUCT"}}
    assert (len(first), len(second), first & second) == (2, 2, set())


@pytest.mark.parametrize("earlier", MODES)
def test_a_seg_that_a_person_has_edited_in_place_is_not_deleted(tmp_path, earlier):
    house = House(tmp_path, earlier=earlier)
    key = house.run()["outputs"][0]["orthanc_id"]
    edited = dcmread(io.BytesIO(house.archive.content(key)))
    edited.SeriesDescription = "Checked by a radiologist"
    house.archive.add(to_bytes(edited))
    before = house.archive.content(key)
    house.correct(SECOND)
    document = house.run()
    assert house.archive.content(key) == before
    assert [one["state"] for one in document["earlier"]] == ["superseded" if earlier == "kept" else "edited"]
    house.correct(THIRD)
    house.run()
    assert house.archive.content(key) == before


def test_what_somebody_else_stored_in_the_same_place_is_not_taken_back(house):
    key = house.run()["outputs"][0]["orthanc_id"]
    foreign = dcmread(io.BytesIO(house.archive.content(key)))
    delete(house, key)
    foreign.SeriesDescription = "Of somebody else"
    asked = house.request(named_as_mask=True)
    house.archive.moments["before store"] = lambda: house.archive.add(to_bytes(foreign))
    with pytest.raises(StoreMismatch):
        house.run(asked)
    delete(house, house.mask_key)
    assert house.run(asked)["reason"] == "deleted"
    assert dcmread(io.BytesIO(house.archive.content(key))).SeriesDescription == "Of somebody else"


@pytest.mark.parametrize("earlier", ["kept", "versioned"])
def test_two_services_count_versions_alike_though_one_has_seen_fewer(tmp_path, earlier):
    house = House(tmp_path, earlier=earlier)
    house.run()
    house.correct(SECOND)
    house.run()
    house.correct(THIRD)
    other = house.other_ledger()
    there = house.run(ledger=other)["outputs"]
    here = house.run()["outputs"]
    assert [one["sop_instance_uid"] for one in there] == [one["sop_instance_uid"] for one in here]
    [seg] = current(house)
    assert (str(seg.ContentLabel), holds(seg, THIRD)) == ("VERSION_3", True)


@pytest.mark.parametrize("earlier", MODES)
def test_the_same_mask_after_the_state_was_lost_is_the_same_seg(tmp_path, earlier):
    house = House(tmp_path, earlier=earlier)
    for labels in (SECOND, THIRD):
        house.run()
        house.correct(labels)
    first, looks = house.run()["outputs"], house.looks()
    assert house.run(ledger=house.other_ledger())["outputs"] == first
    assert house.looks() == looks


@pytest.mark.parametrize("earlier", MODES)
def test_a_correction_after_the_state_was_lost_leaves_one_that_looks_current(tmp_path, earlier):
    house = House(tmp_path, earlier=earlier)
    house.run()
    house.correct(SECOND)
    house.run(ledger=house.other_ledger())
    [seg] = current(house)
    assert holds(seg, SECOND)


def test_what_a_person_edited_is_left_alone_when_the_state_was_lost(house):
    key = house.run()["outputs"][0]["orthanc_id"]
    edited = dcmread(io.BytesIO(house.archive.content(key)))
    edited.SeriesDescription = "Checked by a radiologist"
    house.archive.add(to_bytes(edited))
    house.correct(SECOND)
    house.run(ledger=house.other_ledger())
    assert dcmread(io.BytesIO(house.archive.content(key))).SeriesDescription == "Checked by a radiologist"
    assert len(house.segs()) == 2


def test_a_merged_group_in_which_another_mask_has_changed_is_done_again(tmp_path):
    house = House(tmp_path, merge="study")
    second = study(labels=SECOND).mask
    for instance in second:
        instance.SeriesInstanceUID, instance.SOPInstanceUID = "2.25.77", f"2.25.77.{instance.InstanceNumber}"
        house.archive.add(to_bytes(instance))
    asked = house.request()

    def meanwhile():
        for instance in second:
            house.archive.add(to_bytes(instance))

    house.archive.moments["before store"] = meanwhile
    with pytest.raises(ChangedMeanwhile):
        house.run(asked)
    document = house.run(asked)
    assert document["outcome"] == "converted"
    assert len(house.segs()) == 1


@pytest.mark.parametrize("what", ["mask", "image"])
def test_the_seg_of_another_service_stays_when_mask_or_image_are_deleted_after_it(house, what):
    """The other one has told people that it is converted, and a deletion after that deletes no SEG."""
    key = {"mask": house.mask_key, "image": house.image_key}[what]

    def meanwhile():
        house.run(ledger=house.other_ledger())

    house.archive.moments["before store"] = meanwhile
    house.archive.moments["after store 2"] = lambda: delete(house, key)
    document = house.run()
    assert (document["outcome"], document["reason"]) == ("skipped", "deleted")
    assert len(house.segs()) == 1
    assert house.states() == []


def test_a_host_that_wakes_up_amid_a_deletion_puts_back_what_came_again(house):
    """The mask was sent again as it was, and converted, between the late host's look and its deletion."""
    late = house.request()
    house.archive.moments["after store"] = lambda: house.correct(blob(Grid()))
    house.archive.moments["before delete"] = house.run
    assert house.run(late)["reason"] == "superseded"
    [seg] = current(house)
    assert holds(seg, blob(Grid()))
    assert house.states() == ["current"]


def test_a_late_host_leaves_what_a_newer_job_is_about_to_make_current(house, monkeypatch):
    """The mask was corrected after its last look, and the newer job has stored, and not said so yet."""
    late, looks, stored = house.request(), [], house.ledger.stored

    def meanwhile():
        house.correct(THIRD)
        house.archive.moments["after store 2"] = killed
        with pytest.raises(Killed):
            house.run()

    def looked(key):
        looks.append(key)
        if len(looks) == 2:
            meanwhile()
        return stored(key)

    monkeypatch.setattr(house.ledger, "stored", looked)
    with pytest.raises(ChangedMeanwhile):
        house.run(late)
    assert any(holds(seg, THIRD) for seg in current(house)), "the newer one is there"
    assert house.run(late)["reason"] == "superseded"
    assert house.run()["outcome"] == "converted"
    [seg] = current(house)
    assert holds(seg, THIRD)
    assert house.states() == ["current"]


def test_what_a_late_host_stores_without_an_answer_is_written_down_again(house):
    """Who took its job over found nothing there and let it be; the reply to the store is lost."""
    late = house.request()

    def meanwhile():
        house.correct(THIRD)
        assert house.run(late)["reason"] == "superseded"
        assert house.states() == []

    def lost():
        raise ArchiveUnreachable

    house.archive.moments["before store"] = meanwhile
    house.archive.moments["after store"] = lost
    with pytest.raises(ArchiveUnreachable):
        house.run(late)
    assert house.states() == ["announced"]
    assert house.run(late)["reason"] == "superseded"
    assert house.run()["outcome"] == "converted"
    [seg] = current(house)
    assert holds(seg, THIRD)


def test_a_host_deletes_nothing_where_there_is_nothing(house):
    """What it would take back is gone: what comes to that address while it stands still is another job's."""
    late = house.request()

    def meanwhile():
        house.correct(THIRD)
        delete(house, *(series.key for series in house.archive.all_series() if series.modality == "SEG"))

    def again():
        house.correct(blob(Grid()))
        house.run()

    house.archive.moments["after store"] = meanwhile
    house.archive.moments["before delete"] = again
    assert house.run(late)["reason"] == "superseded"
    assert house.archive.moments.pop("before delete", None) is again, "nothing was deleted"
    again()
    [seg] = current(house)
    assert holds(seg, blob(Grid()))


def test_a_host_that_wakes_up_after_its_job_was_done_and_the_study_deleted_brings_nothing_back(house):
    late = house.request()

    def meanwhile():
        assert house.run(late)["outcome"] == "converted"
        delete(house, *(series.key for series in house.archive.all_series()))

    house.archive.moments["before store"] = meanwhile
    assert house.run(late)["reason"] == "deleted"
    assert list(house.archive.all_series()) == []


def test_two_hosts_of_one_job_of_which_one_never_wakes_up_leave_nothing_of_an_old_version(house):
    """The one has stored and is gone for good; the other finds it there, and the mask corrected."""
    late = house.request()

    def meanwhile():
        house.archive.moments["after store"] = killed
        with pytest.raises(Killed):
            house.run(late)
        house.correct(SECOND)

    house.archive.moments["before store"] = meanwhile
    assert house.run(late)["reason"] == "superseded"
    house.run()
    [seg] = house.segs()
    assert holds(seg, SECOND)
    assert house.states() == ["current"]


def test_a_late_store_that_is_followed_by_a_fault_is_taken_back_by_the_next_attempt(house, monkeypatch):
    late = house.request()
    honest = house.archive.series_of_study

    def away(_study):
        raise ArchiveUnreachable

    def meanwhile():
        house.correct(SECOND)
        assert house.run(late)["reason"] == "superseded"
        house.run()
        monkeypatch.setattr(house.archive, "series_of_study", away)

    house.archive.moments["before store"] = meanwhile
    with pytest.raises(ArchiveUnreachable):
        house.run(late)
    monkeypatch.setattr(house.archive, "series_of_study", honest)
    assert house.run(late)["reason"] == "superseded"
    [seg] = house.segs()
    assert holds(seg, SECOND)
    assert house.states() == ["current"]
