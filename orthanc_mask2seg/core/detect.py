"""Is this series a mask? Content and context, with evidence for and against, never one sign alone.

Weights are added up: positive for a mask, negative for an image. Two values, say, are strong evidence, and still a
test phantom's CT holds only 0 and 1; so the series that it could belong to is judged in the same way, and the mask is
the one with clearly more evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from orthanc_mask2seg.core.voxels import Census
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.core.words import mask_word
from orthanc_mask2seg.model import Evidence, Series

CLEAR_MASK = 0.75
"""A series without positions that has less evidence than this, and nobody names, is a screenshot, not a mask."""

CLEAR_MARGIN = 0.15
"""A series is taken for the mask of another few-valued series only if it has so much more evidence."""

PASSED_OVER_MODALITIES = frozenset(
    {
        "SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "REG", "DOC", "ECG", "AU", "FID", "RWV",
        "SMR", "PLAN", "ANN", "SM", "HD", "EPS", "M3D", "TEXTUREMAP", "AR", "KER", "VA", "LEN",
    }
)  # fmt: skip
"""Modalities that are no images of voxels, or are segmentations already."""


def passed_over_by_index(series: Series) -> str | None:
    """Why a series cannot be a mask, from the archive's index alone; None where it may be one."""
    modality = series.modality.upper()
    if modality in PASSED_OVER_MODALITIES:
        return f"modality_{modality.lower()}"
    if not series.instance_keys:
        return "no_instances"
    return None


def says_mask(series: Series) -> bool:
    """Whether the SeriesDescription calls the series a mask."""
    return bool(mask_word(series.series_description))


def may_be_source(series: Series) -> bool:
    """Whether a segmentation may refer to this series, from the archive's index alone."""
    return series.modality.upper() not in PASSED_OVER_MODALITIES and bool(series.instance_keys)


def mask_evidence(header: Dataset, census: Census) -> tuple[Evidence, ...]:
    """Evidence that a series is a mask rather than an image.

    Parameters
    ----------
    header
        Of one instance.
    census
        Of a few planes of the series, or of all.
    """
    return (_of_values(census), *_of_background(census), *_of_header(header))


def weight(evidence: Sequence[Evidence]) -> float:
    """Sum of the weights."""
    return sum(e.weight for e in evidence)


def _of_values(census: Census) -> Evidence:
    values = len(census.counts)
    if not census.discrete:
        return Evidence(text=f"{values} distinct values, {census.thin_values} of them without regions", weight=-1.0)
    if values <= 2:
        return Evidence(text=counted(values, "distinct value"), weight=0.5)
    return Evidence(text=f"{values} distinct values that form regions", weight=0.4 - 0.02 * min(census.thin_values, 10))


def _of_background(census: Census) -> list[Evidence]:
    if 0 in census.counts:
        return [Evidence(text=f"0 fills {census.share(0):.0%} of the pixels", weight=0.1)]
    return [Evidence(text="0 does not occur", weight=-0.1)]


def _of_header(header: Dataset) -> list[Evidence]:
    found = []
    word = mask_word(str(header.get("SeriesDescription") or ""))
    if word:
        found.append(Evidence(text=f"SeriesDescription holds the word '{word}'", weight=0.3))
    image_type = [str(v).upper() for v in _values(header.get("ImageType"))]
    if "DERIVED" in image_type:
        found.append(Evidence(text="ImageType is DERIVED", weight=0.1))
    if any(mask_word(v) for v in image_type[2:]):
        found.append(Evidence(text="ImageType names a mask", weight=0.2))
    return found


def _values(value: object) -> list[object]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]  # a pydicom MultiValue
