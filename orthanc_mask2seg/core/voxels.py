"""How stored values become labels: a census of them, and what each stands for.

Everything is decided on *stored* values (before Modality LUT): a mask that was written as a copy of a CT inherits the
CT's RescaleIntercept, which says nothing about 0 and 1. Rescale is used as evidence only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from pydicom import Dataset

from orthanc_mask2seg.core.background import background, rescaled
from orthanc_mask2seg.core.census import FEW_VALUES, Census
from orthanc_mask2seg.core.cropped import Cropped
from orthanc_mask2seg.core.pixels import PALETTE_SHIFT, StoredArray
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import LabelArray, Reason, Refusal

__all__ = ["MAXIMUM_LABELS", "Census", "Labelling", "labelling"]

MAXIMUM_LABELS = 65535
"""SegmentNumber is an unsigned 16 bit number (PS3.3 C.8.20.4)."""

RGB = 2**24 - 1


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

    def apply_to(self, plane: Cropped) -> Cropped:
        """The same of a plane that is cropped."""
        return plane.mapped(self.apply)

    def apply(self, plane: StoredArray) -> LabelArray:
        """Label values of a plane of stored values, same shape; 0 is background.

        Their type is the smallest that holds all labels; where every stored value is its own label, the plane itself.
        """
        small = max(self.labels.values()) <= np.iinfo(np.uint8).max
        if plane.dtype == np.uint8:
            if small and all(self.labels.get(v) == v for v in range(1, int(plane.max()) + 1)) and 0 not in self.labels:
                return plane.view(np.uint8)
            table = np.zeros(256, np.uint8 if small else np.uint16)
            for value, label in self.labels.items():
                if 0 <= value < len(table):
                    table[value] = label
            return np.asarray(table[plane])
        stored = np.array(sorted(self.labels), dtype=np.int64)
        target = np.array([self.labels[int(v)] for v in stored], dtype=np.uint8 if small else np.uint16)
        index = np.searchsorted(stored, plane)
        index[index == len(stored)] = 0
        return np.where(stored[index] == plane, target[index], target.dtype.type(0))


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
    if header.get("PhotometricInterpretation") == "PALETTE COLOR":
        return _of_palette(census, header)
    return _labelling(census, header, coloured=_is_coloured(header))


def _of_palette(census: Census, header: Dataset) -> Labelling | Refusal:
    """Labels are the indices of a palette, each with its colour; the colours, where palettes differ between images."""
    names = {v: v >> PALETTE_SHIFT for v in census.values}
    one_palette = len(set(names.values())) == len(names)
    if not one_palette:
        names = {v: v & RGB for v in census.values}
    black = [names[v] for v in census.values if not v & RGB]
    only_black = black[0] if len(black) == 1 and black != [0] else None
    found = _labelling(census.renamed(names), header, coloured=not one_palette, black=only_black)
    if isinstance(found, Refusal):
        return found
    labels = {v: found.labels[name] for v, name in names.items() if name in found.labels}
    if one_palette:
        colours = _chosen({label: f"{v & RGB:06x}" for v, label in labels.items()})
        return replace(found, labels=labels, colours=colours, evidence=(*found.evidence, "labels are palette indices"))
    return replace(
        found, labels=labels, evidence=(*found.evidence, "palettes differ between images: labels are colours")
    )


def _labelling(census: Census, header: Dataset, *, coloured: bool, black: int | None = None) -> Labelling | Refusal:
    if _is_coloured(header):  # what a header says of grey values was inherited
        header = _without(header, "RescaleSlope", "RescaleIntercept", *(("PixelPaddingValue",) if coloured else ()))
    values = census.values
    described = _described(values)
    if not census.discrete:
        return Refusal(
            reason=Reason.NOT_DISCRETE,
            detail=f"The pixels have {len(values)} different values, most of which form no regions: "
            "this is an image or a probability map, not a mask of labels.",
            hint="Export the mask after thresholding, or set Threshold.",
            evidence=(described, f"{census.grey_values} of {len(values)} values are grey levels"),
        )
    if len(values) == 1:
        return _constant(census, values[0], header)
    around = background(census, header, coloured=coloured, black=black)
    if around.values is None:
        return Refusal(
            reason=Reason.UNSUPPORTED_PIXEL_DATA,
            detail=f"It cannot be told which of the values is background: {around.why}.",
            hint="Export the mask with background 0 and foreground above 0.",
            evidence=(described, *(f"{v}: {_whereabouts(census, v)}" for v in _commonest(census))),
        )
    kept = [v for v in values if v not in around.values]
    if not kept:
        return _constant(census, values[0], header)
    if len(kept) > MAXIMUM_LABELS:
        return Refusal(
            reason=Reason.TOO_LARGE,
            detail=f"The mask has {len(kept)} labels; a Segmentation holds at most {MAXIMUM_LABELS}.",
            hint="Split the mask into several series.",
            evidence=(described, f"{len(kept)} of {len(values)} values are no background"),
        )
    labels, own_values = _numbered(kept, around.values, header, coloured=coloured)
    colours = _chosen({label: f"{v:06x}" for v, label in labels.items()}) if coloured else {}
    evidence = (described, around.why, *_apart(census, kept))
    return Labelling(labels=labels, evidence=evidence, own_values=own_values, colours=colours)


def _apart(census: Census, kept: list[int]) -> tuple[str, ...]:
    """A remark where two labels may be one, written in two ways."""
    if len(kept) < FEW_VALUES or not census.never_together(kept):
        return ()
    if len(kept) == FEW_VALUES:
        return (f"values {kept[0]} and {kept[1]} never occur in the same slice",)
    return (f"no two of the {len(kept)} labels occur in the same slice",)


def _without(header: Dataset, *keywords: str) -> Dataset:
    result = Dataset()
    result.update(header)
    for keyword in keywords:
        if keyword in result:
            delattr(result, keyword)
    return result


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
    if value <= 0 or rescaled(value, header) == 0 or _is_black(value, header):
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


def _is_black(value: int, header: Dataset) -> bool:
    """Whether MONOCHROME1 shows it as black as it can: an inverted mask without foreground."""
    if header.get("PhotometricInterpretation") != "MONOCHROME1":
        return False
    bits = int(header.get("BitsStored") or 0) - int(header.get("PixelRepresentation") or 0)
    return value in {255, 2**bits - 1 if bits > 1 else 255}


def _numbered(
    kept: list[int], around: frozenset[int], header: Dataset, *, coloured: bool
) -> tuple[dict[int, int], bool]:
    """Label values, and whether they are the mask's own: stored, or rescaled where that is what makes 0 background."""
    own = {v: float(v) for v in kept}
    if 0 not in around and any(rescaled(v, header) == 0 for v in around):
        own = {v: rescaled(v, header) for v in kept}
    whole = {v: round(value) for v, value in own.items() if abs(value - round(value)) < 1e-6}
    if not coloured and len(whole) == len(kept) and all(0 < label <= MAXIMUM_LABELS for label in whole.values()):
        return whole, True
    return {v: number for number, v in enumerate(kept, start=1)}, False


def _is_coloured(header: Dataset) -> bool:
    return int(header.get("SamplesPerPixel") or 1) > 1 or header.get("PhotometricInterpretation") == "PALETTE COLOR"


def _chosen(colours: dict[int, str]) -> dict[int, str]:
    """Colour of each label; white on black alone was nobody's choice of a colour, so grey counts beside others only."""
    return colours if any(len({c[:2], c[2:4], c[4:]}) > 1 for c in colours.values()) else {}
