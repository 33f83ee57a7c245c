"""How stored values become labels: a census of them, and what each stands for.

Everything is decided on *stored* values (before Modality LUT): a mask that was written as a copy of a CT inherits the
CT's RescaleIntercept, which says nothing about 0 and 1. Rescale is used as evidence only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from orthanc_mask2seg.core.pixels import StoredArray
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import Reason, Refusal

MAXIMUM_LABELS = 65535
"""SegmentNumber is an unsigned 16 bit number (PS3.3 C.8.20.4)."""

THIN_SHARE = 0.25
"""A value of which a smaller share of pixels equals the neighbour to the left is a grey level, not a region."""

FEW_VALUES = 2
MANY_THIN_VALUES = 8
"""So many thin values, being most of all values, make an image or a probability map out of what might be labels."""

EDGE_SHARE = 0.9
"""A value that fills so much of the outermost pixels of all planes surrounds what is segmented."""


@dataclass(slots=True)
class Census:
    """Counts over stored values, gathered plane by plane.

    Attributes
    ----------
    counts
        Pixels of each value.
    inner
        Pixels of each value whose left neighbour has the same value.
    edge
        Pixels of each value in the outermost rows and columns.
    around
        Values that surround all others in at least one plane.
    """

    counts: dict[int, int] = field(default_factory=dict)
    inner: dict[int, int] = field(default_factory=dict)
    edge: dict[int, int] = field(default_factory=dict)
    around: set[int] = field(default_factory=set)

    def add(self, plane: StoredArray) -> None:
        """Count one plane, shape (rows, columns)."""
        low, high = int(plane.min()), int(plane.max())
        if low == high:
            self._tally(self.counts, [low], [plane.size])
            self._tally(self.inner, [low], [plane.size - plane.shape[0]])
            self._tally(self.edge, [low], [_edge(plane).size])
            self.around.add(low)
            return
        same = plane[:, 1:][plane[:, 1:] == plane[:, :-1]]
        for target, values in ((self.counts, plane), (self.inner, same), (self.edge, _edge(plane))):
            found, numbers = _tally(values.ravel(), low, high)
            self._tally(target, found, numbers)
            if target is self.edge and max(numbers) >= EDGE_SHARE * values.size:
                self.around.add(found[numbers.index(max(numbers))])

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

    @property
    def thin_values(self) -> int:
        """How many values form no regions: grey levels of an image, or the ramps of a probability map."""
        return sum(self.inner.get(v, 0) < THIN_SHARE * n for v, n in self.counts.items())

    @property
    def discrete(self) -> bool:
        """Whether the values can be labels."""
        values = len(self.counts)
        thin = self.thin_values
        return values <= FEW_VALUES or thin < MANY_THIN_VALUES or thin * 2 < values

    @property
    def regions(self) -> bool:
        """Whether most values form regions, as labels do and the counts of a faint image do not."""
        return len(self.counts) == 1 or self.thin_values * 2 < len(self.counts)

    def edge_share(self, value: int) -> float:
        """Share of the outermost pixels that have this value."""
        return self.edge.get(value, 0) / max(1, sum(self.edge.values()))

    def surrounds(self, value: int) -> bool:
        """Whether this value fills most of the outermost pixels, and most of all pixels."""
        return self.edge_share(value) >= EDGE_SHARE and self.share(value) > 1 / 2

    def share(self, value: int) -> float:
        """Share of all pixels that have this value."""
        return self.counts.get(value, 0) / max(1, self.pixels)


def _edge(plane: StoredArray) -> StoredArray:
    return np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])


def _tally(values: StoredArray, low: int, high: int) -> tuple[list[int], list[int]]:
    """Distinct values and their counts, by counting where the range allows it and by sorting where it does not."""
    if high - low < 2**16:
        numbers = np.bincount((values.astype(np.int64) - low) if low else values)
        found = np.flatnonzero(numbers)
        return (found + low).tolist(), numbers[found].tolist()
    unique, numbers = np.unique(values, return_counts=True)
    return unique.tolist(), numbers.tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """What each stored value stands for.

    Attributes
    ----------
    labels
        Stored value to label value (1 to 65535); values that are not named are background.
    evidence
        Why.
    own_values
        The labels are values of the mask, so that a label table may name them; not numbers that were given here.
    colours
        Of a mask of colours, sRGB of each label, six hexadecimal digits; empty where all of them are grey.
    """

    labels: Mapping[int, int]
    evidence: tuple[str, ...]
    own_values: bool = True
    colours: Mapping[int, str] = field(default_factory=dict)

    def apply(self, plane: StoredArray) -> npt.NDArray[np.uint16]:
        """Label values of a plane of stored values, same shape; 0 is background."""
        stored = np.array(sorted(self.labels), dtype=np.int64)
        target = np.array([self.labels[int(v)] for v in stored], dtype=np.uint16)
        index = np.searchsorted(stored, plane)
        index[index == len(stored)] = 0
        return np.where(stored[index] == plane, target[index], np.uint16(0)).astype(np.uint16)


def labelling(census: Census, header: Dataset) -> Labelling | Refusal:
    """Decide which stored value is background and what the others are called.

    Parameters
    ----------
    census
        Of all planes of the mask series.
    header
        Of one of its instances: PhotometricInterpretation, Rescale*, PixelPaddingValue are the evidence.

    Returns
    -------
    Labelling, or Refusal
        `empty_mask` where nothing is segmented, `not_discrete` where the values are no labels, `not_a_mask` where all
        pixels are the same, `unsupported_pixel_data` where foreground cannot be told from background.
    """
    values = census.values
    described = _described(values)
    if not census.discrete:
        return Refusal(
            reason=Reason.NOT_DISCRETE,
            detail=f"The pixels have {len(values)} different values, most of which form no regions: "
            "this is an image or a probability map, not a mask of labels.",
            hint="Export the mask after thresholding, or set Threshold.",
            evidence=(described, f"{census.thin_values} of {len(values)} values form no regions"),
        )
    if len(values) == 1:
        return _constant(census, values[0], header)
    background, why = _background(census, header)
    if background is None:
        return Refusal(
            reason=Reason.UNSUPPORTED_PIXEL_DATA,
            detail=f"It cannot be told which of the values is background: {why}.",
            hint="Export the mask with background 0 and foreground above 0.",
            evidence=(described, *(f"{v}: {_whereabouts(census, v)}" for v in _commonest(census))),
        )
    kept = [v for v in values if v not in background]
    if not kept:
        return _constant(census, values[0], header)
    if len(kept) > MAXIMUM_LABELS:
        return Refusal(
            reason=Reason.TOO_LARGE,
            detail=f"The mask has {len(kept)} labels; a Segmentation holds at most {MAXIMUM_LABELS}.",
            hint="Split the mask into several series.",
            evidence=(described, f"{len(kept)} of {len(values)} values are no background"),
        )
    labels, own_values = _numbered(kept, background, header)
    colours = _colours(labels) if _is_coloured(header) else {}
    return Labelling(labels=labels, evidence=(described, why), own_values=own_values, colours=colours)


def _described(values: list[int]) -> str:
    shown = [str(v) for v in values]
    if len(values) > 12:
        shown = [*shown[:6], "...", *shown[-3:]]
    return f"stored values: {', '.join(shown)} ({counted(len(values), 'value')}, from {values[0]} to {values[-1]})"


def _commonest(census: Census) -> list[int]:
    return sorted(census.counts, key=lambda v: -census.counts[v])[:3]


def _whereabouts(census: Census, value: int) -> str:
    return f"{census.share(value):.0%} of all pixels, {census.edge_share(value):.0%} of the outermost"


def _constant(census: Census, value: int, header: Dataset) -> Refusal:
    if len(census.counts) > 1:
        found = f"{census.pixels} pixels, stored values {', '.join(map(str, census.values))}: background and padding"
    else:
        found = f"every pixel, of {census.pixels}, has the stored value {value}"
    if value <= 0 or _rescaled(value, header) == 0:
        return Refusal(
            reason=Reason.EMPTY_MASK,
            detail="The mask is empty: nothing is segmented in it.",
            hint="Nothing to do, unless a segmentation was expected.",
            evidence=(found,),
        )
    return Refusal(
        reason=Reason.NOT_A_MASK,
        detail="Every pixel of the series has the same value, so it marks nothing.",
        hint="Check the export of the mask.",
        evidence=(found,),
    )


def _rescaled(value: int, header: Dataset) -> float:
    try:
        return value * float(header.get("RescaleSlope") or 1) + float(header.get("RescaleIntercept") or 0)
    except (TypeError, ValueError):
        return float(value)


def _background(census: Census, header: Dataset) -> tuple[frozenset[int] | None, str]:
    """Stored values that are background and the reason, or (None, what is contradictory)."""
    padding = _padding(header, census)
    values = [v for v in census.values if v != padding]
    told = f"; {padding} is PixelPaddingValue" if padding is not None else ""
    outside = frozenset() if padding is None else frozenset({padding})
    if len(values) == 1:
        return outside | {values[0]} if values[0] == 0 else outside, f"{values[0]} is all there is{told}"
    photometric = str(header.get("PhotometricInterpretation", ""))
    if len(values) == FEW_VALUES:
        background, why = _background_of_two(census, values[0], values[1], photometric)
    else:
        background, why = _background_of_many(census, values, photometric, header)
    return (None, why) if background is None else (background | outside, why + told)


def _padding(header: Dataset, census: Census) -> int | None:
    """PixelPaddingValue where it occurs beside at least two other values; it may be written as if unsigned."""
    if "PixelPaddingValue" not in header or len(census.counts) <= FEW_VALUES:
        return None
    try:
        value, span = int(header["PixelPaddingValue"].value), 2 ** int(header.get("BitsAllocated") or 16)
    except (TypeError, ValueError):
        return None
    outermost = {census.values[0], census.values[-1]}
    return next((v for v in (value, value - span, value + span) if v in outermost and v != 0), None)


def _background_of_two(census: Census, low: int, high: int, photometric: str) -> tuple[frozenset[int] | None, str]:
    surrounding = [v for v in (low, high) if census.surrounds(v)]
    if photometric == "MONOCHROME1" or (low < 0 and high == 0):
        if not surrounding:
            return None, f"{low} and {high} in {photometric}, and neither surrounds the other"
        share = census.edge_share(surrounding[0])
        return frozenset(surrounding), f"{surrounding[0]} is background: {share:.0%} of the outermost pixels"
    inside = 1 - census.edge.get(low, 0) / census.counts[low]
    if high in surrounding and inside > 1 / 2:  # else a small image that its mask fills, with background at the rim
        return None, f"{high} surrounds {low}, as if the mask were inverted"
    return frozenset({low}), f"{low} is background: the lower of two values"


def _background_of_many(
    census: Census, values: list[int], photometric: str, header: Dataset
) -> tuple[frozenset[int] | None, str]:
    """Background among three or more values: 0, stored or rescaled, unless another value surrounds everything."""
    around = next((v for v in values if census.surrounds(v)), None)
    zero = 0 if 0 in values else next((v for v in values if _rescaled(v, header) == 0), None)
    if photometric == "MONOCHROME1" and zero is not None and around not in {None, zero}:
        return None, f"{around} surrounds the others in MONOCHROME1, as if the mask were inverted"
    if zero is not None and values[0] < 0 and (around is None or any(v < 0 for v in census.around)):
        return None, f"{values[0]} is there beside {zero}, and it cannot be told which of them is background"
    if zero is not None and around in {None, zero}:
        return frozenset({zero}), f"{zero} is background" + ("" if zero == 0 else ": 0 after rescale")
    if zero is not None:
        return None, f"{around} surrounds the others although {zero} is there"
    if around is not None and around in {values[0], values[-1]}:
        return frozenset({around}), f"{around} is background: {census.edge_share(around):.0%} of the outermost pixels"
    if around is not None or values[0] < 0:
        return None, "none of the values is 0, and none surrounds the others as background does"
    return frozenset(), "no value is background: all are labels"


def _numbered(kept: list[int], background: frozenset[int], header: Dataset) -> tuple[dict[int, int], bool]:
    """Label values, and whether they are the mask's own: stored, or rescaled where that is what makes 0 background."""
    own = {v: float(v) for v in kept}
    if 0 not in background and any(_rescaled(v, header) == 0 for v in background):
        own = {v: _rescaled(v, header) for v in kept}
    whole = {v: round(value) for v, value in own.items() if abs(value - round(value)) < 1e-6}
    if (
        not _is_coloured(header)
        and len(whole) == len(kept)
        and all(0 < label <= MAXIMUM_LABELS for label in whole.values())
    ):
        return whole, True
    return {v: number for number, v in enumerate(kept, start=1)}, False


def _is_coloured(header: Dataset) -> bool:
    return int(header.get("SamplesPerPixel") or 1) > 1 or header.get("PhotometricInterpretation") == "PALETTE COLOR"


def _colours(labels: Mapping[int, int]) -> dict[int, str]:
    """Colour of each label; white on black alone was nobody's choice of a colour, so grey counts beside others only."""
    colours = {label: f"{value:06x}" for value, label in labels.items()}
    return colours if any(len({c[:2], c[2:4], c[4:]}) > 1 for c in colours.values()) else {}
