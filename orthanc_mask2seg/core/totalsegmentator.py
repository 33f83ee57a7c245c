"""The class numbers of TotalSegmentator 2, task "total" (117 classes), as a label table.

Source of numbers and names: `totalsegmentator/map_to_binary.py` of github.com/wasserth/TotalSegmentator (Apache-2.0).
The codes are ours, from the same table as all others. Where pydicom's dictionaries lack a class, the next wider
concept stands in (the gluteal muscles are skeletal muscles in the buttock), and the class keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from orthanc_mask2seg.core.labels import LabelRow, LabelTable
from orthanc_mask2seg.core.terms import Coding, vocabulary
from orthanc_mask2seg.core.words import significant
from orthanc_mask2seg.model import CodedConcept

NAME = "totalsegmentator"
_SPINE = [f"L{n}" for n in range(5, 0, -1)] + [f"T{n}" for n in range(12, 0, -1)] + [f"C{n}" for n in range(7, 0, -1)]


def _both(*names: str, first: str = "left") -> tuple[str, ...]:
    second = "right" if first == "left" else "left"
    return tuple(f"{name}_{side}" for name in names for side in (first, second))


NAMES: tuple[str, ...] = (
    "spleen", *_both("kidney", first="right"), "gallbladder", "liver", "stomach", "pancreas",
    *_both("adrenal_gland", first="right"),
    "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
    "lung_lower_lobe_right", "esophagus", "trachea", "thyroid_gland", "small_bowel", "duodenum", "colon",
    "urinary_bladder", "prostate", *_both("kidney_cyst"), "sacrum", "vertebrae_S1",
    *(f"vertebrae_{level}" for level in _SPINE),
    "heart", "aorta", "pulmonary_vein", "brachiocephalic_trunk",
    *_both("subclavian_artery", "common_carotid_artery", first="right"), *_both("brachiocephalic_vein"),
    "atrial_appendage_left", "superior_vena_cava", "inferior_vena_cava", "portal_vein_and_splenic_vein",
    *_both("iliac_artery", "iliac_vena", "humerus", "scapula", "clavicula", "femur", "hip"), "spinal_cord",
    *_both("gluteus_maximus", "gluteus_medius", "gluteus_minimus", "autochthon", "iliopsoas"),
    "brain", "skull", *(f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)),
    "sternum", "costal_cartilages",
)  # fmt: skip
"""Class 1 first."""

_SAID_AS = {"hip_left": "left hip bone", "hip_right": "right hip bone", "portal_vein_and_splenic_vein": "vein"}
_SAID_SO = re.compile(r"total[\s_-]?segmentator", re.IGNORECASE)
_MANY = re.compile(r"label[\s_-]?map|multi[\s_-]?label", re.IGNORECASE)
_OTHER_TASK = re.compile(r"total[\s_]mr|\bmr\b|\bv1\b", re.IGNORECASE)


@cache
def table() -> LabelTable:
    """All classes; those that have no code say so by having none."""
    return LabelTable(
        name=NAME, rows={number: LabelRow(name=n, coding=_coding(n)) for number, n in enumerate(NAMES, start=1)}
    )


def _coding(name: str) -> Coding | None:
    if name == "vertebrae_S1":
        found = vocabulary().match("vertebra")
        sacrum = CodedConcept(value="54735007", scheme_designator="SCT", meaning="Sacrum")
        return replace(found, regions=(sacrum,)) if found else None
    return vocabulary().match(_SAID_AS.get(name, name))


def named_in(text: str) -> bool:
    """Whether a text speaks of TotalSegmentator."""
    return _SAID_SO.search(text) is not None


def applies(labels: Sequence[int], texts: Sequence[str], modality: str) -> bool:
    """Whether the values of a mask are these classes, by what its header says.

    Parameters
    ----------
    texts
        SeriesDescription first, then other texts of the header.
    modality
        Of the mask, which often is that of its source: the classes of MR have other numbers.

    Notes
    -----
    A mask of one structure that TotalSegmentator made ("TotalSegmentator liver", values 0 and 1) is no label map.
    """
    if not any(map(named_in, texts)) or modality == "MR" or any(_OTHER_TASK.search(t) for t in texts):
        return False
    if not all(1 <= label <= len(NAMES) for label in labels):
        return False
    rest = _SAID_SO.sub(" ", texts[0] if texts else "")
    if any(not w.key.isdigit() for w in significant(vocabulary().words(rest))):
        return False
    return len(labels) > 1 or any(map(_MANY.search, texts))
