"""What names the patient is taken out of what names a structure: "Mask of John Smith" is a mask, not a "John Smith".

A segment's label travels further than the series it came from: into tables, reports and screenshots.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from pydicom import Dataset
from pydicom.multival import MultiValue

from orthanc_mask2seg.core.words import fold

NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ResponsiblePerson")
IDENTIFIERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate")

_SHORTEST_NAME = 2
_SHORTEST_IDENTIFIER = 3
_WORD = re.compile(r"[^\W_]+")
_LEFT_BEHIND = re.compile(r"(?:^|(?<=\s))(?:of|for|von|de|du|di|del|para|pour|patient|pat)\s*$", re.IGNORECASE)


def without_patient(text: str, header: Dataset, lexicon: Collection[str]) -> str:
    """Text without the words that are the patient's name or number.

    Parameters
    ----------
    text
        What somebody called a structure or a series.
    header
        Of an instance of the same patient.
    lexicon
        Folded words that name structures: they stay, even where a patient is called so.

    Examples
    --------
    >>> header = Dataset()
    >>> header.PatientName, header.PatientID = "Smith^John", "P-0815"
    >>> without_patient("Mask of John Smith", header, ())
    'Mask'
    >>> without_patient("liver P-0815", header, {"liver"})
    'liver'
    """
    found = text
    for identifier in _values(header, IDENTIFIERS):
        if len(identifier) >= _SHORTEST_IDENTIFIER or fold(found.strip()) == fold(identifier):
            found = re.sub(rf"(?<![^\W_]){re.escape(identifier)}(?![^\W_])", " ", found, flags=re.IGNORECASE)
    own = {fold(word) for name in _values(header, NAMES) for word in _WORD.findall(name)}
    own = {word for word in own if len(word) >= _SHORTEST_NAME and not word.isdigit() and word not in lexicon}
    found = _WORD.sub(lambda word: " " if fold(word[0]) in own else word[0], found)
    return text if found == text else _LEFT_BEHIND.sub("", " ".join(found.split())).strip(" ^,;:-_")


def _values(header: Dataset, keywords: Collection[str]) -> Iterator[str]:
    for keyword in keywords:
        value = header.get(keyword)
        for part in value if isinstance(value, (MultiValue, list)) else [value]:
            text = "" if part is None else str(part).strip()
            if text:
                yield text
