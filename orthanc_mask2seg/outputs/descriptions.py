"""What a segment says of itself (PS3.3 C.8.20.4), read leniently from anybody's segmentation."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from orthanc_mask2seg.core.segments import TISSUE
from orthanc_mask2seg.model import CodedConcept, SegmentSpec, Uid
from orthanc_mask2seg.outputs.codes import coded


def described(item: Dataset) -> SegmentSpec:
    """Description of a segment; what is missing is generic.

    Parameters
    ----------
    item
        Item of SegmentSequence.
    """
    types = _items(item, "SegmentedPropertyTypeCodeSequence")
    cielab = item.get("RecommendedDisplayCIELabValue")
    return SegmentSpec(
        label=str(item.get("SegmentLabel") or f"Segment {item.SegmentNumber}"),
        category=next(iter(_concepts(item, "SegmentedPropertyCategoryCodeSequence")), TISSUE),
        property_type=next(iter(_concepts(item, "SegmentedPropertyTypeCodeSequence")), TISSUE),
        property_type_modifiers=_concepts(types[0], "SegmentedPropertyTypeModifierCodeSequence") if types else (),
        anatomic_regions=_concepts(item, "AnatomicRegionSequence"),
        recommended_display_cielab=_colour(cielab) if cielab is not None and len(cielab) == 3 else (50.0, 0.0, 0.0),
        algorithm_type=str(item.get("SegmentAlgorithmType") or "SEMIAUTOMATIC"),
        algorithm_name=str(item.get("SegmentAlgorithmName") or "unspecified"),
        tracking_id=str(item.get("TrackingID") or ""),
        tracking_uid=Uid(str(item.get("TrackingUID") or "")),
    )


def _items(item: Dataset, keyword: str) -> Sequence[Dataset]:
    return list(item.get(keyword) or ())


def _concepts(item: Dataset, keyword: str) -> tuple[CodedConcept, ...]:
    found = []
    for code in _items(item, keyword):
        value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue")
        if value and code.get("CodeMeaning"):
            scheme = str(code.get("CodingSchemeDesignator") or "")
            found.append(coded(scheme, str(value), str(code.CodeMeaning)))
    return tuple(found)


def _colour(cielab: Sequence[int]) -> tuple[float, float, float]:
    """L*, a*, b* from their stored values (PS3.3 C.10.7.1.1)."""
    lightness, a, b = (int(v) for v in cielab)
    return lightness / 65535 * 100, a / 65535 * 255 - 128, b / 65535 * 255 - 128


def rgb(cielab: tuple[float, float, float]) -> tuple[int, int, int]:
    """Red, green and blue (sRGB, 0 to 255) of a CIELab colour under D50."""
    lightness, a, b = cielab
    y = (lightness + 16) / 116
    parts = [v**3 if v > 6 / 29 else 3 * (6 / 29) ** 2 * (v - 4 / 29) for v in (y + a / 500, y, y - b / 200)]
    x, y, z = (part * white for part, white in zip(parts, (0.96422, 1.0, 0.82521), strict=True))
    linear = (
        3.1338561 * x - 1.6168667 * y - 0.4906146 * z,
        -0.9787684 * x + 1.9161415 * y + 0.0334540 * z,
        0.0719453 * x - 0.2289914 * y + 1.4052427 * z,
    )
    red, green, blue = (_gamma(v) for v in linear)
    return red, green, blue


def _gamma(value: float) -> int:
    clipped = min(1.0, max(0.0, value))
    curved = 12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055
    return round(curved * 255)
