"""From an archive's series to the values that `core` decides on: headers with planes, samples of pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from pydicom import Dataset, dcmread

from orthanc_mask2seg.core.geometry import planes_of, stack
from orthanc_mask2seg.core.pixels import decode
from orthanc_mask2seg.core.voxels import Census
from orthanc_mask2seg.model import ArchiveKey, ImageSeries, Reason, Refusal, Series
from orthanc_mask2seg.pacs.port import Archive

MASK_SAMPLES = 5
SOURCE_SAMPLES = 3
"""Instances whose pixels are looked at before the whole mask is read."""

HEADER_BYTES = 4 * 2**20
"""A source instance larger than this is not fetched for its header: it is multi-frame, and the index has its tags."""


def open_series(archive: Archive, series: Series, tolerance: float) -> ImageSeries | Refusal:
    """Read the headers of a series and stack its planes.

    Parameters
    ----------
    tolerance
        Planes closer than this (mm) lie at the same position.
    """
    headers = archive.headers(series)
    if not headers:
        return Refusal(
            reason=Reason.INCOMPLETE_SERIES,
            detail="The series holds no instances.",
            hint="Send the series again.",
        )
    planes = planes_of(headers)
    if isinstance(planes, Refusal):
        return planes
    volume = stack(planes, tolerance)
    if isinstance(volume, Refusal):
        return volume
    return ImageSeries(series=series, headers=headers, volume=volume)


def spread(count: int, samples: int) -> list[int]:
    """Indices of `samples` things out of `count`, spread evenly and away from the ends.

    Examples
    --------
    >>> spread(100, 3)
    [16, 50, 83]
    >>> spread(2, 5)
    [0, 1]
    """
    if count <= samples:
        return list(range(count))
    return [int((i + 0.5) * count / samples) for i in range(samples)]


def sample(archive: Archive, image: ImageSeries, samples: int) -> Census | Refusal:
    """Census of a few planes, spread over the volume."""
    chosen = {image.volume.planes[i].index for i in spread(len(image.volume.planes), samples)}
    keys = tuple(image.series.instance_keys[i] for i in sorted(chosen))
    return census_of(archive.contents(keys))


def sample_blindly(archive: Archive, series: Series) -> Census | Refusal:
    """Census of one instance of a series whose headers were not read."""
    middle: ArchiveKey = series.instance_keys[len(series.instance_keys) // 2]
    return census_of(iter([archive.content(middle)]))


def census_of(contents: Iterator[bytes]) -> Census | Refusal:
    """Census of all frames of some DICOM files."""
    census = Census()
    for content in contents:
        decoded = decode(content)
        if isinstance(decoded, Refusal):
            return decoded
        for frame in decoded.frames:
            census.add(frame)
    return census


def template_of(archive: Archive, source: ImageSeries) -> Dataset:
    """Full header of the source's first instance: for patient and study, with nothing shortened by an index."""
    first = source.volume.planes[0]
    header = source.header(first)
    frames = int(header.get("NumberOfFrames") or 1)
    size = first.geometry.rows * first.geometry.columns * frames * int(header.get("BitsAllocated") or 16) // 8
    if size > HEADER_BYTES:
        return header
    content = archive.content(source.series.instance_keys[first.index])
    return dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)


def unreadable(names: Sequence[tuple[str, str]]) -> Refusal:
    """Refusal for files that claim to be DICOM and are not readable."""
    shown = ", ".join(name for name, _ in names[:3]) + (", ..." if len(names) > 3 else "")
    return Refusal(
        reason=Reason.INVALID_DICOM,
        detail=f"{len(names)} file(s) cannot be read as DICOM: {shown}.",
        hint="Remove these files or export them again: a missing slice would be taken for an empty one.",
        evidence=tuple(f"{name}: {why}" for name, why in names[:20]),
    )
