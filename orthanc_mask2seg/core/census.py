"""Counts over stored values, gathered plane by plane: how many, where they lie, and what lies beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.core.cropped import Cropped, cropped
from orthanc_mask2seg.core.pixels import StoredArray

THIN_SHARE = 0.25
"""A value of which a smaller share of neighbours has the same value is thin."""

MIXED_SHARE = 0.25
"""A thin value of which a larger share of neighbours has yet other values than background is a grey level."""

TINY = 8
"""Pixels of a thin value beside background alone, as the mean of these values, up to which they are specks that
somebody marked (contacts of electrodes, micro-calcifications); beyond this they are noise."""

MOST_SPECKS = 256
"""More different values of specks are noise."""

FEW_VALUES = 2
MANY_GREY_VALUES = 8
"""So many grey levels, being most of all values, make an image or a probability map out of what might be labels."""

EDGE_SHARE = 0.9
"""A value that fills so much of the outermost pixels of (so many of) the planes surrounds what is segmented."""

FEW_LABELS = 3
"""More values than this in one plane are two labels at least."""


@dataclass(slots=True)
class Census:
    """Counts over stored values.

    Attributes
    ----------
    counts
        Pixels of each value.
    unlike
        Sides (above, below, left, right) of its pixels on which a pixel of another value lies.
    mixed
        Of these, sides on which neither it nor the other is the commonest value of the plane.
    diagonal
        Pairs of diagonal neighbours that both have the value; not of the commonest value of a plane.
    edge
        Pixels of each value in the outermost rows and columns.
    around
        Planes in which a value surrounds all others.
    reached
        Pixels of values that hold a corner of a plane, but of 0, from which a straight line of the same value leads to
        the rim: outside of any convex field of view, all of them.
    few
        Sets of values of planes with few values.
    crowded
        Some plane has more values.
    planes
        Planes counted.
    """

    counts: dict[int, int] = field(default_factory=dict)
    unlike: dict[int, int] = field(default_factory=dict)
    mixed: dict[int, int] = field(default_factory=dict)
    diagonal: dict[int, int] = field(default_factory=dict)
    edge: dict[int, int] = field(default_factory=dict)
    around: dict[int, int] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)
    few: set[frozenset[int]] = field(default_factory=set)
    crowded: bool = False
    planes: int = 0

    def add(self, plane: StoredArray | Cropped) -> None:
        """Count one plane, shape (rows, columns)."""
        self.planes += 1
        kept = plane if isinstance(plane, Cropped) else cropped(plane)
        size, span = kept.shape[0] * kept.shape[1], kept.span()
        low, high = int(span[0]), int(span[1])
        edge = kept.outermost()
        if low == high:
            self._tally(self.counts, [low], [size])
            self._tally(self.edge, [low], [edge.size])
            self._tally(self.around, [low], [1])
            self._tally(self.reached, [low], [size])
            self.few.add(frozenset({low}))
            return
        corner, inner = int(kept.fill), kept.with_margin()
        values, numbers = _tally(inner.ravel(), low, high)
        if inner.size < size:
            numbers[values.index(corner)] += size - inner.size
        self._tally(self.counts, values, numbers)
        if len(values) <= FEW_LABELS:
            self.few.add(frozenset(values))
        else:
            self.crowded = True
        outer, outermost = _tally(edge, low, high)
        self._tally(self.edge, outer, outermost)
        if max(outermost) >= EDGE_SHARE * edge.size:
            self._tally(self.around, [outer[outermost.index(max(outermost))]], [1])
        common = values[numbers.index(max(numbers))]
        self._beside(inner if common == corner else kept.whole(), common, (low, high))
        if any(outer):
            whole = kept.whole()
            for value in {int(v) for v in whole[[0, 0, -1, -1], [0, -1, 0, -1]]} - {0}:
                self._tally(self.reached, [value], [_reached(whole == value)])

    def _beside(self, plane: StoredArray, common: int, span: tuple[int, int]) -> None:
        for one, other in ((plane[:, 1:], plane[:, :-1]), (plane[1:], plane[:-1])):
            differ = one != other
            a, b = one[differ], other[differ]
            if not a.size:
                continue
            grey = (a != common) & (b != common)
            for target, chosen in ((self.unlike, (a, b)), (self.mixed, (a[grey], b[grey]))):
                both = np.concatenate(chosen)
                if both.size:
                    self._tally(target, *_tally(both, *span))
        for one, other in ((plane[1:, 1:], plane[:-1, :-1]), (plane[1:, :-1], plane[:-1, 1:])):
            alike = one[(one == other) & (one != common)]
            if alike.size:
                self._tally(self.diagonal, *_tally(alike, *span))

    @staticmethod
    def _tally(target: dict[int, int], values: Sequence[int], numbers: Sequence[int]) -> None:
        for value, number in zip(values, numbers, strict=True):
            target[value] = target.get(value, 0) + number

    @property
    def values(self) -> list[int]:
        """Distinct values, ascending."""
        return sorted(self.counts)

    @property
    def pixels(self) -> int:
        """Pixels counted."""
        return sum(self.counts.values())

    def _sides(self, value: int) -> int:
        """Sides of the pixels of a value on which another pixel lies."""
        return max(1, 4 * self.counts[value] - self.edge.get(value, 0))

    def _thin(self, value: int) -> bool:
        return 1 - self.unlike.get(value, 0) / self._sides(value) < THIN_SHARE

    def _mixed(self, value: int) -> bool:
        return self.mixed.get(value, 0) > MIXED_SHARE * self._sides(value)

    def _linear(self, value: int) -> bool:
        """Whether the pixels of a value are joined, if only by their corners."""
        sides = max(0, self._sides(value) - self.unlike.get(value, 0))
        return sides + 2 * self.diagonal.get(value, 0) >= self.counts[value]

    @property
    def thin_values(self) -> int:
        """How many values form no regions, but specks."""
        return sum(self._thin(v) for v in self.counts)

    def _specks(self) -> tuple[list[int], bool]:
        """Thin values beside background alone, and whether these are many pixels that hardly touch: noise."""
        thin = (v for v in self.counts if self._thin(v) and not self._mixed(v))
        specks = [v for v in thin if not self._linear(v)]
        pixels = sum(self.counts[v] for v in specks)
        return specks, pixels > TINY * max(self.planes, len(specks)) or len(specks) > MOST_SPECKS

    @property
    def grey_values(self) -> int:
        """How many values are grey levels: of an image, or of the ramps of a probability map.

        They are thin, and lie beside other grey levels. What lies beside background alone is a small or thin region,
        unless it is noise.
        """
        specks, noise = self._specks()
        return sum(self._thin(v) and self._mixed(v) for v in self.counts) + (len(specks) if noise else 0)

    @property
    def discrete(self) -> bool:
        """Whether the values can be labels."""
        values = len(self.counts)
        grey = self.grey_values
        return values <= FEW_VALUES or grey < MANY_GREY_VALUES or grey * 2 < values

    @property
    def regions(self) -> bool:
        """Whether most values form regions, as labels do and the counts of a faint image do not."""
        specks, noise = self._specks()
        small = 0 if noise or len(specks) < FEW_VALUES else len(specks)  # several labels of a few pixels each
        values = len(self.counts) - small
        return values <= 1 or (self.thin_values - small) * 2 < values

    def edge_share(self, value: int) -> float:
        """Share of the outermost pixels that have this value."""
        return self.edge.get(value, 0) / max(1, sum(self.edge.values()))

    def surrounds(self, value: int) -> bool:
        """Whether this value fills most of the outermost pixels, and most of all pixels."""
        return self.edge_share(value) >= EDGE_SHARE and self.share(value) > 1 / 2

    def frames(self, value: int) -> bool:
        """Whether this value fills most of the outermost pixels, and does so in nearly every plane."""
        return self.edge_share(value) >= EDGE_SHARE and self.around.get(value, 0) >= EDGE_SHARE * self.planes

    def share(self, value: int) -> float:
        """Share of all pixels that have this value."""
        return self.counts.get(value, 0) / max(1, self.pixels)

    def renamed(self, names: Mapping[int, int]) -> Census:
        """The same census of other values: `names` has one for each, and several may have the same."""
        result = Census(crowded=self.crowded, planes=self.planes)
        for own, target in (
            (self.counts, result.counts), (self.unlike, result.unlike), (self.mixed, result.mixed),
            (self.diagonal, result.diagonal), (self.edge, result.edge), (self.around, result.around),
            (self.reached, result.reached),
        ):  # fmt: skip
            self._tally(target, [names[v] for v in own], list(own.values()))
        result.few = {frozenset(names[v] for v in found) for found in self.few}
        return result

    def never_together(self, values: Sequence[int]) -> bool:
        """Whether no two of these values occur in the same plane."""
        return not self.crowded and all(len(found.intersection(values)) <= 1 for found in self.few)


def _reached(region: npt.NDArray[np.bool_]) -> int:
    """Pixels of a region from which a straight line within it leads to the rim."""
    found = np.zeros_like(region)
    for turned, target in ((region, found), (region.T, found.T)):
        for lines, reached in ((turned, target), (turned[:, ::-1], target[:, ::-1])):
            begun = np.flatnonzero(lines[:, 0])
            reached[begun] |= np.logical_and.accumulate(lines[begun], axis=1)
    return int(np.count_nonzero(found))


def _tally(values: StoredArray, low: int, high: int) -> tuple[list[int], list[int]]:
    """Distinct values and their counts, by counting where the range allows it and by sorting where it does not."""
    if high - low < 2**16:
        numbers = np.bincount((values.astype(np.int64) - low) if low else values)
        found = np.flatnonzero(numbers)
        return (found + low).tolist(), numbers[found].tolist()
    unique, numbers = np.unique(values, return_counts=True)
    return unique.tolist(), numbers.tolist()
