"""Is this series a mask? Content and context, with evidence for and against, never one sign alone.

Weights are added up: positive for a mask, negative for an image. Two values, say, are strong evidence, and still a
test phantom's CT holds only 0 and 1; so the series that it could belong to is judged in the same way, and the mask is
the one with clearly more evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from orthanc_mask2seg.core.census import FEW_VALUES, Census
from orthanc_mask2seg.core.references import links_of_planes, referenced
from orthanc_mask2seg.core.terms import vocabulary
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.core.words import mask_word
from orthanc_mask2seg.model import Evidence, ImageSeries, Series

CLEAR_MASK = 0.75
"""A series without positions that has less evidence than this, and nobody names, is a screenshot, not a mask."""

SHARED_WITH_IMAGES = 0.3
"""For a mask: its SOPInstanceUIDs are those of an image series, or it refers to one."""

COINCIDES_WITH_IMAGES = 0.15
"""For a mask: it lies on an image series, pixel on pixel."""

CLEAR_MARGIN = 0.15
"""A series is taken for the mask of another few-valued series only if it has so much more evidence."""

PASSED_OVER_MODALITIES = frozenset(
    {
        "SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "REG", "DOC", "ECG", "AU", "FID", "RWV",
        "SMR", "PLAN", "ANN", "SM", "HD", "EPS", "M3D", "TEXTUREMAP", "AR", "KER", "VA", "LEN",
    }
)  # fmt: skip
"""Modalities that are no images of voxels, or are segmentations already."""


OWN_MANUFACTURER = "orthanc_mask2seg"
"""Manufacturer of what this software makes: a picture of a segmentation is no mask, and no source of one."""


def passed_over_by_index(series: Series) -> str | None:
    """Why a series cannot be a mask, from the archive's index alone; None where it may be one."""
    modality = series.modality.upper()
    if modality in PASSED_OVER_MODALITIES:
        return f"modality_{modality.lower()}"
    if series.manufacturer == OWN_MANUFACTURER:
        return "own_output"
    if not series.instance_keys:
        return "no_instances"
    return None


def says_mask(series: Series) -> bool:
    """Whether the SeriesDescription calls the series a mask."""
    return bool(mask_word(series.series_description))


def may_be_source(series: Series) -> bool:
    """Whether a segmentation may refer to this series, from the archive's index alone."""
    return passed_over_by_index(series) is None


def mask_evidence(header: Dataset, census: Census) -> tuple[Evidence, ...]:
    """Evidence that a series is a mask rather than an image.

    Parameters
    ----------
    header
        Of one instance.
    census
        Of a few planes of the series, or of all.
    """
    return (_of_values(census), *_of_background(census), *header_evidence(header))


def weight(evidence: Sequence[Evidence]) -> float:
    """Sum of the weights, to the hundredth: they are no finer."""
    return round(sum(e.weight for e in evidence), 2)


def link_evidence(mask: ImageSeries, images: ImageSeries) -> tuple[Evidence, ...]:
    """Evidence that a series was made from another one: shared SOPInstanceUIDs, or references."""
    planes = len(mask.volume.planes)
    ours = {p.sop_instance_uid for p in mask.volume.planes}
    shared = len(ours & {p.sop_instance_uid for p in images.volume.planes})
    if shared:
        text = f"{shared} of {counted(len(ours), 'SOPInstanceUID')} shared with an image series of the study"
        return (Evidence(text=text, weight=round(SHARED_WITH_IMAGES * shared / len(ours), 2)),)
    linked = sum(bool(found) for found in links_of_planes(mask, images))
    if linked:
        text = f"{linked} of {counted(planes, 'plane')} refer to images of another series"
        return (Evidence(text=text, weight=round(SHARED_WITH_IMAGES * linked / planes, 2)),)
    if images.series.series_instance_uid in referenced(mask):
        return (Evidence(text="refers to an image series of the study", weight=SHARED_WITH_IMAGES / 2),)
    return ()


def coincidence(planes: int) -> Evidence:
    """Evidence of a series all of whose planes lie on those of an image series."""
    return Evidence(
        text=f"{counted(planes, 'plane')} on those of an image series, pixel on pixel", weight=COINCIDES_WITH_IMAGES
    )


def names_finding(description: str) -> bool:
    """Whether a description is wholly the name of an organ or a finding, with or without a word for a mask.

    Examples
    --------
    >>> names_finding("Milz"), names_finding("GTV 2"), names_finding("CT thorax 5 mm B30f")
    (True, True, False)
    """
    return vocabulary().match(description) is not None


def looks_like_mask(header: Dataset, *, referred: bool = False) -> bool:
    """Whether a few-valued series is called, or typed, as masks are, so that it is no image of a patient.

    Parameters
    ----------
    referred
        Another series says that it was made from this one: then a mere word for masks in its description is not enough.
    """
    description = str(header.get("SeriesDescription") or "")
    image_type = _image_type(header)
    if names_finding(description) or "DERIVED" in image_type or any(mask_word(v) for v in image_type):
        return True
    return not referred and bool(mask_word(description))


def _of_values(census: Census) -> Evidence:
    values, thin = len(census.counts), census.thin_values
    if not census.discrete:
        return Evidence(text=f"{values} distinct values, {thin} of them without regions", weight=-1.0)
    if values <= FEW_VALUES:
        return Evidence(text=counted(values, "distinct value"), weight=0.5)
    if census.regions:
        return Evidence(text=f"{values} distinct values that form regions", weight=0.4 - 0.02 * min(thin, 10))
    return Evidence(text=f"{values} distinct values, {thin} of them without regions", weight=0.3 - 0.02 * min(thin, 10))


def _of_background(census: Census) -> list[Evidence]:
    if 0 in census.counts:
        return [Evidence(text=f"0 fills {census.share(0):.0%} of the pixels", weight=0.1)]
    return [Evidence(text="0 does not occur", weight=-0.1)]


def header_evidence(header: Dataset) -> tuple[Evidence, ...]:
    """What a header says for a mask: its SeriesDescription and ImageType."""
    found = []
    description = str(header.get("SeriesDescription") or "")
    word = mask_word(description)
    if word:
        found.append(Evidence(text=f"SeriesDescription holds the word '{word}'", weight=0.3))
    elif names_finding(description):
        found.append(Evidence(text="SeriesDescription is the name of an organ or a finding", weight=0.15))
    image_type = _image_type(header)
    if "DERIVED" in image_type:
        found.append(Evidence(text="ImageType is DERIVED", weight=0.1))
    if any(mask_word(v) for v in image_type[2:]):
        found.append(Evidence(text="ImageType names a mask", weight=0.2))
    return tuple(found)


def _image_type(header: Dataset) -> list[str]:
    return [str(v).upper() for v in _values(header.get("ImageType"))]


def _values(value: object) -> list[object]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]  # a pydicom MultiValue
