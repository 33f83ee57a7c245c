"""SUV where the tags allow, and the missing tag by name where they do not."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from orthanc_mask2seg.outputs.suv import suv_factor

HALF_LIFE_S = 6586.2


def pet(**tags: object) -> Dataset:
    header, dose = Dataset(), Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = "370000000", str(HALF_LIFE_S)
    dose.RadiopharmaceuticalStartTime = "100000"
    header.Units, header.CorrectedImage, header.DecayCorrection = "BQML", ["ATTN", "DECY"], "START"
    header.PatientWeight = "74"
    header.SeriesDate = header.AcquisitionDate = "20260102"
    header.SeriesTime = header.AcquisitionTime = "110000"
    header.RadiopharmaceuticalInformationSequence = [dose]
    for name, value in tags.items():
        setattr(header, name, value)
    return header


def test_the_dose_decays_until_the_scan() -> None:
    decayed = 370e6 * 2 ** (-3600 / HALF_LIFE_S)
    assert suv_factor(pet()) == pytest.approx(74_000 / decayed)


def test_decay_corrected_to_the_injection() -> None:
    assert suv_factor(pet(DecayCorrection="ADMIN")) == pytest.approx(74_000 / 370e6)


def test_an_injection_before_midnight() -> None:
    header = pet(SeriesTime="003000", AcquisitionTime="003000")
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = "233000"
    assert suv_factor(header) == pytest.approx(suv_factor(pet()))


@pytest.mark.parametrize("time", ["10", "1000", "100000", "100000.5", "100000.123456 "])
def test_times_without_seconds_are_what_they_say(time: str) -> None:
    header = pet()
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = time
    assert suv_factor(header) == pytest.approx(suv_factor(pet()), rel=1e-3)


@pytest.mark.parametrize("time", ["930", "1", "10:00", "noon", "250000"])
def test_a_time_that_is_none_is_not_guessed(time: str) -> None:
    header = pet()
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = time
    assert "injection" in str(suv_factor(header))


def test_a_slow_nuclide_is_imaged_days_later() -> None:
    header = pet()
    header.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife = "282240"  # Zr-89
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20251230110000.00+0100"
    decayed = 370e6 * 2 ** (-3 * 86400 / 282240)
    assert suv_factor(header) == pytest.approx(74_000 / decayed)
    header.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife = str(HALF_LIFE_S)
    assert "too long" in str(suv_factor(header))


def test_images_in_suv_already() -> None:
    assert suv_factor(pet(Units="GML")) == 1.0


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"PatientWeight": None}, "PatientWeight"),
        ({"Units": "CNTS"}, "CNTS"),
        ({"CorrectedImage": ["ATTN"]}, "CorrectedImage"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection"),
        ({"SeriesTime": "113000"}, "start of the acquisition"),
        ({"RadiopharmaceuticalInformationSequence": []}, "RadionuclideTotalDose"),
        ({"Units": "GML", "SUVType": "LBM"}, "LBM"),
    ],
)
def test_what_is_missing_is_named(tags: dict[str, object], word: str) -> None:
    found = suv_factor(pet(**tags))
    assert isinstance(found, str)
    assert word in found
