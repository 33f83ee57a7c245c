"""Functional groups of frames (PS3.3 C.7.6.16), as bytes: those of a plane are encoded once, whatever segments it has.

highdicom has written the groups of one frame. Here they are taken apart and put together again for every frame, with
the frame's own plane, source image and dimension index values, and nothing else changed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.valuerep import DS

from orthanc_mask2seg.core.explicit_vr import element, encoded, item, sequence, text, uid
from orthanc_mask2seg.core.packing import Frame
from orthanc_mask2seg.model import Plane

PER_FRAME_GROUPS = 0x52009230
_DERIVATION_IMAGE = 0x00089124
_SOURCE_IMAGE = 0x00082112
_DERIVATION_CODE = 0x00089215
_CLASS, _INSTANCE, _FRAME_NUMBER = 0x00081150, 0x00081155, 0x00081160
_FRAME_CONTENT = 0x00209111
_DIMENSION_INDEX_VALUES = 0x00209157
_PLANE_POSITION = 0x00209113
_POSITION = 0x00200032
_SEGMENT_IDENTIFICATION = 0x0062000A
_REFERENCED_SEGMENT_NUMBER = 0x0062000B
LONGEST_DECIMAL = 16
"""Characters of a decimal string (PS3.5 section 6.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneOfFrames:
    """A plane that has frames.

    Attributes
    ----------
    position
        ImagePositionPatient as it is written, three decimal strings.
    """

    plane: Plane
    position: Sequence[str]


class FrameGroups:
    """Writes the groups of any frame like those of one that highdicom has written.

    Parameters
    ----------
    template
        Functional groups of one frame.

    Raises
    ------
    ValueError
        They hold what is not known here, so frames written like them might lack something.
    """

    def __init__(self, template: Dataset) -> None:
        known = {_DERIVATION_IMAGE, _FRAME_CONTENT, _PLANE_POSITION, _SEGMENT_IDENTIFICATION}
        derivation = template.DerivationImageSequence[0]
        reference = derivation.SourceImageSequence[0]
        _expect(template, known - {_SEGMENT_IDENTIFICATION}, known)
        _expect(derivation, {_SOURCE_IMAGE, _DERIVATION_CODE})
        _expect(template.FrameContentSequence[0], {_DIMENSION_INDEX_VALUES})
        _expect(template.PlanePositionSequence[0], {_POSITION})
        self._code = encoded(_only(derivation, _DERIVATION_CODE))
        self._rest_of_reference = encoded(
            Dataset({e.tag: e for e in reference if int(e.tag) not in {_CLASS, _INSTANCE, _FRAME_NUMBER}})
        )
        if min(int(tag) for tag in reference.keys() - {_CLASS, _INSTANCE}) < _FRAME_NUMBER:
            raise ValueError("highdicom refers to a source image in a way that is not known here")
        self._by_segment = template.FrameContentSequence[0]["DimensionIndexValues"].VM > 1
        self._numbered = _SEGMENT_IDENTIFICATION in template

    def encode(self, planes: Sequence[PlaneOfFrames], frames: Iterable[Frame]) -> bytes:
        """PerFrameFunctionalGroupsSequence.

        Parameters
        ----------
        planes
            Planes in their order; `Frame.place` points into it.
        """
        derivations = [self._derivation(p.plane) for p in planes]
        positions = [_position(p.position) for p in planes]
        identifications: dict[int, bytes] = {}
        items = []
        for segment, place in frames:
            if segment not in identifications:
                identifications[segment] = _identification(segment) if self._numbered else b""
            index = (segment, place + 1) if self._by_segment else (place + 1,)
            content = derivations[place] + _frame_content(index) + positions[place] + identifications[segment]
            items.append(item(content))
        return sequence(PER_FRAME_GROUPS, items)

    def _derivation(self, plane: Plane) -> bytes:
        reference = uid(_CLASS, plane.sop_class_uid) + uid(_INSTANCE, plane.sop_instance_uid)
        if plane.frame_number is not None:
            reference += text(_FRAME_NUMBER, "IS", str(plane.frame_number))
        source = sequence(_SOURCE_IMAGE, [item(reference + self._rest_of_reference)])
        return sequence(_DERIVATION_IMAGE, [item(source + self._code)])


def _expect(data: Dataset, least: set[int], most: set[int] | None = None) -> None:
    """Raise where a data set has other elements."""
    found = {int(tag) for tag in data.keys()}  # noqa: SIM118 - a Dataset iterates over its elements
    if not least <= found <= (most or least):
        raise ValueError("highdicom describes frames in a way that is not known here")


def _only(data: Dataset, tag: int) -> Dataset:
    return Dataset({data[tag].tag: data[tag]})


def _frame_content(index: tuple[int, ...]) -> bytes:
    values = element(_DIMENSION_INDEX_VALUES, "UL", struct.pack(f"<{len(index)}L", *index))
    return sequence(_FRAME_CONTENT, [item(values)])


def _position(numbers: Sequence[str]) -> bytes:
    return sequence(_PLANE_POSITION, [item(text(_POSITION, "DS", "\\".join(map(_decimal, numbers))))])


def _decimal(number: str) -> str:
    """As highdicom writes it: unchanged, but for what is too long."""
    if len(number) <= LONGEST_DECIMAL:
        return number
    value = DS(DS(number), auto_format=True)
    return str(getattr(value, "original_string", value))


def _identification(segment: int) -> bytes:
    number = element(_REFERENCED_SEGMENT_NUMBER, "US", struct.pack("<H", segment))
    return sequence(_SEGMENT_IDENTIFICATION, [item(number)])
