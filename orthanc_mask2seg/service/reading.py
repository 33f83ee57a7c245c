"""From an archive's series to the values that `core` decides on: headers with planes, samples of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from orthanc_mask2seg.core.alike import AlikeFiles
from orthanc_mask2seg.core.bounds import read_dicom
from orthanc_mask2seg.core.census import Census
from orthanc_mask2seg.core.geometry import planes_of, stack
from orthanc_mask2seg.core.mask_planes import label_domain
from orthanc_mask2seg.core.phases import phases
from orthanc_mask2seg.core.pixels import READING_ERRORS, Kept, drop_unreadable, kept
from orthanc_mask2seg.core.plane_headers import integer, is_localizer
from orthanc_mask2seg.core.wording import counted, instance_of
from orthanc_mask2seg.errors import ArchiveRejected
from orthanc_mask2seg.model import ArchiveKey, ImageSeries, Reason, Refusal, Series
from orthanc_mask2seg.pacs.beginnings import Beginnings
from orthanc_mask2seg.pacs.part10 import header_of
from orthanc_mask2seg.pacs.port import Archive

MASK_SAMPLES = 5
SOURCE_SAMPLES = 3
"""Instances whose pixels are looked at before the whole mask is read."""

CLEARLY_GREY = 64
"""So many grey levels in one plane: more planes would not make labels of them."""

HEADER_BYTES = 4 * 2**20
"""A source instance larger than this is not fetched for its header: it is multi-frame, and the index has its tags."""


def headers_of(archive: Archive, series: Series) -> tuple[Dataset, ...] | Refusal:
    """Headers of a series whose values can all be read.

    Returns
    -------
    tuple of Dataset, or Refusal
        `invalid_dicom` where an instance does not say readably whose it is, where it lies or what its pixels are.
        Unreadable values that say nothing of that are left out.
    """
    return _readable(archive.headers(series))


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """All of a mask series, each file read once.

    Attributes
    ----------
    headers
        As `headers_of` gives them.
    instances
        Its pixels, in the same order; or why they cannot be had.
    """

    headers: tuple[Dataset, ...]
    instances: tuple[Kept, ...] | Refusal


def files_of(archive: Archive, series: Series, sampled: Mapping[ArchiveKey, bytes]) -> MaskFiles | Refusal:
    """Read whole files of a mask that has images beside it: its pixels will be wanted, and hold its headers.

    Parameters
    ----------
    sampled
        Files that are there already.
    """
    coming = archive.contents(tuple(key for key in series.instance_keys if key not in sampled))
    reader, files = Beginnings(), AlikeFiles()
    headers: list[Dataset] = []
    instances: list[Kept] = []
    fault: Refusal | None = None
    for key in series.instance_keys:
        content = sampled[key] if key in sampled else next(coming)
        headers.append(reader.read_or_parse(content))
        decoded = fault or files.decode(content)
        if isinstance(decoded, Refusal):
            fault = decoded
        else:
            instances.append(kept(decoded))
    readable = _readable(tuple(headers))
    return readable if isinstance(readable, Refusal) else MaskFiles(readable, fault or tuple(instances))


def _readable(headers: tuple[Dataset, ...]) -> tuple[Dataset, ...] | Refusal:
    spoiled = [header for header in headers if drop_unreadable(header)]
    if not spoiled:
        return headers
    return Refusal(
        reason=Reason.INVALID_DICOM,
        detail="An image of the series has a damaged header: what says whose it is or where it lies cannot be read.",
        hint="Export the series again; the tool that wrote it damaged its headers.",
        evidence=(f"{len(spoiled)} of {counted(len(headers), 'instance')}, the first {instance_of(spoiled[0])}",),
    )


def open_mask(series: Series, headers: Sequence[Dataset], tolerance: float) -> ImageSeries | Refusal:
    """Stack the planes of a series; it has to be one stack.

    Parameters
    ----------
    headers
        Of its instances.
    tolerance
        Planes closer than this (mm) lie at the same position.
    """
    opened = open_stacks(series, headers, tolerance)
    if isinstance(opened, Refusal):
        return opened
    if len(opened) > 1:
        return Refusal(
            reason=Reason.DUPLICATE_POSITIONS,
            detail=f"The series holds {len(opened)} images of every position ({opened[0].phase}, ...).",
            hint="Send each position once; several phases, echoes or labels belong into series of their own.",
            evidence=tuple(f"{stack.phase}: {len(stack.volume.planes)} positions" for stack in opened),
        )
    return opened[0]


def open_stacks(
    series: Series, headers: Sequence[Dataset], tolerance: float, *, without_localizers: bool = False
) -> tuple[ImageSeries, ...] | Refusal:
    """Stack the planes of a series; phases, echoes and b-values become stacks of their own.

    Parameters
    ----------
    without_localizers
        Images that say to be scouts may be left out: of a source, never of a mask.
    """
    if not headers:
        return Refusal(
            reason=Reason.INCOMPLETE_SERIES,
            detail="The series holds no instances.",
            hint="Send the series again.",
            evidence=(f"{len(series.instance_keys)} instances in the index, none with a header",),
        )
    planes = planes_of(headers)
    if isinstance(planes, Refusal):
        return planes
    nameless = [plane for plane in planes if not (plane.sop_instance_uid and plane.sop_class_uid)]
    if nameless:
        return Refusal(
            reason=Reason.INVALID_DICOM,
            detail="An image of the series has no SOPInstanceUID or SOPClassUID, so nothing can refer to it.",
            hint="Export the series again; the tool that wrote it left these identifiers out.",
            evidence=(
                f"{len(nameless)} of {len(planes)} planes, the first with InstanceNumber {nameless[0].instance_number}",
            ),
        )
    volume = stack(planes, tolerance)
    if isinstance(volume, Refusal) and volume.reason is Reason.GEOMETRY_MISMATCH and without_localizers:
        kept = [plane for plane in planes if not is_localizer(headers[plane.index])]
        volume = stack(kept, tolerance) if kept else volume
        planes = tuple(kept or planes)
    if not isinstance(volume, Refusal):
        return (ImageSeries(series=series, headers=tuple(headers), volume=volume),)
    found = phases(headers, planes, tolerance) if volume.reason is Reason.DUPLICATE_POSITIONS else ()
    if not found:
        return volume
    return tuple(ImageSeries(series=series, headers=tuple(headers), volume=part, phase=phase) for phase, part in found)


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


def samples_of(archive: Archive, series: Series, samples: int) -> dict[ArchiveKey, bytes]:
    """Files of a few instances of a series, in whatever order the archive has them."""
    keys = tuple(series.instance_keys[i] for i in spread(len(series.instance_keys), samples))
    return dict(zip(keys, archive.contents(keys), strict=True))


def first_header(files: Mapping[ArchiveKey, bytes]) -> Dataset:
    """Header of the first of some files, as far as its values can be read."""
    header = header_of(next(iter(files.values())))
    drop_unreadable(header)
    return header


def sample_series(archive: Archive, series: Series, samples: int, threshold: float | None = None) -> Census | Refusal:
    """Census of a few instances of a series."""
    return census_of(samples_of(archive, series, samples).values(), threshold)


def sample_image(
    archive: Archive, image: ImageSeries, samples: int, threshold: float | None = None
) -> Census | Refusal:
    """Census of a few planes, spread over the volume; of one plane where that is clearly an image."""
    chosen = list(dict.fromkeys(image.volume.planes[i].index for i in spread(len(image.volume.planes), samples)))
    keys: tuple[ArchiveKey, ...] = tuple(image.series.instance_keys[i] for i in sorted(chosen))
    middle = keys[len(keys) // 2]
    first = archive.content(middle)
    census = census_of([first], threshold)
    if isinstance(census, Refusal) or len(keys) == 1 or (not census.discrete and len(census.counts) > CLEARLY_GREY):
        return census
    others = archive.contents(tuple(key for key in keys if key != middle))
    return census_of([first, *others], threshold)


def census_of(contents: Iterable[bytes], threshold: float | None = None) -> Census | Refusal:
    """Census of all frames of some DICOM files of one series.

    Parameters
    ----------
    threshold
        See `core.mask_planes.read_planes`.
    """
    instances, files = [], AlikeFiles()
    for content in contents:
        decoded = files.decode(content)
        if isinstance(decoded, Refusal):
            return decoded
        instances.append(decoded)
    values = label_domain(instances, threshold)
    if isinstance(values, Refusal):
        return values
    census = Census()
    for planes in values:
        for plane in planes:
            census.add(plane)
    return census


def template_of(archive: Archive, source: ImageSeries) -> Dataset:
    """Full header of the source's first instance: for patient and study, with nothing shortened by an index."""
    first = source.volume.planes[0]
    header = source.header(first)
    frames, bits = (integer(header.get(keyword)) for keyword in ("NumberOfFrames", "BitsAllocated"))
    size = first.geometry.rows * first.geometry.columns * (frames or 1) * (bits or 16) // 8
    if size > HEADER_BYTES:
        return header
    return full_header(archive, source.series.instance_keys[first.index])


def full_header(archive: Archive, instance: ArchiveKey) -> Dataset:
    """Header of an instance with all that the file says, private elements included.

    Raises
    ------
    ArchiveRejected
        It is not readable as DICOM, or would take too much memory.
    """
    try:
        header = read_dicom(archive.content(instance), stop_before_pixels=True)
        drop_unreadable(header)
    except (InvalidDicomError, *READING_ERRORS) as error:
        raise ArchiveRejected(f"An image of the source cannot be read ({type(error).__name__})") from None
    return header


def unreadable(names: Sequence[tuple[str, str]]) -> Refusal:
    """Refusal for files that claim to be DICOM and are not readable."""
    shown = ", ".join(name for name, _ in names[:3]) + (", ..." if len(names) > 3 else "")
    files = "1 file" if len(names) == 1 else f"{len(names)} files"
    return Refusal(
        reason=Reason.INVALID_DICOM,
        detail=f"{files} cannot be read as DICOM: {shown}.",
        hint="Remove these files or export them again: a missing slice would be taken for an empty one.",
        evidence=tuple(f"{name}: {why}" for name, why in names[:20]),
    )
