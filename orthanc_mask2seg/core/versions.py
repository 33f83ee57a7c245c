"""What tells several segmentations of one mask apart, where the earlier ones stay in the archive.

A copy of a finished SEG gets new UIDs, which follow from the old ones, and says in the series list which one it is.
Pixels and references are not touched.
"""

from __future__ import annotations

import io
import re

from pydicom import Dataset, dcmread

from orthanc_mask2seg.core.finish import saved_again
from orthanc_mask2seg.core.source_images import derived_uid
from orthanc_mask2seg.model import Segmentation, Uid

LONGEST_DESCRIPTION = 64
"""SeriesDescription is a long string (LO, PS3.5 section 6.2)."""

SUPERSEDED = "SUPERSEDED"
"""ContentLabel (PS3.3 C.8.20.2) and first word of the SeriesDescription of what is not the newest any more."""

_VERSION, _TAIL = re.compile(r"VERSION_(\d{1,6})"), re.compile(r"\(version (\d{1,6})\)$")


def numbered(segmentation: Segmentation, number: int) -> Segmentation:
    """The SEG as the second, third, ... version of its mask; the first one carries no number."""
    if number == 1:
        return segmentation
    data = dcmread(io.BytesIO(segmentation.content))
    tail = f" (version {number})"
    description = str(data.get("SeriesDescription") or "")
    data.SeriesDescription = description[: LONGEST_DESCRIPTION - len(tail)].rstrip() + tail
    data.ContentLabel = f"VERSION_{number}"
    content = _renamed(data, _name(number))
    return Segmentation(
        content=content,
        sop_instance_uid=Uid(str(data.SOPInstanceUID)),
        series_instance_uid=Uid(str(data.SeriesInstanceUID)),
        segments=segmentation.segments,
    )


def numbered_uid(sop_instance_uid: Uid, number: int) -> Uid:
    """The SOPInstanceUID that a SEG has as that version of its mask."""
    return sop_instance_uid if number == 1 else derived_uid("instance", _name(number), sop_instance_uid)


def number_of(data: Dataset) -> tuple[int, bool]:
    """Which version of its mask a SEG says that it is, and whether it says that it is superseded."""
    label, description = str(data.get("ContentLabel") or ""), str(data.get("SeriesDescription") or "")
    said = _VERSION.fullmatch(label) or _TAIL.search(description)
    return (int(said.group(1)) if said else 1), label == SUPERSEDED


def superseded(content: bytes) -> bytes:
    """A copy of a SEG that says that it is superseded."""
    data = dcmread(io.BytesIO(content))
    description = str(data.get("SeriesDescription") or "")
    data.SeriesDescription = f"{SUPERSEDED}: {description}"[:LONGEST_DESCRIPTION].rstrip()
    data.ContentLabel = SUPERSEDED
    return _renamed(data, "superseded")


def _name(number: int) -> str:
    return f"version {number}"


def _renamed(data: Dataset, what: str) -> bytes:
    """Give a changed object UIDs of its own and write it."""
    instance, series = data.SOPInstanceUID, data.SeriesInstanceUID
    data.SOPInstanceUID = derived_uid("instance", what, instance)
    data.SeriesInstanceUID = derived_uid("series", what, series)
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    return saved_again(data)
