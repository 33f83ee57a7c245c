"""The frames of anybody's segmentation, read leniently: what each says of itself, and which segments have voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import UID

from orthanc_mask2seg.core.geometry import planes_of
from orthanc_mask2seg.model import Plane, PlaneGeometry, Refusal

_BITS = frozenset({1, 8, 16, 32})
"""BitsAllocated that a segmentation may have."""

BINARY, LABELMAP = "BINARY", "LABELMAP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a frame says of itself; None where it does not say it.

    Attributes
    ----------
    segment
        ReferencedSegmentNumber; frames of a label map have none.
    source
        SOPInstanceUID and frame number (None for all frames) of the image that it lies on.
    dimensions
        Number of its DimensionIndexValues.
    """

    number: int
    segment: int | None
    source: tuple[str, int | None] | None
    geometry: PlaneGeometry | None
    dimensions: int


def frames_of(seg: Dataset) -> tuple[Frame, ...]:
    """The described frames, in order."""
    described = seg.get("PerFrameFunctionalGroupsSequence") or ()
    shared = (seg.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    geometries = _geometries(seg, len(described))
    return tuple(
        Frame(
            number=number,
            segment=_segment(item, shared),
            source=_source(item, shared),
            geometry=geometry,
            dimensions=_dimensions(item),
        )
        for number, (item, geometry) in enumerate(zip(described, geometries, strict=True), start=1)
    )


def _geometries(seg: Dataset, count: int) -> Sequence[PlaneGeometry | None]:
    """Where the frames lie; where one does not say it, none is believed."""
    header = Dataset()
    for keyword in ("Rows", "Columns", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if keyword in seg:
            header[keyword] = seg[keyword]
    header.NumberOfFrames = count
    planes = planes_of([header]) if count else ()
    return [None] * count if isinstance(planes, Refusal) else [plane.geometry for plane in planes]


def _group(item: Dataset, shared: Dataset, keyword: str) -> Dataset | None:
    """Functional group of a frame, or the one that all frames share (PS3.3 C.7.6.16)."""
    found = item.get(keyword) or shared.get(keyword)
    return found[0] if found else None


def _segment(item: Dataset, shared: Dataset) -> int | None:
    group = _group(item, shared, "SegmentIdentificationSequence")
    number = group.get("ReferencedSegmentNumber") if group is not None else None
    return number if isinstance(number, int) else None


def _source(item: Dataset, shared: Dataset) -> tuple[str, int | None] | None:
    derivation = _group(item, shared, "DerivationImageSequence")
    images = (derivation.get("SourceImageSequence") if derivation is not None else None) or ()
    if not images or not images[0].get("ReferencedSOPInstanceUID"):
        return None
    number = images[0].get("ReferencedFrameNumber")
    return str(images[0].ReferencedSOPInstanceUID), int(number) if isinstance(number, int) else None


def _dimensions(item: Dataset) -> int:
    content = item.get("FrameContentSequence") or [Dataset()]
    values = content[0].get("DimensionIndexValues")
    if values is None:
        return 0
    return 1 if isinstance(values, int) else len(values)


def planes_by_reference(sources: Sequence[Dataset]) -> Mapping[tuple[str, int | None], Plane]:
    """Planes of the source by how a frame refers to them; instances without geometry are left out."""
    found: dict[tuple[str, int | None], Plane] = {}
    for header in sources:
        planes = planes_of([header])
        for plane in () if isinstance(planes, Refusal) else planes:
            found[plane.sop_instance_uid, plane.frame_number] = plane
            found.setdefault((plane.sop_instance_uid, None), plane)
    return found


def pixels_wrong(seg: Dataset) -> str:
    """What is wrong with the amount of pixel data; '' where nothing is."""
    data = seg.get("PixelData")
    sizes = [seg.get(keyword) for keyword in ("NumberOfFrames", "Rows", "Columns", "BitsAllocated")]
    if data is None or not all(isinstance(size, int) and size > 0 for size in sizes) or sizes[-1] not in _BITS:
        return "PixelData or the attributes that describe them are missing"
    if _syntax_is_compressed(seg):
        return "" if _decoded(seg) is not None else "the compressed pixel data cannot be decoded"
    bits = int(np.prod([int(size) for size in sizes], dtype=object))
    expected = -(-bits // 8)
    if len(data) in {expected, expected + expected % 2}:
        return ""
    return f"{len(data)} bytes where {expected} are expected"


def segments_with_voxels(seg: Dataset, frames: Sequence[Frame]) -> frozenset[int]:
    """Numbers of the segments that any voxel belongs to; the pixel data must be as long as they should be."""
    found: set[int] = set()
    pixels_of = pixels_of_frames(seg)
    is_label_map = seg.get("SegmentationType") == LABELMAP
    for index, frame in enumerate(frames[: int(seg.NumberOfFrames)]):
        if is_label_map:
            found.update(int(value) for value in np.unique(pixels_of(index)))
        elif frame.segment is not None and frame.segment not in found and pixels_of(index).any():
            found.add(frame.segment)
    return frozenset(found)


def pixels_of_frames(seg: Dataset) -> Callable[[int], npt.NDArray[Any]]:
    """Function that gives the pixels of a frame by its index, shape (rows * columns,)."""
    size, count = int(seg.Rows) * int(seg.Columns), int(seg.NumberOfFrames)
    if _syntax_is_compressed(seg):
        decoded = _decoded(seg)
        assert decoded is not None, "pixel data that cannot be decoded are not asked for segments"
        return decoded.reshape(count, size).__getitem__
    if seg.BitsAllocated != 1:
        values = np.frombuffer(seg.PixelData, f"<u{seg.BitsAllocated // 8}")
        return values[: count * size].reshape(count, size).__getitem__
    packed = np.frombuffer(seg.PixelData, np.uint8)

    def unpacked(index: int) -> npt.NDArray[Any]:
        first = index * size
        start, end = first // 8, -(-(first + size) // 8)
        bits = np.unpackbits(packed[start:end], bitorder="little")
        return bits[first - start * 8 : first - start * 8 + size]

    return unpacked


def _syntax_is_compressed(seg: Dataset) -> bool:
    syntax = syntax_of(seg)
    return syntax.is_transfer_syntax and syntax.is_encapsulated


def syntax_of(seg: Dataset) -> UID:
    """Its transfer syntax; '' where it does not say it."""
    meta = getattr(seg, "file_meta", None)
    return UID(str(meta.get("TransferSyntaxUID", "") if meta is not None else ""))


def _decoded(seg: Dataset) -> npt.NDArray[Any] | None:
    try:
        pixels: npt.NDArray[Any] = seg.pixel_array
    except Exception:  # noqa: BLE001  (decoders raise what they like, and say the file's values)
        return None
    return pixels
