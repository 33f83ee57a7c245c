"""Planes without what lies around: most of a mask is one value, and only the rectangle that holds all others is kept.

A mask of 400 slices takes 100 MB as it comes, and a tenth of that cropped; what is counted and compared in it is less
in the same measure. Nothing is lost: whoever wants the whole plane gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Cropped:
    """A plane.

    Attributes
    ----------
    shape
        (rows, columns) of the whole plane.
    fill
        The value of everything outside of the rectangle: that of the first pixel.
    row, column
        Where the rectangle begins.
    values
        The rectangle, shape (rows, columns); of size 0 where the plane is filled.
    """

    shape: tuple[int, int]
    fill: int | float
    row: int
    column: int
    values: Values

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the rectangle."""
        rows, columns = self.values.shape
        return slice(self.row, self.row + rows), slice(self.column, self.column + columns)

    def whole(self) -> Values:
        """The plane, shape (rows, columns)."""
        result = np.full(self.shape, self.fill, self.values.dtype)
        result[self.window] = self.values
        return result

    def span(self) -> tuple[int | float, int | float]:
        """Smallest and largest value."""
        if not self.values.size:
            return self.fill, self.fill
        low, high = self.values.min().item(), self.values.max().item()
        return (low, high) if self.values.size == self.shape[0] * self.shape[1] else (
            min(low, self.fill), max(high, self.fill)
        )  # fmt: skip

    def any(self) -> bool:
        """Whether any value is not 0."""
        return bool(self.fill) or bool(self.values.any())

    def with_margin(self) -> Values:
        """The rectangle and one pixel around it, as far as there are any."""
        rows, columns = self.values.shape
        top, left = min(self.row, 1), min(self.column, 1)
        bottom = min(self.shape[0] - self.row - rows, 1)
        right = min(self.shape[1] - self.column - columns, 1)
        if not top + left + bottom + right:
            return self.values
        result = np.full((rows + top + bottom, columns + left + right), self.fill, self.values.dtype)
        result[top : top + rows, left : left + columns] = self.values
        return result

    def outermost(self) -> Values:
        """Pixels of the first and last row and column, in any order, each of them once."""
        rows, columns = self.shape
        if min(rows, columns) < 3:
            return _rim(self.whole())
        part = self.values
        at: list[Values] = []
        if not part.size:
            return np.full(2 * (rows + columns) - 4, self.fill, part.dtype)
        if self.row == 0:
            at.append(part[0])
        if self.row + len(part) == rows:
            at.append(part[-1])
        inner = part[int(self.row == 0) : len(part) - int(self.row + len(part) == rows)]
        if self.column == 0:
            at.append(inner[:, 0])
        if self.column + part.shape[1] == columns:
            at.append(inner[:, -1])
        found = sum(len(piece) for piece in at)
        return np.concatenate([*at, np.full(2 * (rows + columns) - 4 - found, self.fill, part.dtype)])

    def mapped(self, change: Callable[[Values], Values]) -> Cropped:
        """What a change of each value by itself makes of it; cropped no further."""
        values = change(self.values) if self.values.size else change(self._filling())[:0, :0]
        return Cropped(self.shape, change(self._filling())[0, 0].item(), self.row, self.column, values)

    def _filling(self) -> Values:
        return np.full((1, 1), self.fill, self.values.dtype)


def cropped(plane: Values) -> Cropped:
    """Crop a plane, shape (rows, columns), at least one pixel."""
    shape = plane.shape[0], plane.shape[1]
    other = plane != plane[0, 0]
    rows = np.flatnonzero(other.any(axis=1))
    if not rows.size:
        return Cropped(shape, plane[0, 0].item(), 0, 0, plane[:0, :0].copy())
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(other[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return Cropped(shape, plane[0, 0].item(), top, left, plane[top:bottom, left:right].copy())


def _rim(plane: Values) -> Values:
    return np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])


class Planes(Sequence[Values]):
    """Planes that are whole while somebody looks at them."""

    def __init__(self, kept: Sequence[Cropped]) -> None:
        self.kept = tuple(kept)

    @overload
    def __getitem__(self, index: int) -> Values: ...
    @overload
    def __getitem__(self, index: slice) -> Planes: ...
    def __getitem__(self, index: int | slice) -> Values | Planes:
        """A whole plane, or some of the planes."""
        return Planes(self.kept[index]) if isinstance(index, slice) else self.kept[index].whole()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.kept)


class PlanesByPlace(Mapping[int, Values]):
    """The same by their places in a volume."""

    def __init__(self, kept: Mapping[int, Cropped]) -> None:
        self.kept = dict(kept)

    def __getitem__(self, place: int) -> Values:
        """A whole plane."""
        return self.kept[place].whole()

    def __iter__(self) -> Iterator[int]:
        """Places."""
        return iter(self.kept)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.kept)


def kept_of(planes: Sequence[Values]) -> Sequence[Cropped]:
    """Planes, cropped if they are not."""
    return planes.kept if isinstance(planes, Planes) else [cropped(plane) for plane in planes]
