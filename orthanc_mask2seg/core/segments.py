"""What a label means: names, codes and colours of segments.

An unknown name is never given a borrowed code: category and type stay generic and the name goes to SegmentLabel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from orthanc_mask2seg.model import CodedConcept, SegmentSpec

MAXIMUM_LABEL_LENGTH = 64
"""SegmentLabel is a long string (LO, PS3.5 section 6.2)."""

MORPHOLOGICALLY_ABNORMAL = CodedConcept(
    value="49755003", scheme_designator="SCT", meaning="Morphologically Abnormal Structure"
)
ANATOMICAL_STRUCTURE = CodedConcept(value="91723000", scheme_designator="SCT", meaning="Anatomical structure")
TISSUE = CodedConcept(value="85756007", scheme_designator="SCT", meaning="Tissue")

_NOISE = re.compile(
    r"(?<![^\W_])(mask|masks|seg|segmentation|label|labels|labelmap|binary|tumou?r slices only)(?![^\W_])",
    re.IGNORECASE,
)
_LEFT_OVER = re.compile(r"[\s_\-:;,.()\[\]/\\]+")
_NUMBERS_ONLY = re.compile(r"^[\d\s\-.]*$")

_PALETTE = (
    (63.2, 59.6, 46.0), (65.7, -41.3, 31.0), (60.3, -9.4, -41.5), (84.0, 3.7, 77.9), (58.5, 58.5, -36.3),
    (78.9, -34.8, -10.2), (71.4, 27.9, 62.6), (51.0, 34.7, -66.0), (86.6, -42.9, 64.9), (74.6, 37.2, 6.0),
    (47.4, -20.8, 12.4), (55.3, 17.5, 30.6), (69.3, 20.9, -28.0), (62.1, -1.8, 37.0), (79.7, -8.0, -18.9),
)  # fmt: skip
"""CIELab colours that are told apart on grey images; after the last, they begin again, darker."""


def describe(labels: Sequence[int], series_description: str) -> tuple[SegmentSpec, ...]:
    """Describe the labels of one mask series.

    Parameters
    ----------
    labels
        Label values that have voxels, ascending.
    series_description
        SeriesDescription of the mask: the name of its one segment, or the first part of the names of many.

    Returns
    -------
    tuple of SegmentSpec
        One per label, in the same order.
    """
    name = clean_name(series_description)
    if len(labels) == 1:
        return (_generic(name or "Segment 1", 0),)
    return tuple(_generic(f"{name} {label}".strip() if name else f"Label {label}", i) for i, label in enumerate(labels))


def clean_name(text: str) -> str:
    """Name of a structure without "mask", "seg" and the like; '' where nothing else is left.

    Examples
    --------
    >>> clean_name("liver mask")
    'liver'
    >>> clean_name("GTV_Mass")
    'GTV_Mass'
    >>> clean_name("mask")
    ''
    """
    rest = _NOISE.sub(" ", text).strip()
    if rest == text.strip():
        return _shortened(rest)
    rest = _LEFT_OVER.sub(" ", rest).strip()
    return "" if _NUMBERS_ONLY.match(rest) else _shortened(rest)


def _shortened(text: str) -> str:
    printable = "".join(c for c in text if c.isprintable() and c != "\\")
    return printable[:MAXIMUM_LABEL_LENGTH].strip()


def _generic(label: str, index: int) -> SegmentSpec:
    return SegmentSpec(
        label=label[:MAXIMUM_LABEL_LENGTH],
        category=TISSUE,
        property_type=TISSUE,
        recommended_display_cielab=colour(index),
        needs_coding=True,
    )


def colour(index: int) -> tuple[float, float, float]:
    """CIELab colour of the index-th segment, counted from 0."""
    lightness, a, b = _PALETTE[index % len(_PALETTE)]
    rounds = index // len(_PALETTE)
    return (max(25.0, lightness - 12.0 * rounds), a, b)


def renumbered_colours(specs: Sequence[SegmentSpec]) -> tuple[SegmentSpec, ...]:
    """Give generic segments that were described apart from each other colours that differ."""
    return tuple(
        replace(spec, recommended_display_cielab=colour(index)) if spec.needs_coding else spec
        for index, spec in enumerate(specs)
    )
