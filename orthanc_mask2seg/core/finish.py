"""The last hand on what highdicom made: same input, same bytes, and the source named as viewers look for it.

What highdicom takes from the clock and from the dice (dates, DimensionOrganizationUID) is written over. References to
instances, groups of frames and pixels are many and alike: they are bytes already when the file is put together.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from pydicom import Dataset, dcmread

from orthanc_mask2seg.core.explicit_vr import element_head, encoded
from orthanc_mask2seg.core.inherited import inherit
from orthanc_mask2seg.core.source_images import derived_uid

PIXEL_DATA = 0x7FE00010
_TEXT = frozenset({"PN", "LO", "SH", "LT", "ST", "UT"})


def finish(data: Dataset, template: Dataset, *, moment: datetime, identity: str) -> None:
    """Write over what highdicom took from the clock, the dice and the plain images.

    Parameters
    ----------
    data
        What highdicom made; changed in place.
    template
        Full header of one instance of the source, for patient and study.
    moment
        When the mask was made.
    identity
        Digest of all that the object is made from.
    """
    frame_of_reference_uid = data.FrameOfReferenceUID
    inherit(data, template)
    data.FrameOfReferenceUID = frame_of_reference_uid
    _settle_character_set(data)
    data.InstanceCreationDate = f"{moment:%Y}".zfill(4) + f"{moment:%m%d}"
    data.InstanceCreationTime = moment.strftime("%H%M%S")
    organization = derived_uid("dimensions", identity)
    data.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for item in data.DimensionIndexSequence:
        item.DimensionOrganizationUID = organization
    for equipment in data.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = data.InstanceCreationDate + data.InstanceCreationTime


def _settle_character_set(data: Dataset) -> None:
    """Our own text may need more than the source's character set: then, and only then, UTF-8."""
    own = [s.SegmentLabel for s in data.SegmentSequence] + [data.SeriesDescription]
    if all(str(text).isascii() for text in own):
        return
    data.SpecificCharacterSet = "ISO_IR 192"


def saved(
    data: Dataset, ready: Mapping[int, bytes], pixels: Iterable[bytes | memoryview], length: int, pixel_vr: str
) -> bytes:
    """The DICOM file, Explicit VR Little Endian; in UTF-8 where the source's character set cannot hold its text.

    Parameters
    ----------
    data
        All elements but those that are `ready`, and the pixels.
    ready
        Tag to whole encoded element.
    pixels
        Pixel data in pieces.
    length
        Bytes of the pixel data; padded to an even number with a zero byte (PS3.5 section 8.2).
    """
    target = io.BytesIO()
    target.write(_header(data, ready))
    target.write(element_head(PIXEL_DATA, pixel_vr, length + length % 2))
    for piece in pixels:
        target.write(piece)
    target.write(bytes(length % 2))
    return target.getvalue()


def saved_again(data: Dataset) -> bytes:
    """The same of an object that was read and changed."""

    def write() -> bytes:
        buffer = io.BytesIO()
        data.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    return _readable(data, write)


def _header(data: Dataset, ready: Mapping[int, bytes]) -> bytes:
    """All that stands before the pixels."""
    return _readable(data, lambda: _put_together(data, ready))


def _readable(data: Dataset, write: Callable[[], bytes]) -> bytes:
    """What is written in a character set that holds all of its text."""
    plain = all(text.isascii() for text in _texts(data))
    for character_set in (data.get("SpecificCharacterSet"), "ISO_IR 192"):
        if character_set:
            data.SpecificCharacterSet = character_set
        try:
            content = write()
        except (LookupError, UnicodeError):
            continue
        if plain or _texts(dcmread(io.BytesIO(content), stop_before_pixels=True)) == _texts(data):
            break
    return content


def _put_together(data: Dataset, ready: Mapping[int, bytes]) -> bytes:
    """Elements in the order of their tags, those that are ready among them."""
    tags = sorted(ready)
    target = io.BytesIO()
    first = _between(data, 0, tags[0])
    first.file_meta = data.file_meta
    first.save_as(target, enforce_file_format=True, implicit_vr=False, little_endian=True)
    for tag, following in zip(tags, [*tags[1:], PIXEL_DATA], strict=True):
        target.write(ready[tag])
        target.write(encoded(_between(data, tag + 1, following), data.get("SpecificCharacterSet") or "ISO_IR 6"))
    return target.getvalue()


def _between(data: Dataset, first: int, stop: int) -> Dataset:
    return Dataset({tag: data[tag] for tag in data.keys() if first <= int(tag) < stop})  # noqa: SIM118


def _texts(data: Dataset) -> list[str]:
    return [str(data[e.tag].value) for e in data.elements() if e.VR in _TEXT]
