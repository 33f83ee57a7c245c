"""What a plane of labels holds, found in one pass over it: runs of equal labels, and from these everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.model import LabelArray, LabelVolume

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Region:
    """Where one label lies in a plane.

    Attributes
    ----------
    first_row, last_row
        Rows between which (inclusively) all of its pixels lie.
    """

    label: int
    pixels: int
    first_row: int
    last_row: int


@dataclass(frozen=True, slots=True)
class Runs:
    """A plane as runs of equal labels, row after row.

    Attributes
    ----------
    starts
        Index of each run's first pixel, shape (runs,).
    labels
        Label of each run, shape (runs,); 0 is background.
    shape
        (rows, columns) of the plane.
    """

    starts: Numbers
    labels: LabelArray
    shape: tuple[int, int]

    def digested(self) -> bytes:
        """The same bytes for the same plane, whatever type its labels have."""
        size = np.array([*self.shape, len(self.starts)], "<u4")
        return size.tobytes() + self.starts.astype("<u4").tobytes() + self.labels.astype("<u2").tobytes()

    def regions(self) -> list[Region]:
        """Where each label lies, in ascending order; background is none."""
        marked = np.flatnonzero(self.labels)
        if not marked.size:
            return []
        ends = np.append(self.starts[1:], self.shape[0] * self.shape[1])[marked]
        starts, labels = self.starts[marked], self.labels[marked]
        order = np.argsort(labels, kind="stable")
        starts, ends, labels = starts[order], ends[order], labels[order]
        first = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
        last = np.append(first[1:], len(labels)) - 1
        pixels = np.add.reduceat(ends - starts, first)
        columns = self.shape[1]
        return [
            Region(*one)
            for one in zip(
                labels[first].tolist(),
                pixels.tolist(),
                (starts[first] // columns).tolist(),  # runs are in the order of the rows, and the sort has kept that
                ((ends[last] - 1) // columns).tolist(),
                strict=True,
            )
        ]


def runs_of(plane: LabelArray) -> Runs:
    """Runs of a plane, shape (rows, columns)."""
    flat = plane.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return Runs(starts, flat[starts], (plane.shape[0], plane.shape[1]))


def overlapping(layers: Sequence[LabelVolume]) -> bool:
    """Whether a voxel belongs to more than one segment."""
    places = Counter(place for layer in layers for place in layer.planes)
    return any(
        _share_a_pixel([layer.planes[place] for layer in layers if place in layer.planes])
        for place, holders in places.items()
        if holders > 1
    )


def _share_a_pixel(planes: Sequence[LabelArray]) -> bool:
    taken = planes[0] != 0
    for plane in planes[1:]:
        marked = plane != 0
        if np.logical_and(taken, marked).any():
            return True
        taken |= marked
    return False
