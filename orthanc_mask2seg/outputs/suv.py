"""From activity concentration to standardised uptake values by body weight (SUVbw), where the tags allow.

The decay is counted from the injection to the time that the images are corrected to: DecayCorrection START is the start
of the series, ADMIN the injection itself (PS3.3 C.8.9.1).
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import Any

from pydicom import Dataset

PHILIPS_SUV_FACTOR = (0x7053, 0x1000)
"""Private element of Philips: the factor from stored and rescaled counts to SUV."""

LONGEST_UPTAKE = timedelta(hours=24)
"""From an injection of which the tags say the time and not the day."""
MOST_HALF_LIVES = 10
"""After so many a thousandth is left: a day of the injection that lies further back is a mistake."""
_TIME = re.compile(r"(\d\d)(\d\d)?(\d\d)?(?:\.\d{1,6})?")
"""HH, HHMM or HHMMSS.FFFFFF (PS3.5 section 6.2, TM)."""


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
    uptake = _uptake(header, items[0], half_life)
    if isinstance(uptake, str):
        return uptake
    return weight * 1000 / (dose * math.pow(2, -uptake.total_seconds() / half_life))


def _uptake(header: Dataset, radiopharmaceutical: Dataset, half_life: float) -> timedelta | str:
    """Time from the injection to what the images are decay-corrected to; half-life in s."""
    start = _moment(header.get("SeriesDate"), header.get("SeriesTime"))
    acquired = _moment(header.get("AcquisitionDate"), header.get("AcquisitionTime"))
    if start is None or (acquired is not None and start > acquired):
        return "the start of the acquisition is not known (SeriesTime is missing, or later than AcquisitionTime)"
    stamp = str(radiopharmaceutical.get("RadiopharmaceuticalStartDateTime") or "")
    injected = _moment(stamp[:8], re.sub(r"[+-]\d{4}$", "", stamp[8:]))
    longest = max(LONGEST_UPTAKE, timedelta(seconds=MOST_HALF_LIVES * half_life))
    if injected is None:
        longest = LONGEST_UPTAKE
        injected = _moment(header.get("SeriesDate"), radiopharmaceutical.get("RadiopharmaceuticalStartTime"))
        if injected is not None and injected > start:
            injected -= timedelta(days=1)  # injected before midnight
    if injected is None:
        return "the time of the injection is missing"
    uptake = start - injected
    if timedelta(0) <= uptake <= longest:
        return uptake
    return "the injection was not before the scan, or too long before it"


def _moment(date: Any, time: Any) -> datetime | None:
    parts = _TIME.fullmatch(str(time).strip())
    if parts is None:
        return None
    digits = "".join(part or "00" for part in parts.groups())
    try:
        return datetime.strptime(f"{date}{digits}", "%Y%m%d%H%M%S")  # noqa: DTZ007 - DICOM's local time
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
