"""Masks without positions, where the user trusts their order: slices are paired by InstanceNumber.

Only where the numbers are unique on both sides and the very same, and the matrix is; everything else stays a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset

from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import ImageSeries, Plane, Reason, Refusal, Series, Uid

TRUSTED = "positions taken from the source by InstanceNumber: the order was trusted, not proven"


def borrow_positions(series: Series, headers: Sequence[Dataset], source: ImageSeries) -> ImageSeries | Refusal:
    """Give each slice of a mask the place of the source slice with the same InstanceNumber.

    Parameters
    ----------
    series, headers
        The mask, single-frame, without positions.
    source
        The series whose places are borrowed.

    Returns
    -------
    ImageSeries, or Refusal
        The mask with planes, or `no_geometry` with what does not fit.
    """
    planes = source.volume.planes
    by_number = {p.instance_number: p for p in planes}
    numbers = [_number(h) for h in headers]
    problem = _problem(headers, numbers, source, by_number)
    if problem:
        return Refusal(
            reason=Reason.NO_GEOMETRY,
            detail=f"The images do not say where they lie, and their order does not tell either: {problem}.",
            hint="Export the mask with the positions of its source images; --trust-order (setting TrustOrder) pairs "
            "slices only where mask and source have the very same InstanceNumbers, each once, and the same matrix.",
            evidence=(
                f"mask: {_in_numbers(numbers)}",
                f"source {source.series.series_instance_uid}: {_in_numbers([p.instance_number for p in planes])}",
            ),
        )
    index_of = {number: index for index, number in enumerate(numbers)}
    borrowed = tuple(_borrowed(p, headers, index_of[p.instance_number]) for p in planes)
    return ImageSeries(
        series=series, headers=tuple(headers), volume=replace(source.volume, planes=borrowed), trusted=True
    )


def _borrowed(plane: Plane, headers: Sequence[Dataset], index: int) -> Plane:
    header = headers[index]
    return replace(
        plane,
        sop_class_uid=Uid(str(header.get("SOPClassUID", ""))),
        sop_instance_uid=Uid(str(header.get("SOPInstanceUID", ""))),
        index=index,
    )


def _number(header: Dataset) -> int | None:
    try:
        return int(str(header.get("InstanceNumber")))
    except ValueError:
        return None


def _in_numbers(numbers: Sequence[int | None]) -> str:
    """How many slices there are, and which InstanceNumbers they have."""
    known = {n for n in numbers if n is not None}
    span = f"InstanceNumber {min(known)} to {max(known)}, {len(known)} different" if known else "no InstanceNumber"
    return f"{counted(len(numbers), 'slice')}, {span}"


def _problem(
    headers: Sequence[Dataset],
    numbers: Sequence[int | None],
    source: ImageSeries,
    by_number: dict[int | None, Plane],
) -> str:
    """Why the numbers do not pair the slices, or ''."""
    if any(int(str(h.get("NumberOfFrames") or 1)) > 1 for h in headers) or any(
        p.frame_number is not None for p in source.volume.planes
    ):
        return "multi-frame images have no InstanceNumber per slice"
    if None in numbers or None in by_number:
        return "an InstanceNumber is missing"
    if len(set(numbers)) < len(numbers) or len(by_number) < len(source.volume.planes):
        return "an InstanceNumber occurs twice"
    if set(numbers) != set(by_number):
        slices = counted(len(numbers), "mask slice")
        return f"the InstanceNumbers of {slices} are not those of {counted(len(by_number), 'source slice')}"
    first = source.volume.planes[0].geometry
    if any((h.get("Rows"), h.get("Columns")) != (first.rows, first.columns) for h in headers):
        return f"the matrix of a slice is not {first.rows} x {first.columns} as that of the source"
    return ""
