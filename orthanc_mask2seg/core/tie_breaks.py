"""What tells apart series that a mask lies on equally well: attributes and a description that it took from one of them.

Two reconstructions of one scan share their geometry to the last digit. A mask that was written as a copy of one carries
that one's ConvolutionKernel and times, and is often called "Thorax 1.0 B70f mask". What was drawn is told by words,
too: "lung mask" says nothing of a series called "lung". So a name counts only where it holds the whole description of
one series, and in it a kernel, a thickness or a phase that the rivals' lack; and it never outweighs anything else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset
from pydicom.datadict import dictionary_is_retired

from orthanc_mask2seg.core.placement import Weighed, scored
from orthanc_mask2seg.core.terms import vocabulary
from orthanc_mask2seg.core.words import SIDES, fold
from orthanc_mask2seg.model import Evidence, ImageSeries

SAME_COPIED_TAGS = 0.15

NAMED_AFTER = 0.06
"""Just more than the lead that decides: a name settles a tie, and nothing else."""

_NOT_COPIED = frozenset(
    {
        "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "SeriesNumber", "InstanceNumber", "ImageType",
        "SpecificCharacterSet", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
        "RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth", "Modality", "Rows",
        "Columns", "SmallestImagePixelValue", "LargestImagePixelValue", "PhotometricInterpretation",
        "WindowCenterWidthExplanation", "InstanceCreationDate", "InstanceCreationTime", "ImagePositionPatient",
        "SliceLocation", "LossyImageCompression", "SamplesPerPixel", "SOPClassUID",
    }
)  # fmt: skip
"""Attributes that a tool changes when it writes a mask, or that say nothing of where the mask was drawn."""

_PHASES_AND_KERNELS = """
    venous venös venöse veineux veineuse venosa venoso arterial arteriell arterielle artériel artérielle arterioso
    portalvenous portalvenös late delayed spät tardif tardive tardía native nativ unenhanced enhanced noncontrast
    precontrast postcontrast standard sharp smooth detail flair stir dwi adc swi tse gre vibe haste mprage dixon t1w t2w
"""
_ACQUISITION = frozenset(fold(word) for word in _PHASES_AND_KERNELS.split())
"""Words for phases, kernels and pulse sequences, folded. Kernels called as what they show ("lung", "bone", "soft") are
left out on purpose."""

_TOKEN = re.compile(r"\d+(?:[.,]\d+)?\s?mm(?![^\W_])|\d+[.,]\d+|[^\W_]+")
_KERNEL = re.compile(r"[a-z]{1,2}\d{2,3}[a-z]{0,2}")
"""B70f, Br38f, FC51."""
_NO_KERNEL = re.compile(r"(?:co|th|[cdlstv])\d+")
"""Vertebrae, doses (D95, V20) and versions look like kernels."""
_THICKNESS = re.compile(r"\d+(?:\.\d+)?mm|\d+\.\d+")


def tell_apart(mask: ImageSeries, good: Sequence[Weighed]) -> list[Weighed]:
    """Add the evidence of copied attributes, and of a name where geometry leaves a tie.

    Parameters
    ----------
    good
        Candidates that the mask lies on, weighed by their place.

    Returns
    -------
    list of Weighed
        In the same order.
    """
    copied = _of_copied_tags(mask, good)
    found = _of_name(mask, good, copied)
    return [
        replace(w, candidate=scored(w.source.series, (*w.candidate.evidence, *tags, *name)))
        for w, tags, name in zip(good, copied, found, strict=True)
    ]


def _of_copied_tags(mask: ImageSeries, good: Sequence[Weighed]) -> list[tuple[Evidence, ...]]:
    """Evidence of the attributes in which candidates on the mask's grid differ: a copy has its original's."""
    result: list[tuple[Evidence, ...]] = [()] * len(good)
    paired = [i for i, w in enumerate(good) if w.pairs]
    if len(paired) < 2:
        return result
    texts = {i: _comparable(_first_paired(good[i])) for i in paired}
    own = _comparable(mask.header(mask.volume.planes[good[paired[0]].pairs[0].mask_plane]))
    telling = [k for k in own if len({t.get(k, "") for t in texts.values()}) > 1]
    if not telling:
        return result
    for i, text in texts.items():
        same = sum(text.get(k) == own[k] for k in telling)
        verb = "is" if same == 1 else "are"
        attributes = "attribute" if len(telling) == 1 else "attributes"
        result[i] = (
            Evidence(
                text=f"{same} of {len(telling)} {attributes} in which the candidates differ {verb} as in the mask",
                weight=SAME_COPIED_TAGS * same / len(telling),
            ),
        )
    return result


def _of_name(
    mask: ImageSeries, good: Sequence[Weighed], copied: Sequence[tuple[Evidence, ...]]
) -> list[tuple[Evidence, ...]]:
    """Evidence of the name among the candidates that lie best, and equally well.

    Where copied attributes speak for another one, the name weighs as much as they do: then nobody can tell.
    """
    result: list[tuple[Evidence, ...]] = [()] * len(good)
    best = max((w.score for w in good), default=0.0)
    tied = [i for i, w in enumerate(good) if w.score == best]
    found = named_after(_description(mask), [_description(good[i].source) for i in tied])
    if found is None:
        return result
    named, words = tied[found[0]], found[1]
    text = f"the mask's SeriesDescription holds that of this series, the only one with '{words}'"
    tags = {i: sum(e.weight for e in copied[i]) for i in tied}
    behind = max(tags.values()) - tags[named]
    if behind > 0:
        text += ", but copied attributes are those of another"
    result[named] = (Evidence(text=text, weight=behind or NAMED_AFTER),)
    return result


def named_after(name: str, descriptions: Sequence[str]) -> tuple[int, str] | None:
    """Which of some descriptions a name was made from.

    Parameters
    ----------
    name
        SeriesDescription of a mask.
    descriptions
        Those of the candidates.

    Returns
    -------
    tuple of (int, str), or None
        Place among the descriptions, and the words that tell it from the others; None where nothing, or more than one
        description, does.

    Examples
    --------
    >>> named_after("Thorax 1.0 B70f liver mask", ["Thorax 1.0 B31f", "Thorax 1.0 B70f"])
    (1, 'b70f')
    >>> named_after("Lung mask", ["Soft", "Lung"]) is None
    True
    """
    ours, theirs = _tokens(name), [_tokens(d) for d in descriptions]
    found = []
    for index, tokens in enumerate(theirs):
        if not tokens or not _holds(ours, tokens):
            continue
        telling = [t for t in tokens if _tells(t, tokens)]
        rivals = [set(rival) for place, rival in enumerate(theirs) if place != index]
        if rivals and all(not rival.issuperset(telling) for rival in rivals):
            words = dict.fromkeys(t for t in telling if any(t not in rival for rival in rivals))
            found.append((index, ", ".join(words)))
    return found[0] if len(found) == 1 else None


def _description(series: ImageSeries) -> str:
    return series.series.series_description or str(series.headers[0].get("SeriesDescription") or "")


def _tokens(text: str) -> tuple[str, ...]:
    found = _TOKEN.findall(fold(text))
    return tuple(t.replace(",", ".").replace(" ", "") for t in found)


def _holds(tokens: tuple[str, ...], part: tuple[str, ...]) -> bool:
    """Whether a part stands in it in one piece."""
    return any(tokens[i : i + len(part)] == part for i in range(len(tokens) - len(part) + 1))


def _tells(token: str, description: tuple[str, ...]) -> bool:
    """Whether a word says how images were made, and cannot be the name of what was drawn on them."""
    others = [t for t in description if t != token]
    if _THICKNESS.fullmatch(token):
        return bool(others)  # alone, it may be a margin or a version
    if token in _ACQUISITION:  # "portal venous" alone may be a vein
        return any(not o.isdigit() and o not in _ACQUISITION and not _anatomical(o) for o in others)
    return bool(_KERNEL.fullmatch(token)) and not _NO_KERNEL.fullmatch(token) and not _anatomical(token)


def _anatomical(token: str) -> bool:
    """Whether a word, or a part of it, names an organ, a finding or a side."""
    table = vocabulary()
    return any(w.key in table.lexicon or w.key in SIDES for w in table.words(token))


def _first_paired(weighed: Weighed) -> Dataset:
    source = weighed.source
    return source.header(source.volume.planes[weighed.pairs[0].source_plane])


def _comparable(header: Dataset) -> dict[str, str]:
    """Attributes that a copy would have in common with its original, as text."""
    result = {}
    for element in header:
        keyword = element.keyword
        if not keyword or keyword in _NOT_COPIED or element.VR in {"SQ", "OB", "OW", "UN"}:
            continue
        if dictionary_is_retired(element.tag) or element.VM == 0:
            continue
        result[keyword] = str(element.value)
    return result
