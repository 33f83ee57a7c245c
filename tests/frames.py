"""The frames of a SEG, read by hand: BINARY, FRACTIONAL and LABELMAP."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom import Dataset


def frames_of(data: Dataset) -> Iterator[tuple[Dataset, int, np.ndarray]]:
    """Per-frame groups, number of a segment, its pixels (rows, columns); a label map's frame once for each segment."""
    count, rows, columns = int(data.NumberOfFrames), int(data.Rows), int(data.Columns)
    raw = np.frombuffer(data.PixelData, "<u2" if data.BitsAllocated == 16 else np.uint8)
    values = np.unpackbits(raw, bitorder="little") if data.BitsAllocated == 1 else raw
    pixels = values[: count * rows * columns].reshape(count, rows, columns)
    shared = data.SharedFunctionalGroupsSequence[0]
    for item, frame in zip(data.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        if data.SegmentationType == "LABELMAP":
            for number in np.unique(frame[frame > 0]).tolist():
                yield item, number, frame == number
        else:
            groups = item if "SegmentIdentificationSequence" in item else shared
            yield item, int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber), frame > 0
