"""From activity concentration to standardised uptake values by body weight (SUVbw), where the tags allow.

The decay is counted from the injection to the time that the images are corrected to: DecayCorrection START is the start
of the series, ADMIN the injection itself (PS3.3 C.8.9.1).
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from pydicom import Dataset

PHILIPS_SUV_FACTOR = (0x7053, 0x1000)
"""Private element of Philips: the factor from stored and rescaled counts to SUV."""

LONGEST_UPTAKE = timedelta(hours=24)


def suv_factor(header: Dataset) -> float | str:
    """Factor from rescaled values to SUVbw in g/ml, or what is missing.

    Parameters
    ----------
    header
        Full header of a PET image.
    """
    units = str(header.get("Units") or "").upper()
    if units == "GML":
        kind = str(header.get("SUVType") or "BW")
        return 1.0 if kind == "BW" else f"SUVType is {kind}"
    if units == "CNTS":
        element = header.get(PHILIPS_SUV_FACTOR)
        factor = _number(element.value if element is not None else None)
        return factor or "Units is CNTS, and no factor to SUV is given"
    if units != "BQML":
        return f"Units is {units}" if units else "Units is missing"
    corrected = set(header.get("CorrectedImage") or ())
    if not {"ATTN", "DECY"} <= corrected:
        return "CorrectedImage lacks ATTN or DECY"
    return _from_activity(header)


def _from_activity(header: Dataset) -> float | str:
    weight = _number(header.get("PatientWeight"))
    items = header.get("RadiopharmaceuticalInformationSequence") or [Dataset()]
    dose, half_life = (_number(items[0].get(k)) for k in ("RadionuclideTotalDose", "RadionuclideHalfLife"))
    if not weight:
        return "PatientWeight is missing"
    if not dose or not half_life:
        return "RadionuclideTotalDose or RadionuclideHalfLife is missing"
    correction = str(header.get("DecayCorrection") or "")
    if correction == "ADMIN":
        return weight * 1000 / dose
    if correction != "START":
        return f"DecayCorrection is {correction or 'missing'}"
    uptake = _uptake(header, items[0])
    if isinstance(uptake, str):
        return uptake
    return weight * 1000 / (dose * math.pow(2, -uptake.total_seconds() / half_life))


def _uptake(header: Dataset, radiopharmaceutical: Dataset) -> timedelta | str:
    """Time from the injection to what the images are decay-corrected to."""
    start = _moment(header.get("SeriesDate"), header.get("SeriesTime"))
    acquired = _moment(header.get("AcquisitionDate"), header.get("AcquisitionTime"))
    if start is None or (acquired is not None and start > acquired):
        return "the start of the acquisition is not known (SeriesTime is missing, or later than AcquisitionTime)"
    stamp = str(radiopharmaceutical.get("RadiopharmaceuticalStartDateTime") or "")
    injected = _moment(stamp[:8], stamp[8:])
    if injected is None:
        injected = _moment(header.get("SeriesDate"), radiopharmaceutical.get("RadiopharmaceuticalStartTime"))
        if injected is not None and injected > start:
            injected -= timedelta(days=1)  # injected before midnight
    if injected is None:
        return "the time of the injection is missing"
    uptake = start - injected
    return uptake if timedelta(0) <= uptake <= LONGEST_UPTAKE else "the injection was not within a day before the scan"


def _moment(date: Any, time: Any) -> datetime | None:
    try:
        return datetime.strptime(f"{date}{str(time)[:6]}", "%Y%m%d%H%M%S")  # noqa: DTZ007 - DICOM's local time
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
