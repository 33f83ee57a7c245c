"""Makes docs/images/demo-overlay.png: the demo study with the segment that `mask2seg convert` made of its mask.

The picture is drawn from the files alone: the CT's and the SEG's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import highdicom as hd
import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from pydicom import dcmread

from orthanc_mask2seg.demo.run import segment_volume
from orthanc_mask2seg.demo.study import make_study, to_bytes

OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo-overlay.png"
SEED, SLICES = 7, 60
WHEN = datetime(2026, 11, 20, 9, 30)  # noqa: DTZ001 - local time of the scanner
SOFT, LUNG = (40, 400), (-600, 1500)
ZOOM = 1.9
"""Pixels of the picture per mm."""
HALO_WIDTH, HALO_COLOUR = 2, (0, 0, 0)
GAP, BACKGROUND, INK, FAINT = 6, (10, 11, 13), (214, 219, 224), (120, 128, 136)


class Seen(NamedTuple):
    """Read back from the files: HU, mask, spacing (z, y, x) in mm, colour, text."""

    hu: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float]
    colour: tuple[int, int, int]
    label: str


def convert(folder: Path) -> Seen:
    """Write the demo study, convert its mask with the command that everybody has, and read the result."""
    study = make_study(SEED, SLICES, moment=WHEN)
    for name, images in (("ct", study.ct), ("mask", study.mask)):
        (folder / name).mkdir()
        for image in images:
            (folder / name / f"{image.InstanceNumber:03d}.dcm").write_bytes(to_bytes(image))
    out = folder / "seg.dcm"
    words = ["convert", "--mask", str(folder / "mask"), "--source", str(folder / "ct"), "-o", str(out)]
    subprocess.run([sys.executable, "-m", "orthanc_mask2seg", *words], check=True)
    return read(folder / "ct", out.read_bytes())


def read(ct_folder: Path, seg: bytes) -> Seen:
    ct = sorted((dcmread(p) for p in ct_folder.iterdir()), key=lambda d: float(d.ImagePositionPatient[2]))
    hu = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in ct])
    mask = segment_volume(seg, ct)
    rise = float(ct[1].ImagePositionPatient[2]) - float(ct[0].ImagePositionPatient[2])
    described = dcmread(BytesIO(seg)).SegmentSequence[0]
    lab = described.RecommendedDisplayCIELabValue
    red, green, blue = (int(c) for c in hd.color.CIELabColor.from_dicom_value(lab).to_rgb(clip=True))
    rows, columns = (float(v) for v in ct[0].PixelSpacing)
    volume = mask.sum() * rise * rows * columns / 1000
    return Seen(hu, mask, (rise, rows, columns), (red, green, blue), f"{described.SegmentLabel}  {volume:.1f} ml")


def panel(
    seen: Seen, axis: int, window: tuple[int, int], box_mm: tuple[float, float, float, float], zoom: float = ZOOM
) -> Image.Image:
    """One slice through the middle of the segment with the segment on it.

    Parameters
    ----------
    axis
        0 axial, 1 coronal, 2 sagittal.
    box_mm
        Left, top, right, bottom of the part shown, mm from the corner of the slice.
    """
    middle = round(float(np.argwhere(seen.mask).mean(axis=0)[axis]))
    hu, mask = np.take(seen.hu, middle, axis), np.take(seen.mask, middle, axis)
    spacing = [s for i, s in enumerate(seen.spacing) if i != axis]
    if axis:
        hu, mask = hu[::-1], mask[::-1]
    grey = np.clip((hu - window[0]) / window[1] + 0.5, 0, 1) * 255
    size = (round((box_mm[2] - box_mm[0]) * zoom), round((box_mm[3] - box_mm[1]) * zoom))
    box = (box_mm[0] / spacing[1], box_mm[1] / spacing[0], box_mm[2] / spacing[1], box_mm[3] / spacing[0])
    picture = Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC, box).convert("RGB")
    cover = Image.fromarray((mask * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR, box)
    return overlay(picture, cover.filter(ImageFilter.GaussianBlur(1.2)), seen.colour)


def overlay(picture: Image.Image, cover: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """A light tint and a contour, as a viewer draws them."""
    inside = cover.point(lambda v: 255 if v > 127 else 0)
    edge = ImageChops.subtract(inside.filter(ImageFilter.MaxFilter(3)), inside.filter(ImageFilter.MinFilter(3)))
    paint = Image.new("RGB", picture.size, colour)
    tinted = Image.composite(Image.blend(picture, paint, 0.28), picture, inside)
    return Image.composite(paint, tinted, edge.filter(ImageFilter.GaussianBlur(0.5)))


def annotate(picture: Image.Image, title: str, sides: str, window: tuple[int, int]) -> Image.Image:
    """Text in the corners and the letters of the sides (left, right, top, bottom)."""
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    small, large = ImageFont.load_default(13), ImageFont.load_default(15)
    draw.text((10, 8), title, INK, large, stroke_width=HALO_WIDTH, stroke_fill=HALO_COLOUR)
    draw.text(
        (width - 10, 8),
        f"W {window[1]}  L {window[0]}",
        INK,
        small,
        anchor="ra",
        stroke_width=HALO_WIDTH,
        stroke_fill=HALO_COLOUR,
    )
    for letter, at, anchor in zip(
        sides,
        ((10, height // 2), (width - 10, height // 2), (width // 2, 8), (width // 2, height - 8)),
        ("lm", "rm", "ma", "md"),
        strict=True,
    ):
        draw.text(at, letter, INK, large, anchor=anchor, stroke_width=HALO_WIDTH, stroke_fill=HALO_COLOUR)
    return picture


def compose(seen: Seen) -> Image.Image:
    tall = seen.hu.shape[0] * seen.spacing[0]
    coronal = annotate(panel(seen, 1, SOFT, (8, 0, 372, tall)), "coronal", "RLHF", SOFT)
    sagittal = annotate(panel(seen, 2, LUNG, (40, 0, 338, tall)), "sagittal", "APHF", LUNG)
    same = (coronal.height * 2 + GAP) / (338 - 40)
    axial = annotate(panel(seen, 0, LUNG, (8, 40, 372, 338), same), "axial", "RLAP", LUNG)
    wide, high = axial.width + GAP + coronal.width, coronal.height * 2 + GAP
    sheet = Image.new("RGB", (wide, max(axial.height, high) + 40), BACKGROUND)
    sheet.paste(axial, (0, (sheet.height - 40 - axial.height) // 2))
    sheet.paste(coronal, (axial.width + GAP, 0))
    left = axial.width + GAP + (coronal.width - sagittal.width) // 2
    sheet.paste(sagittal, (left, coronal.height + GAP))
    caption(sheet, seen)
    return sheet


def caption(sheet: Image.Image, seen: Seen) -> None:
    draw, base = ImageDraw.Draw(sheet), sheet.height - 20
    draw.rounded_rectangle((14, base - 8, 30, base + 8), 3, fill=seen.colour)
    draw.text((40, base), seen.label, INK, ImageFont.load_default(16), anchor="lm")
    note = "synthetic chest CT, segment read back from the DICOM SEG"
    draw.text((sheet.width - 14, base), note, FAINT, ImageFont.load_default(13), anchor="rm")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture = compose(convert(Path(folder)))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    picture.save(OUT, optimize=True)
    print(f"{OUT.name}: {picture.width} x {picture.height}, {OUT.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
