"""How numbers and instances are put into the words that people read in details, hints and evidence."""

from __future__ import annotations

import re

from pydicom import Dataset


def counted(number: int, noun: str, plural: str = "") -> str:
    """Number with its noun, in the singular where it is one.

    Examples
    --------
    >>> counted(1, "slice"), counted(0, "slice"), counted(2, "class", "classes")
    ('1 slice', '0 slices', '2 classes')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def instance_of(header: Dataset) -> str:
    """Name of an instance: its SOPInstanceUID, and nothing that could be the patient's.

    Examples
    --------
    >>> data = Dataset()
    >>> instance_of(data)
    'an instance without a SOPInstanceUID'
    >>> data.SOPInstanceUID = "1.2.3"
    >>> instance_of(data)
    'instance 1.2.3'
    """
    uid = str(header.get("SOPInstanceUID") or "")
    return f"instance {uid}" if re.fullmatch(r"[0-9.]{1,64}", uid) else "an instance without a SOPInstanceUID"
