"""Which encoding a SEG gets: the one that is right in every viewer that the site has declared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orthanc_mask2seg.core.viewers import Encoding, Reader, Shows

MANY_SEGMENTS = 20
"""More segments than this are smaller and faster to open as one label map than as a bit plane each."""


class Choice(NamedTuple):
    """An encoding, and a sentence that says why."""

    encoding: Encoding
    reason: str


def choose(
    viewers: Sequence[Reader], *, rows: int, columns: int, segments: int = 1, overlapping: bool = False
) -> Choice:
    """Choose how to write segments, by what the viewers were seen to show.

    BINARY is the first choice, LABELMAP for many segments, and then FRACTIONAL and LABELMAP: the first that is right
    in all declared viewers. Where none is, the first that is wrong in none of them: better nothing than wrong voxels.

    Parameters
    ----------
    overlapping
        Two segments share a voxel, which a label map cannot hold.
    """
    aligned = rows * columns % 8 == 0
    order = [Encoding.BINARY, Encoding.FRACTIONAL, Encoding.LABELMAP]
    many = segments > MANY_SEGMENTS
    if many:
        order.insert(0, order.pop())
    if overlapping:
        order.remove(Encoding.LABELMAP)
    for wanted in ({Shows.RIGHT}, {Shows.RIGHT, Shows.NOTHING}):
        for encoding in order:
            if all(viewer.shows(encoding, aligned=aligned) in wanted for viewer in viewers):
                return Choice(encoding, _reason(encoding, viewers, (rows, columns), segments))
    return Choice(Encoding.BINARY, "BINARY: no encoding is right in all declared viewers, and most programs read this")


def _reason(encoding: Encoding, viewers: Sequence[Reader], shape: tuple[int, int], segments: int) -> str:
    aligned = shape[0] * shape[1] % 8 == 0
    parts = []
    if encoding is Encoding.LABELMAP and segments > MANY_SEGMENTS:
        parts.append(f"{segments} segments without overlap")
    wrong = [str(v) for v in viewers if v.shows(Encoding.BINARY, aligned=aligned) is not Shows.RIGHT]
    if wrong and encoding is not Encoding.BINARY:
        size = f"{shape[0]} x {shape[1]} pixels do not fill whole bytes, and "
        parts.append(f"{size if not aligned else ''}BINARY is not right in {', '.join(wrong)}")
    blind = [str(v) for v in viewers if v.shows(encoding, aligned=aligned) is Shows.NOTHING]
    if blind:
        parts.append(f"{', '.join(blind)} will show nothing, which is better than wrong voxels")
    else:
        parts.append("right in all declared viewers" if viewers else "no viewers are declared")
    return f"{encoding}: {'; '.join(parts)}"
