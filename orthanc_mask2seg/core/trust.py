"""Masks without positions: placed by the images that they refer to, or, where the user trusts it, by their order.

A slice that shares its SOPInstanceUID with one source image, or refers to it, says itself where it lies. Trust in the
order pairs slices by InstanceNumber, only where the numbers are unique on both sides and the very same, and the matrix
is; everything else stays a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset

from orthanc_mask2seg.core.geometry import grid_map, stack
from orthanc_mask2seg.core.plane_headers import MULTI_FRAME, Groups, frames_of, plane_geometry
from orthanc_mask2seg.core.references import linked_planes
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import ImageSeries, Plane, PlaneGeometry, Reason, Refusal, Series, Uid

TRUSTED = "positions taken from the source by InstanceNumber: the order was trusted, not proven"

BY_REFERENCE = "no positions: each of {} lies where the source image lies whose SOPInstanceUID it shares or refers to"


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
            hint=MULTI_FRAME
            if any(_is_multi_frame(h) for h in headers)
            else "Export the mask with the positions of its source images; --trust-order (setting TrustOrder) pairs "
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


def place_by_references(
    series: Series, headers: Sequence[Dataset], source: ImageSeries, tolerance: float
) -> ImageSeries | None:
    """Give each slice or frame of a mask the place of the source image that it shares its SOPInstanceUID with or names.

    Parameters
    ----------
    series, headers
        The mask, some or all of its images without positions.
    tolerance
        Positions that it does have must be those of the source image within this (mm).

    Returns
    -------
    ImageSeries, or None
        None where not every slice names one image of the source, each another one, of the same matrix.
    """
    links = linked_planes(headers, source)
    chosen = [next(iter(found)) for found in links if len(found) == 1]
    if not chosen or len(chosen) < len(links) or len(set(chosen)) < len(chosen):
        return None
    if _frames_of_reference(headers) - _frames_of_reference(source.headers):
        return None
    planes = []
    places = iter(chosen)
    for index, header in enumerate(headers):
        for number, groups in frames_of(header):
            plane = source.volume.planes[next(places)]
            if not _agrees(header, groups, plane.geometry, tolerance):
                return None
            planes.append(replace(_borrowed(plane, headers, index), frame_number=number))
    volume = stack(planes, tolerance)
    if isinstance(volume, Refusal):
        return None
    return ImageSeries(series=series, headers=tuple(headers), volume=volume)


def _agrees(header: Dataset, groups: Groups, place: PlaneGeometry, tolerance: float) -> bool:
    """Whether what an image says of its place, be it all or a part, is not at odds with another one's place."""
    if (header.get("Rows"), header.get("Columns")) != (place.rows, place.columns):
        return False
    own = plane_geometry(header, groups)
    if not isinstance(own, Refusal):
        way = grid_map(own, place, tolerance)
        away = sum((a - b) ** 2 for a, b in zip(own.position, place.position, strict=True)) ** 0.5
        return way is not None and way.identical and away <= 2 * tolerance
    if own.reason is not Reason.NO_GEOMETRY:
        return False
    told = (
        ("ImagePositionPatient", place.position, tolerance),
        ("ImageOrientationPatient", (*place.row_cosines, *place.column_cosines), 1e-4),
        ("PixelSpacing", place.pixel_spacing, tolerance / max(place.rows, place.columns)),
    )
    return all(_near(header.get(keyword), values, within) for keyword, values, within in told)


def _near(said: object, values: Sequence[float], within: float) -> bool:
    """Whether numbers of an attribute are near those of another image; what is not there says nothing."""
    if said is None or said == "":
        return True
    try:
        numbers = [float(v) for v in said]  # type: ignore[attr-defined]  # a pydicom MultiValue, or anything
    except (TypeError, ValueError):
        return False
    return len(numbers) == len(values) and all(abs(a - b) <= within for a, b in zip(numbers, values, strict=True))


def _frames_of_reference(headers: Sequence[Dataset]) -> set[str]:
    return {str(h.get("FrameOfReferenceUID") or "").strip() for h in headers} - {""}


def _is_multi_frame(header: Dataset) -> bool:
    return int(str(header.get("NumberOfFrames") or 1)) > 1


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
    if any(_is_multi_frame(h) for h in headers) or any(p.frame_number is not None for p in source.volume.planes):
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
