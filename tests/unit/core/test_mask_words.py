"""Words by which people call their masks, and words of images that look like them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_mask2seg.core.detect import says_mask
from orthanc_mask2seg.core.segments import clean_name
from orthanc_mask2seg.core.terms import vocabulary
from orthanc_mask2seg.core.words import MASK, mask_word
from orthanc_mask2seg.model import ArchiveKey, Series, Uid


def says(description: str) -> bool:
    return says_mask(
        Series(
            key=ArchiveKey("a"),
            series_instance_uid=Uid("1.2"),
            study_instance_uid=Uid("1.3"),
            series_description=description,
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "mask", "MASK", "mask01", "liver mask", "LiverMask", "livermask", "CTmask", "seg", "seg_LeftKidney_v2", "seg1",
        "tumor_seg_2", "LIVER SEG 01", "Lebermaske", "LEBERMASKE", "leber-maske", "Leber Maske", "Nierenzystenmasken",
        "Herdmaske", "Segmentierung", "Autosegmentierung", "binär", "masque foie", "Masque du foie", "étiquette",
        "segmentation hépatique", "máscara", "máscara hígado", "mascara higado", "segmentación", "etiquetas", "分割",
        "肝脏分割", "标签", "掩膜", "肝_掩码", "マスク", "肝臓マスク", "ﾏｽｸ", "セグメンテーション", "ラベル",
        "labelmap", "ROI 1", "GTV", "GTVp", "GTVn1", "PTV_60Gy", "contours", "Konturen",
    ],
)  # fmt: skip
def test_masks_are_called_so(text: str) -> None:
    """In six languages, alone, as compounds, in any case."""
    assert says(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "MIP", "liver", "Leber", "T1 FS", "Vesikulär", "Segmental", "Segmentektomie", "unmasked", "unmask",
        "masked", "Maskelyne", "Damask", "maskulin", "segment 4 liver dynamic", "liver seg 4 dynamic", "seg IV Leber",
        "Lebersegment 4", "Lungensegmente", "cine segmented", "segmented EPI", "4D CT bin 5", "labelled RBC",
        "spin label", "Planungs-CT mit Maske", "CT with mask", "CT_without_mask", "Bestrahlungsmaske", "unsharp mask",
        "CT sin máscara", "マスク固定 CT", "分割照射", "Labyrinth", "Roissy", "Binaural", "contourlet", "Masse",
        "Massage", "Segovia",
    ],
)  # fmt: skip
def test_images_are_not(text: str) -> None:
    """Words that hold such a word, and masks that a patient wears."""
    assert not says(text)


@pytest.mark.parametrize(
    "text",
    ["Lebermaske", "leber-maske", "masque foie", "máscara hígado", "肝脏分割", "肝臓マスク", "Segmentierung Leber"],
)
def test_one_vocabulary_detects_and_names(text: str) -> None:
    """What detection takes for a word of masks is gone from the label, and the rest is coded."""
    coding = vocabulary().match(text)
    assert says(text)
    assert coding is not None
    assert coding.property_type.meaning == "Liver"
    assert not says(clean_name(text))


@pytest.mark.parametrize("word", sorted(MASK))
def test_every_word_that_names_a_mask_is_cleaned_and_detected(word: str) -> None:
    """There is one list."""
    assert mask_word(word)
    assert mask_word(f"XY_{word.upper()}")
    assert clean_name(word) == ""


@given(st.text(max_size=300))
def test_any_description_can_be_asked(text: str) -> None:
    """The word is a part of what was written."""
    assert isinstance(mask_word(text), str)
