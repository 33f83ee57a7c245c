"""The table of organs and findings: true codes, and no code for what is not understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr._concepts_dict import concepts

from orthanc_mask2seg.core.labels import LabelRow
from orthanc_mask2seg.core.terms import CATEGORIES, LATERALITY, TERMS, Coding, Term, vocabulary
from orthanc_mask2seg.core.totalsegmentator import table
from orthanc_mask2seg.core.words import fold, known, words
from orthanc_mask2seg.model import CodedConcept

MEANINGS: dict[tuple[str, str], set[str]] = {}
for scheme, keywords in concepts.items():
    for variants in keywords.values():
        for value, (meaning, _) in variants.items():
            MEANINGS.setdefault((scheme, value), set()).add(meaning)


def of_coding(coding: Coding | Term | None) -> set[CodedConcept]:
    return {coding.category, coding.property_type, *coding.modifiers, *coding.regions} if coding else set()


def of_row(row: LabelRow) -> set[CodedConcept]:
    return of_coding(row.coding)


def shown(name: str) -> str:
    """Codes of a name in words: "Left Kidney", "Cyst in Liver"; '' for none."""
    coding = vocabulary().match(name)
    if coding is None:
        return ""
    text = " ".join(c.meaning for c in (*coding.modifiers, coding.property_type))
    return text + "".join(f" in {region.meaning}" for region in coding.regions)


def test_every_code_is_in_the_dictionaries_of_pydicom_with_this_meaning() -> None:
    """Terms, categories, lateralities and the classes of TotalSegmentator."""
    used = {*CATEGORIES.values(), *LATERALITY.values()}
    for term in TERMS:
        used |= of_coding(term)
    for row in table().rows.values():
        used |= of_row(row)
    wrong = [c for c in used if c.meaning not in MEANINGS.get((c.scheme_designator, c.value), set())]
    assert len(used) > 200
    assert wrong == []


def test_no_name_stands_for_two_terms() -> None:
    """Whatever the order of its words, its case and its accents."""
    owners: dict[tuple[str, ...], str] = {}
    for term in TERMS:
        for name in (n for names in (*term.names, term.adjectives) for n in names):
            key = tuple(sorted(w.key for w in words(name)))
            assert owners.setdefault(key, term.name) == term.name, name


@pytest.mark.parametrize("term", TERMS, ids=lambda t: t.name)
def test_every_name_means_its_term(term: Term) -> None:
    """As it is, in capitals, with underscores, and as a mask."""
    for name in (n for names in term.names for n in names):
        for written in (name, name.upper(), name.replace(" ", "_"), f"{name}-Maske", f"mask_{name}", f"{name}マスク"):
            found = vocabulary().match(written)
            assert found is not None, written
            assert (found.property_type, found.colour) == (term.property_type, term.colour), written


@pytest.mark.parametrize("term", TERMS, ids=lambda t: t.name)
def test_colours_are_cielab(term: Term) -> None:
    """L* from 0 to 100, a* and b* from -128 to 127."""
    lightness, a, b = term.colour
    assert 20 <= lightness <= 100, "seen on a dark image"
    assert max(abs(a), abs(b)) < 127


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LiverMask", "Liver"), ("liver_mask", "Liver"), ("seg_liver_v2", "Liver"), ("mask-Leber", "Liver"),
        ("Lebermaske", "Liver"), ("LIVER SEG 01", "Liver"), ("portal venous phase liver mask", "Liver"),
        ("kidney_left", "Left Kidney"), ("L kidney", "Left Kidney"), ("Niere re", "Right Kidney"),
        ("rein gauche", "Left Kidney"), ("riñón derecho", "Right Kidney"), ("左肾", "Left Kidney"),
        ("右腎臓", "Right Kidney"), ("肾_右", "Right Kidney"), ("both kidneys", "Bilateral Kidney"),
        ("Nieren bds", "Bilateral Kidney"), ("leftkidney", "Left Kidney"), ("LeftKidney", "Left Kidney"),
        ("Gefaesse", "Blood Vessel"), ("liver vessels", "Blood Vessel in Liver"), ("venacava", "Vena cava"),
        ("liver tumour", "Neoplasm in Liver"), ("livertumor01", "Neoplasm in Liver"), ("肝肿瘤", "Neoplasm in Liver"),
        ("Lebermetastasen", "Neoplasm, Secondary in Liver"), ("tumeur de l'ovaire", "Neoplasm in Ovary"),
        ("hepatic cyst", "Cyst in Liver"), ("Nierenzyste links", "Left Cyst in Kidney"),
        ("kidney_cyst_left", "Left Cyst in Kidney"), ("肺結節", "Nodule in Lung"), ("lymph node metastasis",
        "Neoplasm, Secondary in Lymph Node"), ("left ventricle", "Left ventricle"),
        ("heart_atrium_left", "Left atrium"), ("lung_middle_lobe_right", "Middle lobe of right lung"),
        ("upper lobe of the left lung", "Left Upper lobe of lung"), ("vertebrae_L5", "L5 vertebra"),
        ("LWK 5", "L5 vertebra"), ("BWK12", "T12 vertebra"), ("第5腰椎", "L5 vertebra"), ("rib_left_6", "Left Rib"),
        ("liver segment IV", "Couinaud hepatic segment IV"), ("Lebersegment 4", "Couinaud hepatic segment IV"),
        ("GTV", "GTV"), ("GTV_Mass", "GTV"), ("GTV mask 0-255", "GTV"), ("GTV (tumour slices only)", "GTV"),
        ("GTVp", "GTV Primary"), ("GTVn1", "GTV Nodal"), ("PTV_60Gy", "PTV"), ("CTV lung left", "Left CTV in Lung"),
        ("TotalSegmentator liver", "Liver"), ("pulmonary artery", "Pulmonary artery"),
    ],
)  # fmt: skip
def test_names_are_understood(name: str, expected: str) -> None:
    """In six languages, as compounds, with sides and regions."""
    assert shown(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "", "mask", "ROI", "L", "left", "5", "GREEN", "liver without vessels", "Leber ohne Tumor", "hígado sin tumor",
        "liver + spleen", "liver/spleen", "liver and spleen", "liver?", "~liver", "non-liver", "liver minus tumour",
        "Restleber", "Fettleber", "peritumoral", "perirenal fat", "left liver", "left aorta", "left right both spleen",
        "liver_seg_4", "liver seg IV", "T1 liver", "muscle mass", "Muskelmasse", "bone mass", "body mass",
        "tumour necrosis", "tumor free liver", "pulmonary", "hepatic", "GTV liver spleen", "GTV edema", "GTV+5mm",
        "TotalSegmentator labelmap", "heart rate", "liver " + "mask " * 60, "1a" * 500,
        "sliver", "deliver", "vertebrae_L9",
    ],
)  # fmt: skip
def test_what_is_not_understood_has_no_code(name: str) -> None:
    """Two organs, negations, unknown words, sides of what has none."""
    assert shown(name) == ""


NAMES = sorted({n for term in TERMS for names in term.names for n in names})


@given(
    name=st.sampled_from(NAMES),
    unknown=st.text("bcdfghjkqwxz", min_size=3, max_size=12),
    at=st.integers(0, 3),
    separator=st.sampled_from([" ", "_", "-", " - ", ", "]),
)
def test_an_unknown_word_takes_every_code_away(name: str, unknown: str, at: int, separator: str) -> None:
    """Wherever it stands."""
    if known(fold(unknown), vocabulary().lexicon):
        return
    parts = name.split()
    parts.insert(at, unknown)
    assert vocabulary().match(separator.join(parts)) is None


@given(st.text(max_size=80))
def test_any_text_can_be_asked(text: str) -> None:
    """And what is understood once is understood again."""
    assert vocabulary().match(text) == vocabulary().match(text)
