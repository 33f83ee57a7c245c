"""A picture for the PACS that cannot show segmentations: three planes through each segment, with its outline.

Text is drawn in, and none of it is of the patient: the segment's number, label and volume, and a scale.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
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
class _View:
    """One plane through a segment.

    Attributes
    ----------
    down_mm, along_mm
        Where rows and columns lie, increasing.
    """

    values: Grey
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
    grey = _window(intensities, shown_planes(regions))
    for row, region in enumerate(shown):
        top = row * (PANEL + CAPTION)
        pen.text((4, top + 3), caption(region, regions.source), (255, 255, 255), _font())
        for column, view in enumerate(views(region, regions.source, intensities)):
            corner = (column * PANEL, top + CAPTION)
            sheet.paste(_panel(view, grey, rgb(region.spec.recommended_display_cielab)), corner)
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


def _window(intensities: Intensities, planes: Collection[int]) -> Callable[[Grey], npt.NDArray[np.uint8]]:
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
    found = {centroid(region)[0] for region in regions.regions[:MOST_SEGMENTS]}
    for along in (axes.rows, axes.columns):
        down, _, _ = _nearest(axes.heights, along)
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


def views(region: Region, source: ImageSeries, intensities: Intensities) -> tuple[_View, _View, _View]:
    """Planes through the centroid: as the images lie, along their rows, and along their columns.

    What is not among `shown_planes` may be missing.
    """
    plane, row, column = centroid(region)
    axes = _Axes.of(source)
    read = sorted(intensities.planes)
    whole = (len(axes.heights), len(axes.rows), len(axes.columns))
    across, along = np.zeros(whole[::2], np.float32), np.zeros(whole[:2], np.float32)
    across[read] = intensities.stacked(read, rows=slice(row, row + 1))[:, 0]
    along[read] = intensities.stacked(read, columns=slice(column, column + 1))[:, :, 0]
    across_inside, along_inside = _cut(region, whole, 1, row), _cut(region, whole, 2, column)
    return (
        _View(
            values=intensities.planes[plane].values(),
            inside=_cut(region, whole, 0, plane),
            down_mm=axes.rows,
            along_mm=axes.columns,
        ),
        _View(
            values=across[axes.order],
            inside=across_inside[axes.order],
            down_mm=axes.heights,
            along_mm=axes.columns,
        ),
        _View(
            values=along[axes.order],
            inside=along_inside[axes.order],
            down_mm=axes.heights,
            along_mm=axes.rows,
        ),
    )


def centroid(region: Region) -> tuple[int, int, int]:
    """(plane, row, column) nearest to the mean place of the voxels of a region."""
    found = []
    for axis, start in enumerate(region.corner):
        counts = np.count_nonzero(region.voxels, axis=tuple({0, 1, 2} - {axis}))
        found.append(start + round(float(np.average(np.arange(len(counts)), weights=counts))))
    return found[0], found[1], found[2]


def _cut(region: Region, shape: tuple[int, int, int], axis: int, at: int) -> Inside:
    """What lies inside a region in a plane of the whole grid at right angles to an axis."""
    others = [n for n in range(3) if n != axis]
    whole = np.zeros([shape[n] for n in others], bool)
    first, second = (region.box[n] for n in others)
    whole[first, second] = np.take(region.voxels, at - region.corner[axis], axis)
    return whole


def _panel(view: _View, grey: Callable[[Grey], npt.NDArray[np.uint8]], colour: Colour) -> Image.Image:
    """One plane at its true proportions, the outline, and a scale."""
    down, along, mm = _nearest(view.down_mm, view.along_mm)
    values, inside = grey(view.values)[down][:, along], view.inside[down][:, along]
    pixels = np.repeat(values[..., None], 3, axis=2)
    pixels[inside & ~ndimage.binary_erosion(inside)] = colour
    panel = Image.new("RGB", (PANEL, PANEL))
    panel.paste(Image.fromarray(pixels), ((PANEL - len(along)) // 2, (PANEL - len(down)) // 2))
    _scale(ImageDraw.Draw(panel), mm)
    return panel


def _nearest(down_mm: Places, along_mm: Places) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], float]:
    """Nearest row and column for each pixel of the panel, and mm of a pixel."""
    spans = [_edges(axis) for axis in (down_mm, along_mm)]
    mm = max(high - low for low, high in spans) / PANEL
    found = []
    for axis, (low, high) in zip((down_mm, along_mm), spans, strict=True):
        centres = low + (np.arange(max(1, round((high - low) / mm))) + 0.5) * mm
        between = (axis[1:] + axis[:-1]) / 2
        found.append(np.searchsorted(between, centres))
    return found[0], found[1], mm


def _edges(axis: Places) -> tuple[float, float]:
    half = (float(axis[1] - axis[0]) / 2, float(axis[-1] - axis[-2]) / 2) if len(axis) > 1 else (0.5, 0.5)
    return float(axis[0]) - half[0], float(axis[-1]) + half[1]


def _scale(pen: ImageDraw.ImageDraw, mm: float) -> None:
    bar = next((b for b in BARS_MM if b / mm <= PANEL / 3), BARS_MM[-1])
    length = min(round(bar / mm), PANEL - 16)
    pen.line([(8, PANEL - 8), (8 + length, PANEL - 8)], (255, 255, 255), 2)
    pen.text((8, PANEL - 26), f"{bar} mm", (255, 255, 255), _font())
