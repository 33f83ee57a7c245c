"""What a STOW-RS reply means (PS3.18 section 10.5.3), and whether an archive holds what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from orthanc_mask2seg.core.bounds import read_dicom
from orthanc_mask2seg.errors import ArchiveBusy, ArchiveDenied, ArchiveError, ArchiveFull, ArchiveRejected
from orthanc_mask2seg.pacs.dicomweb_http import DENIED_HINT, Record
from orthanc_mask2seg.pacs.dicomweb_json import first, number
from orthanc_mask2seg.pacs.part10 import DICOM_FAULTS
from orthanc_mask2seg.pacs.transfer import fault_of

OK = range(200, 300)
CONFLICT = 409

_PADDING = 0xFFFC
_FAILED = "00081198"
_REFERENCED = "00081199"
_SOP_UID = "00081155"
_FAILURE_REASON = "00081197"

_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_PROCESSING_FAILURE = 0x0110
_NOT_AUTHORISED = 0x0124
_MEANINGS = {0x0122: "it does not take segmentations", 0x0111: "it holds another instance of this UID"}


MOST_ITEMS = 1 << 21
"""Items of sequences in a file that we wrote: ten for each of its frames."""


def judge(status: int, reply: Record, sop_instance_uid: str) -> ArchiveError | None:
    """Why an instance was not stored, as the archive says; None where it says that it was.

    A warning (coerced or discarded elements) is left to the comparison.
    """
    for item in _items(reply, _FAILED):
        if first(item, _SOP_UID) in {sop_instance_uid, ""}:
            return _of_reason(number(item, _FAILURE_REASON))
    if status in OK:
        if any(first(item, _SOP_UID) == sop_instance_uid for item in _items(reply, _REFERENCED)):
            return None
        return ArchiveBusy("The archive answered to a store without saying that the instance is stored")
    kind = fault_of(status)
    hint = DENIED_HINT if kind is ArchiveDenied else ""
    return kind(f"The archive answered {status} to a store", hint=hint)


def _of_reason(reason: int | None) -> ArchiveError:
    """The fault that a FailureReason (PS3.18 table 10.5.3-3, PS3.7 annex C) stands for."""
    code = "" if reason is None else f" (FailureReason {reason:04X}H)"
    if reason == _NOT_AUTHORISED:
        return ArchiveDenied(f"The archive did not store the instance{code}", hint=DENIED_HINT)
    if reason is not None and reason in _OUT_OF_RESOURCES:
        return ArchiveFull(f"The archive did not store the instance{code}")
    if reason is None or reason == _PROCESSING_FAILURE:
        return ArchiveBusy(f"The archive did not store the instance{code}")
    meaning = _MEANINGS.get(reason, "")
    return ArchiveRejected(f"The archive did not store the instance{code}{': ' if meaning else ''}{meaning}")


def _items(reply: Record, tag: str) -> Iterator[Record]:
    element: Any = reply.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return (item for item in values or () if isinstance(item, dict))


def same_instance(held: bytes, sent: bytes) -> bool:
    """Whether two DICOM files hold the same data set, whatever their file meta information and encoding.

    An element is the same with the same bytes, or where these mean the same in the encoding of each.
    """
    if held == sent:
        return True
    try:
        one, other = _plain(held), _plain(sent)
        return one.keys() == other.keys() and all(_same_element(one, other, tag) for tag in one.keys())  # noqa: SIM118
    except DICOM_FAULTS:
        return False


def _plain(content: bytes) -> Dataset:
    """The data set alone, without what only an encoding needs: group lengths and padding at its end."""
    read = read_dicom(content, most_items=MOST_ITEMS)
    for tag in [tag for tag in read.keys() if tag.element == 0 or tag.group == _PADDING]:  # noqa: SIM118
        del read[tag]
    return read


def _same_element(one: Dataset, other: Dataset, tag: BaseTag) -> bool:
    raw: list[Any] = [dataset.get_item(tag) for dataset in (one, other)]
    if all(isinstance(e, RawDataElement) and e.is_little_endian for e in raw) and raw[0].value == raw[1].value:
        return True
    return bool(one[tag] == other[tag])
