"""Which images a series says that it was made from: shared SOPInstanceUIDs, and references of slices and frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydicom import Dataset

from orthanc_mask2seg.core.plane_headers import Groups, frames_of, integer
from orthanc_mask2seg.model import ImageSeries, Uid

PlaneName = tuple[str, int | None]
"""SOPInstanceUID, and the number of the frame in a multi-frame instance."""

_OF_IMAGES = ("SourceImageSequence", "ReferencedImageSequence")


def referenced(series: ImageSeries) -> set[Uid]:
    """UIDs of the series and instances that the headers refer to."""
    found: set[Uid] = set()
    for header in series.headers:
        for item in _items(header, (*_OF_IMAGES, "ReferencedSeriesSequence")):
            for name in ("ReferencedSOPInstanceUID", "SeriesInstanceUID"):
                if name in item:
                    found.add(Uid(str(item.get(name))))
        for _, groups in frames_of(header):
            found |= {Uid(uid) for uid, _ in _of_frame(groups)}
    return found


def linked_planes(headers: Sequence[Dataset], source: ImageSeries) -> list[set[int]]:
    """Planes of a source whose SOPInstanceUID each slice or frame shares, or that it refers to.

    Parameters
    ----------
    headers
        Of a series, whether or not it says where its planes lie.

    Returns
    -------
    list of set of int
        For each slice or frame, in the order of the headers: places in the volume of the source.
    """
    place: Mapping[PlaneName, int] = {
        (p.sop_instance_uid, p.frame_number): index for index, p in enumerate(source.volume.planes)
    }
    found = []
    for header in headers:
        for number, groups in frames_of(header):
            names = {(str(header.get("SOPInstanceUID") or ""), number), *_of_frame(groups)}
            if number is None:
                names |= set(_names(header))
            found.append({place[name] for name in names if name in place})
    return found


def links_of_planes(mask: ImageSeries, source: ImageSeries) -> list[set[int]]:
    """As `linked_planes`, in the order of the mask's planes."""
    first: list[int] = []
    total = 0
    for header in mask.headers:
        first.append(total)
        total += sum(1 for _ in frames_of(header))
    linked = linked_planes(mask.headers, source)
    return [linked[first[p.index] + (p.frame_number or 1) - 1] for p in mask.volume.planes]


def _of_frame(groups: Groups) -> Iterator[PlaneName]:
    """What a frame itself refers to; what all frames share says nothing of one."""
    for group in groups[:1]:
        yield from _names(group)
        for derivation in _items(group, ("DerivationImageSequence",)):
            yield from _names(derivation)


def _names(item: Dataset) -> Iterator[PlaneName]:
    for reference in _items(item, _OF_IMAGES):
        uid = str(reference.get("ReferencedSOPInstanceUID") or "")
        numbers = reference.get("ReferencedFrameNumber")
        if numbers is None:
            yield uid, None
            continue
        for number in [numbers] if isinstance(numbers, (int, str)) else numbers:
            yield uid, integer(number)


def _items(data: Dataset, keywords: Sequence[str]) -> Iterator[Dataset]:
    for keyword in keywords:
        for item in data.get(keyword) or ():
            if isinstance(item, Dataset):
                yield item
