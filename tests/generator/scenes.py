"""Geometries: where the images lie, and how the mask's own grid differs from theirs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydicom import Dataset

from tests.builders import Grid, blob

Series = list[Dataset]
Change = Callable[[Series, Series], tuple[Series, Series]]


def unchanged(image: Series, mask: Series) -> tuple[Series, Series]:
    """The mask lies on the images' own grid."""
    return image, mask


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A grid of images, and a change to the mask that moves none of its voxels in the patient."""

    grid: Grid = field(default_factory=Grid)
    change: Change = unchanged


def labels_on(grid: Grid) -> np.ndarray:
    """Labels 1, 2 and 3 that no flip or swap of axes maps onto themselves, away from the edges."""
    labels = blob(grid)
    rows, columns = grid.rows, grid.columns
    labels[:, rows // 2, columns // 2] = 1
    if rows >= 12 and columns >= 12:
        labels[: max(1, grid.planes // 2), 2:5, columns - 6 : columns - 2] = 2
        labels[grid.planes // 3 :, rows - 4 : rows - 2, 2:7] = 3
    return labels


def axes(a: float, b: float, c: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Row and column cosines after turns about x, y and z (rad)."""
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned = (x @ y @ z).round(9) + 0.0
    return tuple(turned[:, 0].tolist()), tuple(turned[:, 1].tolist())


X, Y, Z = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def _minus(axis: Sequence[float]) -> tuple[float, ...]:
    return tuple(-v + 0.0 for v in axis)


def _geometry(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float]]:
    cosines = np.array(data.ImageOrientationPatient, float)
    position = np.array(data.ImagePositionPatient, float)
    return position, cosines[:3], cosines[3:], [float(v) for v in data.PixelSpacing]


def _lay(data: Dataset, position: np.ndarray, row: np.ndarray, column: np.ndarray, spacing: Sequence[float]) -> None:
    data.ImagePositionPatient = [f"{v:.6f}" for v in position]
    data.ImageOrientationPatient = [f"{v:.9f}" for v in (*row, *column)]
    data.PixelSpacing = [f"{v:g}" for v in spacing]


def pixels_of(data: Dataset) -> np.ndarray:
    """Stored values of an uncompressed image, shape (rows, columns) or (rows, columns, 3)."""
    kind = f"<{'i' if data.get('PixelRepresentation') else 'u'}{int(data.BitsAllocated) // 8}"
    return np.frombuffer(data.PixelData, kind, count=int(data.Rows) * int(data.Columns)).reshape(
        int(data.Rows), int(data.Columns)
    )


def _set(data: Dataset, pixels: np.ndarray) -> None:
    data.Rows, data.Columns = pixels.shape
    raw = np.ascontiguousarray(pixels).tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)


def turned(*, transpose: bool, flip_rows: bool, flip_columns: bool) -> Change:
    """The mask's own rows and columns run otherwise; its directions and positions say so."""

    def change(image: Series, mask: Series) -> tuple[Series, Series]:
        for data in mask:
            position, row, column, spacing = _geometry(data)
            pixels = pixels_of(data)
            if flip_rows:
                position = position + column * spacing[0] * (pixels.shape[0] - 1)
                column, pixels = -column, pixels[::-1]
            if flip_columns:
                position = position + row * spacing[1] * (pixels.shape[1] - 1)
                row, pixels = -row, pixels[:, ::-1]
            if transpose:
                row, column, spacing, pixels = column, row, spacing[::-1], pixels.T
            _lay(data, position, row, column, spacing)
            _set(data, pixels)
        return image, mask

    return change


def _background(data: Dataset, pixels: np.ndarray) -> int:
    return int(pixels[0, 0])


def windowed(top: int, left: int, bottom: int, right: int) -> Change:
    """The mask has so many rows and columns less at each side than the images; more, where negative."""

    def change(image: Series, mask: Series) -> tuple[Series, Series]:
        for data in mask:
            position, row, column, spacing = _geometry(data)
            pixels = pixels_of(data)
            outer = np.full(
                (pixels.shape[0] - top - bottom, pixels.shape[1] - left - right),
                _background(data, pixels),
                pixels.dtype,
            )
            r0, c0 = max(0, top), max(0, left)
            r1, c1 = pixels.shape[0] - max(0, bottom), pixels.shape[1] - max(0, right)
            outer[r0 - top : r1 - top, c0 - left : c1 - left] = pixels[r0:r1, c0:c1]
            position = position + row * spacing[1] * left + column * spacing[0] * top
            _lay(data, position, row, column, spacing)
            _set(data, outer)
        return image, mask

    return change


def shuffled(image: Series, mask: Series) -> tuple[Series, Series]:
    """InstanceNumbers and the order of files say nothing."""
    rng = random.Random(4)
    numbers = [n * 3 for n in range(len(mask))]
    rng.shuffle(numbers)
    for data, number in zip(mask, numbers, strict=True):
        data.InstanceNumber = number
    rng.shuffle(mask)
    rng.shuffle(image)
    return image, mask


def descending(image: Series, mask: Series) -> tuple[Series, Series]:
    """Images upwards, mask downwards."""
    mask = mask[::-1]
    for number, data in enumerate(mask):
        data.InstanceNumber = number
    return image, mask


def turned_back(image: Series, mask: Series) -> tuple[Series, Series]:
    """The mask's normal is opposite to the images' one: flipped columns and descending numbers."""
    image, mask = turned(transpose=False, flip_rows=False, flip_columns=True)(image, mask)
    return descending(image, mask)


def jitter(image: Series, mask: Series) -> tuple[Series, Series]:
    """Positions that another tool has rounded differ by up to 0.02 mm."""
    rng = np.random.default_rng(2)
    for data in mask:
        moved = np.array(data.ImagePositionPatient, float) + rng.uniform(-0.02, 0.02, 3)
        data.ImagePositionPatient = [f"{v:.4f}" for v in moved]
    return image, mask


def thickness(image: Series, mask: Series) -> tuple[Series, Series]:
    """SliceThickness is not the distance between the slices, and differs between the two."""
    for data in image:
        data.SliceThickness = "3"
    for data in mask:
        data.SliceThickness = ""
    return image, mask


def no_slice_tags(image: Series, mask: Series) -> tuple[Series, Series]:
    """Nothing but position, orientation and spacing tells of the geometry."""
    for data in (*image, *mask):
        for keyword in ("SliceThickness", "InstanceNumber"):
            del data[keyword]
    return image, mask


def middle_slices(image: Series, mask: Series) -> tuple[Series, Series]:
    """The mask holds every slice that has a label, and no other."""
    return image, [data for data in mask if (pixels_of(data) != _background(data, pixels_of(data))).any()]


SCENES: dict[str, Scene] = {
    "axial": Scene(),
    "axial_descending": Scene(change=descending),
    "axial_feet_first": Scene(grid=Grid(axes=(_minus(X), Y))),
    "shuffled": Scene(change=shuffled),
    "coronal": Scene(grid=Grid(axes=(X, _minus(Z)))),
    "coronal_other": Scene(grid=Grid(axes=(X, Z))),
    "sagittal": Scene(grid=Grid(axes=(Y, _minus(Z)))),
    "sagittal_other": Scene(grid=Grid(axes=(_minus(Y), Z)), change=shuffled),
    "oblique": Scene(grid=Grid(axes=axes(0.2, 0.0, 0.0))),
    "double_oblique": Scene(grid=Grid(axes=axes(0.5, -0.3, 0.8)), change=shuffled),
    "oblique_coronal": Scene(grid=Grid(axes=axes(1.3, 0.1, 3.0))),
    "tilt": Scene(grid=Grid(axes=axes(0.26, 0, 0), shear=(0.0, 0.67, 0.0))),
    "tilt_gaps": Scene(grid=Grid(planes=5, axes=axes(-0.3, 0, 0), gaps=(4, 1.08, 7, 4), shear=(0, -0.9, 0))),
    "gaps": Scene(grid=Grid(planes=5, gaps=(4, 1.08, 7, 4)), change=shuffled),
    "single": Scene(grid=Grid(planes=1)),
    "two": Scene(grid=Grid(planes=2)),
    "many": Scene(grid=Grid(planes=40, rows=12, columns=13, step_mm=0.6)),
    "odd": Scene(grid=Grid(rows=23, columns=38, planes=3, spacing=(0.7, 0.7))),
    "odd_too": Scene(grid=Grid(rows=17, columns=13, planes=4)),
    "tiny": Scene(grid=Grid(rows=5, columns=4, planes=4, spacing=(2, 2), step_mm=2)),
    "anisotropic": Scene(grid=Grid(spacing=(0.4, 3.3), step_mm=8.0)),
    "isotropic": Scene(grid=Grid(spacing=(1.0, 1.0), step_mm=1.0)),
    "far_away": Scene(grid=Grid(origin=(1000.123, -2345.678, 3210.5))),
    "flip_rows": Scene(change=turned(transpose=False, flip_rows=True, flip_columns=False)),
    "flip_columns": Scene(change=turned(transpose=False, flip_rows=False, flip_columns=True)),
    "flip_both": Scene(change=turned(transpose=False, flip_rows=True, flip_columns=True)),
    "swap": Scene(change=turned(transpose=True, flip_rows=False, flip_columns=False)),
    "swap_flip_rows": Scene(change=turned(transpose=True, flip_rows=True, flip_columns=False)),
    "swap_flip_columns": Scene(change=turned(transpose=True, flip_rows=False, flip_columns=True)),
    "swap_flip_both": Scene(change=turned(transpose=True, flip_rows=True, flip_columns=True)),
    "back": Scene(change=turned_back),
    "oblique_swap": Scene(
        grid=Grid(axes=axes(0.5, -0.3, 0.8)), change=turned(transpose=True, flip_rows=True, flip_columns=False)
    ),
    "cropped": Scene(change=windowed(2, 1, 1, 2)),
    "padded": Scene(change=windowed(-3, -5, -2, -1)),
    "cropped_and_padded": Scene(change=windowed(-3, 1, 1, -4)),
    "jitter": Scene(change=jitter),
    "thickness": Scene(change=thickness),
    "no_slice_tags": Scene(change=no_slice_tags),
    "labelled_slices": Scene(change=middle_slices),
}
"""Every geometry by name."""
