"""What a label means: names, codes and colours of segments.

An unknown name is never given a borrowed code: category and type stay generic and the name goes to SegmentLabel.

Where a name comes from, in this order: the label table, by value; SeriesDescription; where that says nothing, the
attributes that a mask borrows from segmentations (SegmentLabel, SegmentDescription, ROIName), ContentDescription and
ContentLabel; PatientName, only if the site says so, and the folder that the files were in, both only where it is the
name of a structure that the vocabulary knows; and BodyPartExamined, which says where the segment lies and not what it
is. Other free text (ImageComments, DerivationDescription, ProtocolName) is not used: it may speak of the patient. Words
that are the patient's name or number are taken out of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset

from orthanc_mask2seg.core import totalsegmentator
from orthanc_mask2seg.core.colours import Cielab, of_palette, told_apart
from orthanc_mask2seg.core.labels import ALGORITHM_TYPES, LabelRow, LabelTable
from orthanc_mask2seg.core.patient_words import without_patient
from orthanc_mask2seg.core.terms import CATEGORIES, Coding, Term, Vocabulary, vocabulary
from orthanc_mask2seg.core.words import SIDES, Word, rest, significant, without_phrases
from orthanc_mask2seg.model import CodedConcept, SegmentSpec

MAXIMUM_LABEL_LENGTH = 64
"""SegmentLabel is a long string (LO, PS3.5 section 6.2)."""

TISSUE = CATEGORIES["tissue"]
"""Category and type of what has no code."""

UNSPECIFIED = "unspecified"
_TEXTS = ("SeriesDescription", "SegmentAlgorithmName", "ManufacturerModelName", "SoftwareVersions",
          "ContentDescription", "DerivationDescription")  # fmt: skip
_NAMES = ("SegmentLabel", "SegmentDescription", "ROIName", "ContentDescription", "ContentLabel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How a site names its segments.

    Attributes
    ----------
    table
        What label values mean.
    algorithm_type
        SegmentAlgorithmType of segments of which nothing else says it.
    patient_name_rule
        PatientName may name the structure, as in 3D-IRCADb.
    content_creator_name
        Who made the segmentation, where the mask does not say it.
    terms
        The site's own terms, beside those of `table`.
    """

    table: LabelTable | None = None
    algorithm_type: str = "SEMIAUTOMATIC"
    algorithm_name: str = UNSPECIFIED
    patient_name_rule: bool = False
    content_creator_name: str = "mask2seg^"
    terms: tuple[Term, ...] = ()

    @property
    def vocabulary(self) -> Vocabulary:
        """The names that are known."""
        return vocabulary((*self.terms, *(self.table.terms if self.table else ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """What a segment is called, and where it lies if only that is known."""

    text: str
    coding: Coding | None = None
    regions: tuple[CodedConcept, ...] = ()


def describe(
    labels: Sequence[int],
    header: Dataset,
    naming: Naming | None = None,
    *,
    colours: Mapping[int, Cielab] | None = None,
    before: int = 0,
    folder_names: Sequence[str] = (),
) -> tuple[SegmentSpec, ...]:
    """Describe the labels of one mask series.

    Parameters
    ----------
    labels
        Label values that have voxels, ascending.
    header
        Of any instance of the mask.
    naming
        The site's table and rules.
    colours
        That the mask itself gives its labels. The site's table goes before them, the usual colour of an organ behind.
    before
        Segments of the same object that come before these: colours that nobody chose are taken from there on.
    folder_names
        See `model.Series`.

    Returns
    -------
    tuple of SegmentSpec
        One per label, in the same order; labels that would be named alike are numbered.
    """
    naming = naming or Naming()
    table = _table(labels, header, naming)
    found = _name(header, naming, folder_names, single=len(labels) == 1)
    specs = []
    for index, label in enumerate(labels):
        row = table.rows.get(label) if table else None
        if row is not None and _overruled(row, found, labels, table):
            row = None
        if row is None:
            row = _row(label, labels, header, found, naming)
        regions = found.regions if len(labels) == 1 else ()
        spec = _spec(row, index, regions if row.coding is None else row.coding.regions)
        colour = _colour(row, (colours or {}).get(label)) or of_palette(before + index)
        spec = replace(spec, recommended_display_cielab=colour)
        specs.append(_with_algorithm(spec, row, label, labels, header, naming))
    return told_apart_specs(specs)


def _colour(row: LabelRow, own: Cielab | None) -> Cielab | None:
    """The site's table, the mask itself and the table of terms are asked, in this order."""
    coding = row.coding
    if coding is not None and coding.usual_colour:
        return own or coding.colour
    return row.colour or (coding.colour if coding else None) or own


def _table(labels: Sequence[int], header: Dataset, naming: Naming) -> LabelTable | None:
    if naming.table is not None and naming.table.rows:
        return naming.table
    texts = [_text(header, keyword) for keyword in _TEXTS]
    known = totalsegmentator.applies(labels, texts, _text(header, "Modality"))
    return totalsegmentator.table() if known else None


def _overruled(row: LabelRow, found: _Name, labels: Sequence[int], table: LabelTable | None) -> bool:
    """Whether the name of a mask of one label goes before the table: the 1 of a "liver mask" is no class number."""
    if len(labels) > 1:
        return False
    if found.coding is not None:
        return row.coding is None or row.coding.property_type != found.coding.property_type
    built_in = table is not None and table.name == totalsegmentator.NAME
    return built_in and bool(found.text) and not totalsegmentator.named_in(found.text)


def _row(label: int, labels: Sequence[int], header: Dataset, found: _Name, naming: Naming) -> LabelRow:
    """Name of a label that no table names."""
    if len(labels) == 1:
        return LabelRow(name=found.text or "Segment 1", coding=found.coding)
    item = _item(header, label)
    own = _shortened(_said(item, "SegmentLabel", header, naming.vocabulary)) if item is not None else ""
    if own:
        return LabelRow(name=own, coding=naming.vocabulary.match(own))
    return LabelRow(name=f"{found.text} {label}" if found.text else f"Label {label}")


def _name(header: Dataset, naming: Naming, folder_names: Sequence[str], *, single: bool) -> _Name:
    """The first text that says something; else what BodyPartExamined adds to nothing."""
    known = naming.vocabulary
    for text in _candidates(header, known, single=single):
        if _says_something(known.words(without_phrases(text))):
            return _Name(text=clean_name(text, known), coding=known.match(text))
    patient_name = _text(header, "PatientName").replace("^", " ")
    for text in (patient_name, *folder_names) if naming.patient_name_rule else folder_names:
        coding = known.match(text)
        if coding is not None:
            return _Name(text=clean_name(text, known), coding=coding)
    text = clean_name(_said(header, "SeriesDescription", header, known), known)
    place = known.match(_text(header, "BodyPartExamined")) if single else None
    if place is None or text or place.category != CATEGORIES["anatomical structure"]:
        return _Name(text=text)
    name = _shortened(_text(header, "BodyPartExamined")).lower()
    return _Name(text=f"Segment 1 ({name})", regions=(place.property_type,))


def _candidates(header: Dataset, known: Vocabulary, *, single: bool) -> Iterator[str]:
    yield _said(header, "SeriesDescription", header, known)
    items = list(header.get("SegmentSequence") or ())
    if single and len(items) == 1:
        yield _said(items[0], "SegmentLabel", header, known)
        yield _said(items[0], "SegmentDescription", header, known)
    for keyword in _NAMES:
        yield _said(header, keyword, header, known)


def _says_something(found: Sequence[Word]) -> bool:
    return any(not w.key.isdigit() and w.key not in SIDES for w in significant(found))


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()


def _said(data: Dataset, keyword: str, header: Dataset, known: Vocabulary) -> str:
    """What an attribute says, without the words that name the patient of `header`."""
    return without_patient(_text(data, keyword), header, known.lexicon)


def _item(header: Dataset, label: int) -> Dataset | None:
    """What the mask itself says of a label, in the way of segmentations."""
    return next((i for i in header.get("SegmentSequence") or () if _text(i, "SegmentNumber") == str(label)), None)


def clean_name(text: str, known: Vocabulary | None = None) -> str:
    """Name of a structure without "mask", "seg" and the like; '' where nothing else is left.

    Examples
    --------
    >>> clean_name("seg_LeftKidney_v2")
    'Left Kidney'
    >>> clean_name("GTV_Mass"), clean_name("GTV mask 0-255")
    ('GTV_Mass', 'GTV')
    >>> clean_name("mask")
    ''
    """
    known = known or vocabulary()
    found = known.words(without_phrases(text))
    if not any(w.noise for w in found):
        return _shortened(text)
    return _shortened(rest(found)) if any(not w.noise and not w.key.isdigit() for w in found) else ""


def _shortened(text: str, length: int = MAXIMUM_LABEL_LENGTH) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text if c != "\\")
    return " ".join(printable.split())[:length].strip()


def _spec(row: LabelRow, index: int, regions: tuple[CodedConcept, ...]) -> SegmentSpec:
    coding = row.coding
    return SegmentSpec(
        label=_shortened(row.name) or f"Segment {index + 1}",
        category=coding.category if coding else TISSUE,
        property_type=coding.property_type if coding else TISSUE,
        property_type_modifiers=coding.modifiers if coding else (),
        anatomic_regions=regions,
        needs_coding=coding is None,
    )


def _with_algorithm(
    spec: SegmentSpec, row: LabelRow, label: int, labels: Sequence[int], header: Dataset, naming: Naming
) -> SegmentSpec:
    """Who drew it: the table, the mask and the settings are asked, in this order."""
    item = _item(header, label) if len(labels) > 1 else next(iter(header.get("SegmentSequence") or ()), None)
    own = header if item is None else item
    kind = row.algorithm_type or _text(own, "SegmentAlgorithmType").upper()
    name = row.algorithm_name or _shortened(_text(own, "SegmentAlgorithmName"))
    if not name and naming.algorithm_name == UNSPECIFIED and totalsegmentator.named_in(_text(header, _TEXTS[0])):
        name = "TotalSegmentator"
    return replace(
        spec,
        algorithm_type=kind if kind in ALGORITHM_TYPES else naming.algorithm_type,
        algorithm_name=name or naming.algorithm_name,
    )


def told_apart_specs(specs: Sequence[SegmentSpec]) -> tuple[SegmentSpec, ...]:
    """Give segments of one object, described together or apart, labels and colours that differ."""
    colours = told_apart(spec.recommended_display_cielab for spec in specs)
    taken: set[str] = set()
    result = []
    for spec, colour in zip(specs, colours, strict=True):
        label = _free(spec.label, taken)
        taken.add(label)
        result.append(replace(spec, label=label, tracking_id=label, recommended_display_cielab=colour))
    return tuple(result)


def _free(label: str, taken: set[str]) -> str:
    number, free = 1, label
    while free in taken:
        number += 1
        ending = f" {number}"
        free = label[: MAXIMUM_LABEL_LENGTH - len(ending)].rstrip() + ending
    return free
