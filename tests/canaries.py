"""A value of its own in every attribute that may hold something of a patient, and where it came to light again."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from pydicom import Dataset
from pydicom.datadict import DicomDictionary, keyword_for_tag

KEPT = {
    "SpecificCharacterSet": "how text is encoded",
    "ImageType": "a fixed vocabulary that recognition reads",
    "Modality": "a fixed vocabulary that recognition reads",
    "InstanceCreationDate": "copied below, with the other dates",
    "QueryRetrieveLevel": "of messages, not of instances",
    "PhotometricInterpretation": "says what pixels are",
    "LossyImageCompression": "says what pixels are",
    "PatientPosition": "a fixed vocabulary that geometry reads",
    "RescaleType": "says what pixels are",
    "PixelPresentation": "a fixed vocabulary that geometry reads",
    "NumberOfFrames": "says what pixels are",
    "InstanceNumber": "an order",
    "SeriesNumber": "an order; it is shown to tell series apart",
    "SliceThickness": "geometry",
    "SpacingBetweenSlices": "geometry",
    "BurnedInAnnotation": "a fixed vocabulary",
    "TimezoneOffsetFromUTC": "a fixed format",
    "ConversionType": "a fixed vocabulary",
    "PatientSex": "a fixed vocabulary of one letter",
}
"""Attributes that keep what they have, and why."""

SEQUENCES = (
    "RequestAttributesSequence", "OtherPatientIDsSequence", "ReferencedPatientSequence",
    "OperatorIdentificationSequence", "PhysiciansOfRecordIdentificationSequence", "PatientPrimaryLanguageCodeSequence",
    "ScheduledProcedureStepSequence",
)  # fmt: skip
"""Where more of the patient stands: each gets an item full of canaries."""

SHOWN = {
    "SeriesDescription": "names the segment, and tells the candidates for a source apart: a person needs it",
}
"""Attributes that may come to light in documents about a job, and why."""

_TEXT = {"LO": 64, "SH": 16, "PN": 64, "LT": 64, "ST": 64, "UT": 64, "UC": 64, "AE": 16, "UR": 64}
_GROUPS = (0x0008, 0x0010, 0x0012, 0x0014, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040, 0x0088, 0x2200, 0x4000, 0x4008)
_FIRST = dt.date(1811, 1, 1)


def plant(data: Dataset) -> None:
    """Write a canary into every attribute of an instance that is a text, a name, an age or a date."""
    _plant_here(data)
    for keyword in SEQUENCES:
        item = Dataset()
        _plant_here(item)
        setattr(data, keyword, [item])
    data.add_new(0x00290010, "LO", "ZqPRIVATEZq")
    data.add_new(0x00291001, "LO", "ZqPRIVATE1Zq")
    data.PatientWeight = "73.91827364"


def _plant_here(data: Dataset) -> None:
    """Into one level of a data set."""
    for tag, (vr, vm, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 not in _GROUPS or not keyword or keyword in KEPT or keyword in SHOWN:
            continue
        value = canary(tag, vr)
        if value and not (vm.startswith(("2", "3", "4", "6"))):
            data.add_new(tag, vr, value)


def canary(tag: int, vr: str) -> str:
    """The value of one attribute: nothing else has it."""
    if vr in _TEXT:
        return f"Zq{tag:08x}Zq"
    if vr == "DA":
        return (_FIRST + dt.timedelta(days=tag % 36500)).strftime("%Y%m%d")
    if vr == "TM":
        return f"{tag % 24:02d}{tag % 60:02d}{tag % 59:02d}.{tag % 1000003:06d}"[:13]
    if vr == "DT":
        return f"{canary(tag, 'DA')}{canary(tag, 'TM')}"
    return f"{tag % 800 + 150:03d}W" if vr == "AS" else ""


_TEXTS = re.compile(rb"zq([0-9a-f]{8}|private1?)zq", re.IGNORECASE)


def sighted(*places: bytes) -> set[str]:
    """Keywords of the attributes whose canaries are in some bytes."""
    found = set()
    for place in places:
        for match in _TEXTS.findall(place):
            name = match.decode().lower()
            found.add(name if name.startswith("private") else keyword_for_tag(int(name, 16)))
        dates, ages = set(_DATES.findall(place)), set(_AGES.findall(place))
        for keyword, value in _DATED.items():
            text = value.encode()
            if text in dates or text in ages or (len(text) > _DATE_LENGTH and text in place):
                found.add(keyword)
    return found


def _dated() -> Iterable[tuple[str, str]]:
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if vr in {"DA", "TM", "DT", "AS"} and tag >> 16 in _GROUPS and keyword not in KEPT:
            yield keyword, canary(tag, vr)
    yield "PatientWeight", "73.91827364"


_DATE_LENGTH = 8
_DATES = re.compile(rb"(?<!\d)\d{8}(?!\d)")
_AGES = re.compile(rb"(?<![0-9A-Za-z])\d{3}W(?![0-9A-Za-z])")
_DATED = dict(_dated())
