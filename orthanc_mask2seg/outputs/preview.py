"""A picture for the PACS that cannot show segmentations: three planes through each segment, with its outline.

Text is drawn in, and none of it is of the patient: the segment's number, label and volume, and a scale.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from scipy import ndimage

from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import ImageSeries, Refusal
from orthanc_mask2seg.outputs.codes import HU, SUV
from orthanc_mask2seg.outputs.companion import Companion, new_dataset, to_file
from orthanc_mask2seg.outputs.descriptions import rgb
from orthanc_mask2seg.outputs.intensities import Intensities
from orthanc_mask2seg.outputs.measurements import volume_mm3
from orthanc_mask2seg.outputs.regions import Region, Regions

SERIES_NUMBER_OFFSET = 3000
PANEL = 256
"""Pixels of the side of a picture of one plane."""
CAPTION = 22
MOST_SEGMENTS = 40
"""Rows of a sheet; further segments are counted."""
SMALLEST_FIELD_MM = 80.0
"""Side of what is shown of a small segment, so that one sees where it is."""
FIELD = 1.6
"""Side of what is shown, in sizes of the segment."""
EVERY = slice(None, None, 4)
"""Pixels that are enough to choose a window."""

BARS_MM = (100, 50, 20, 10, 5, 2, 1)
WINDOWS = {HU: (-160.0, 240.0), SUV: (0.0, 10.0)}
"""Lowest and highest value shown; of other units from the 1st to the 99th percentile."""

Grey = npt.NDArray[np.float32]
Inside = npt.NDArray[np.bool_]
Places = npt.NDArray[np.float64]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """One plane through a segment: what of it lies inside.

    Attributes
    ----------
    down_mm, along_mm
        Where rows and columns lie, increasing.
    """

    inside: Inside
    down_mm: Places
    along_mm: Places


def write_png(regions: Regions, intensities: Intensities | Refusal) -> bytes | Refusal:
    """The sheet as PNG.

    Parameters
    ----------
    intensities
        Of at least `shown_planes`.
    """
    sheet = draw(regions, intensities)
    if isinstance(sheet, Refusal):
        return sheet
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def write_capture(regions: Regions, intensities: Intensities | Refusal, template: Dataset) -> bytes | Refusal:
    """The sheet as Secondary Capture (PS3.3 A.8.1)."""
    sheet = draw(regions, intensities)
    if isinstance(sheet, Refusal):
        return sheet
    companion = Companion(
        kind="SC", seg=regions.seg, template=template, settings={}, series_number_offset=SERIES_NUMBER_OFFSET
    )
    data = new_dataset(companion, SecondaryCaptureImageStorage, "OT", "Preview of a segmentation")
    data.ConversionType = "WSD"
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.PatientOrientation = None
    data.Laterality = None
    data.BurnedInAnnotation = "NO"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.Rows, data.Columns = sheet.height, sheet.width
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    pixels = sheet.tobytes()
    data.PixelData = pixels + b"\0" * (len(pixels) % 2)
    data["PixelData"].VR = "OB"
    return to_file(data)


def draw(regions: Regions, intensities: Intensities | Refusal) -> Image.Image | Refusal:
    """Draw the sheet: a row for each segment."""
    if isinstance(intensities, Refusal):
        return intensities
    shown = regions.regions[:MOST_SEGMENTS]
    left = len(regions.regions) - len(shown)
    height = (PANEL + CAPTION) * len(shown) + (CAPTION if left else 0)
    sheet = Image.new("RGB", (3 * PANEL, height))
    pen = ImageDraw.Draw(sheet)
    grey = window(intensities, shown_planes(regions))
    for row, region in enumerate(shown):
        top = row * (PANEL + CAPTION)
        pen.text((4, top + 3), caption(region, regions.source), (255, 255, 255), _font())
        colour = rgb(region.spec.recommended_display_cielab)
        for column, (cut, values) in enumerate(views(region, regions.source, intensities)):
            sheet.paste(_panel(cut, grey(values), colour), (column * PANEL, top + CAPTION))
    if left:
        pen.text((4, height - CAPTION + 3), f"and {counted(left, 'more segment')}", (255, 255, 255), _font())
    return sheet


def caption(region: Region, source: ImageSeries) -> str:
    """What is written above a row."""
    volume = volume_mm3(region, source) / 1000
    size = f"{volume:,.2f} ml" if np.isfinite(volume) else f"{region.count} voxels"
    return f"{region.number}  {region.spec.label}  {size}"


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(13)


def window(intensities: Intensities, planes: Collection[int]) -> Callable[[Grey], npt.NDArray[np.uint8]]:
    """What turns values into grey, from 0 to 255."""
    low, high = WINDOWS.get(intensities.unit) or _percentiles(intensities, planes)

    def grey(values: Grey) -> npt.NDArray[np.uint8]:
        return np.asarray(np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255, np.uint8)

    return grey


def _percentiles(intensities: Intensities, planes: Collection[int]) -> tuple[float, float]:
    low, high = np.percentile(intensities.stacked(sorted(planes), EVERY, EVERY), (1, 99))
    return float(low), float(high)


def shown_planes(regions: Regions) -> frozenset[int]:
    """Planes of the source that the sheet shows something of: no others need be read."""
    axes = _Axes.of(regions.source)
    found: set[int] = set()
    for region in regions.regions[:MOST_SEGMENTS]:
        found.add(centroid(region)[0])
        for cut in _cuts(region, axes)[1:]:
            (down, _), _, _ = _sampled(cut)
            found.update(axes.order[down].tolist())
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where planes, rows and columns lie (mm, increasing), and which plane is the first one from above."""

    order: npt.NDArray[np.intp]
    heights: Places
    rows: Places
    columns: Places

    @classmethod
    def of(cls, source: ImageSeries) -> Self:
        geometry, heights = source.volume.planes[0].geometry, np.array(source.volume.distances, np.float64)
        order = np.arange(len(heights))
        if source.volume.normal[2] > 0:  # the head is up
            order, heights = order[::-1], -heights[::-1]
        rows = np.arange(geometry.rows, dtype=np.float64) * geometry.pixel_spacing[0]
        columns = np.arange(geometry.columns, dtype=np.float64) * geometry.pixel_spacing[1]
        return cls(order, heights, rows, columns)


def _cuts(region: Region, axes: _Axes) -> tuple[_Cut, _Cut, _Cut]:
    """Planes through the centroid: as the images lie, along their rows, and along their columns."""
    plane, row, column = centroid(region)
    whole = (len(axes.heights), len(axes.rows), len(axes.columns))
    across, along = _cut(region, whole, 1, row)[axes.order], _cut(region, whole, 2, column)[axes.order]
    return (
        _Cut(inside=_cut(region, whole, 0, plane), down_mm=axes.rows, along_mm=axes.columns),
        _Cut(inside=across, down_mm=axes.heights, along_mm=axes.columns),
        _Cut(inside=along, down_mm=axes.heights, along_mm=axes.rows),
    )


def views(region: Region, source: ImageSeries, intensities: Intensities) -> Iterator[tuple[_Cut, Grey]]:
    """The three planes and their values; what is not among `shown_planes` may be missing."""
    plane, row, column = centroid(region)
    axes = _Axes.of(source)
    first, second, third = _cuts(region, axes)
    read = sorted(intensities.planes)
    across = np.zeros((len(axes.heights), len(axes.columns)), np.float32)
    along = np.zeros((len(axes.heights), len(axes.rows)), np.float32)
    across[read] = intensities.stacked(read, rows=slice(row, row + 1))[:, 0]
    along[read] = intensities.stacked(read, columns=slice(column, column + 1))[:, :, 0]
    yield first, intensities.planes[plane].values()
    yield second, across[axes.order]
    yield third, along[axes.order]


def centroid(region: Region) -> tuple[int, int, int]:
    """(plane, row, column) nearest to the mean place of the voxels of a region, of those that hold any of them."""
    found = []
    for axis, start in enumerate(region.corner):
        counts = np.count_nonzero(region.voxels, axis=tuple({0, 1, 2} - {axis}))
        held = np.flatnonzero(counts)
        mean = float(np.average(np.arange(len(counts)), weights=counts))
        found.append(start + int(held[np.argmin(np.abs(held - mean))]))
    return found[0], found[1], found[2]


def _cut(region: Region, shape: tuple[int, int, int], axis: int, at: int) -> Inside:
    """What lies inside a region in a plane of the whole grid at right angles to an axis."""
    others = [n for n in range(3) if n != axis]
    whole = np.zeros([shape[n] for n in others], bool)
    first, second = (region.box[n] for n in others)
    whole[first, second] = np.take(region.voxels, at - region.corner[axis], axis)
    return whole


def _panel(cut: _Cut, values: npt.NDArray[np.uint8], colour: Colour) -> Image.Image:
    """One plane at its true proportions, around the segment, the outline, and a scale."""
    (down, rows), (along, columns), mm = _sampled(cut)
    inside = cut.inside[down][:, along] | _within(cut.inside, rows, columns)
    values = values[down][:, along]
    pixels = np.repeat(values[..., None], 3, axis=2)
    pixels[inside & ~ndimage.binary_erosion(inside)] = colour
    panel = Image.new("RGB", (PANEL, PANEL))
    panel.paste(Image.fromarray(pixels), ((PANEL - len(along)) // 2, (PANEL - len(down)) // 2))
    _scale(ImageDraw.Draw(panel), mm)
    return panel


def _within(inside: Inside, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Inside:
    """Pixels that the centre of a voxel of the segment lies in: none is left out, however small it is."""
    counts = np.pad(np.cumsum(np.cumsum(inside, 0, dtype=np.int64), 1), ((1, 0), (1, 0)))
    corners = counts[rows][:, columns]
    return np.asarray(corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1] > 0)


Samples = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""For each pixel of a side the nearest row (or column); and, for each edge of a pixel, the first one beyond it."""


def _sampled(cut: _Cut) -> tuple[Samples, Samples, float]:
    """Rows and columns that are shown, and mm of a pixel."""
    axes = (cut.down_mm, cut.along_mm)
    boxes = []
    for axis, others in zip(axes, (1, 0), strict=True):
        used = np.flatnonzero(cut.inside.any(axis=others))
        boxes.append((float(axis[used[0]]), float(axis[used[-1]])))
    side = max(SMALLEST_FIELD_MM, *(FIELD * (high - low) for low, high in boxes))
    fields = []
    for axis, (low, high) in zip(axes, boxes, strict=True):
        first, last = _edges(axis)
        begin = min(max(first, (low + high - side) / 2), max(first, last - side))
        fields.append((begin, min(last, begin + side)))
    mm = max(high - low for low, high in fields) / PANEL
    down, along = (_samples(axis, *field, mm) for axis, field in zip(axes, fields, strict=True))
    return down, along, mm


def _samples(axis: Places, low: float, high: float, mm: float) -> Samples:
    edges = low + np.arange(max(1, round((high - low) / mm)) + 1) * mm
    between = (axis[1:] + axis[:-1]) / 2
    return np.searchsorted(between, edges[:-1] + 0.5 * mm), np.searchsorted(axis, edges)


def _edges(axis: Places) -> tuple[float, float]:
    half = (float(axis[1] - axis[0]) / 2, float(axis[-1] - axis[-2]) / 2) if len(axis) > 1 else (0.5, 0.5)
    return float(axis[0]) - half[0], float(axis[-1]) + half[1]


def _scale(pen: ImageDraw.ImageDraw, mm: float) -> None:
    bar = next((b for b in BARS_MM if b / mm <= PANEL / 3), BARS_MM[-1])
    length = min(round(bar / mm), PANEL - 16)
    pen.line([(8, PANEL - 8), (8 + length, PANEL - 8)], (255, 255, 255), 2)
    pen.text((8, PANEL - 26), f"{bar} mm", (255, 255, 255), _font())
