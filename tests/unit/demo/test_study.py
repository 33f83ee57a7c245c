import subprocess
from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread

from orthanc_mask2seg.demo.study import make_study, study_instance_uid, to_bytes

WHEN = datetime(2026, 11, 20, 23, 58, 30, tzinfo=UTC)
DIFFERENT = {"SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "PixelData"}


@pytest.fixture(scope="module")
def study():
    return make_study(3, 12, 128, moment=WHEN)


def test_same_input_gives_the_same_bytes(study):
    again = make_study(3, 12, 128, moment=WHEN)
    for old, new in zip((*study.ct, *study.mask), (*again.ct, *again.mask), strict=True):
        assert to_bytes(old) == to_bytes(new)


def test_the_moment_changes_dates_and_ages_only(study):
    later = make_study(3, 12, 128, moment=WHEN + timedelta(days=400))
    for old, new in zip(study.ct, later.ct, strict=True):
        changed = {e.keyword for e in old if new[e.tag] != e}
        assert changed <= {n for n in dir(old) if n.endswith(("Date", "Time"))} | {"PatientAge"}
        assert old.SOPInstanceUID == new.SOPInstanceUID


def test_times_run_on_over_midnight(study):
    times = [d.AcquisitionDate + d.AcquisitionTime for d in study.ct]
    assert times == sorted(times)
    assert times[0].startswith("20261121")
    assert study.ct[0].StudyDate == "20261120"


def test_mask_is_a_copy_but_for_the_named_elements(study):
    for image, mask in zip(study.ct, study.mask, strict=True):
        assert [e.tag for e in image] == [e.tag for e in mask]
        assert {e.keyword for e in image if mask[e.tag] != e} <= DIFFERENT
        assert image.SOPInstanceUID == mask.SOPInstanceUID
        assert mask.RescaleIntercept == -1024


def test_mask_pixels_are_the_labels(study):
    stack = sorted(study.mask, key=lambda d: d.ImagePositionPatient[2])
    stored = np.stack([dcmread(BytesIO(to_bytes(d))).pixel_array for d in stack])
    assert set(np.unique(stored)) == {0, 1}
    assert np.array_equal(stored == 1, study.labels)


def test_volume_is_that_of_the_voxels(study):
    assert study.tumour_volume_mm3 == pytest.approx(study.labels.sum() * 3.0 * (380 / 128) ** 2, rel=1e-5)


def test_positions_are_even_and_thickness_is_not_the_spacing(study):
    z = [float(d.ImagePositionPatient[2]) for d in study.ct]
    assert np.allclose(np.diff(z), -3.0)
    assert {float(d.SliceThickness) for d in study.ct} == {4.0}
    assert [d.InstanceNumber for d in study.ct] == list(range(1, 13))


def test_identifiers_come_from_seed_and_size(study):
    assert study_instance_uid(3, 12, 128) == study.study_instance_uid == study.ct[0].StudyInstanceUID
    assert study_instance_uid(4, 12, 128) != study.study_instance_uid
    other = make_study(4, 12, 128, moment=WHEN)
    assert other.ct[0].PatientID != study.ct[0].PatientID
    uids = {d.SOPInstanceUID for d in (*study.ct, *other.ct)}
    assert len(uids) == 24


def test_dciodvfy_finds_nothing_but_the_private_elements(study, dicom3tools, tmp_path):
    for name, dataset in (("ct", study.ct[0]), ("mask", study.mask[6])):
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(to_bytes(dataset))
        done = subprocess.run([dicom3tools.dciodvfy, path], capture_output=True, text=True, check=False)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("(0x0029,")]
        assert lines == ["CTImage"]
