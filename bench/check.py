"""Whether a SEG holds the voxels of the truth, read by hand and without this project's own code."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from pydicom import dcmread

from bench.cases import STEP_MM


def wrong_voxels(content: bytes, truth: npt.NDArray[np.uint8]) -> int:
    """How many voxels differ from the truth, shape (planes, rows, columns), in BINARY or LABELMAP of one byte."""
    data = dcmread(io.BytesIO(content))
    count, rows, columns = int(data.NumberOfFrames), int(data.Rows), int(data.Columns)
    raw = np.frombuffer(data.PixelData, np.uint8)
    shared = data.SharedFunctionalGroupsSequence[0]
    numbers = _labels(data)
    found = np.zeros(truth.shape, np.uint8)
    size = rows * columns
    for index, item in enumerate(data.PerFrameFunctionalGroupsSequence[:count]):
        plane = round(float(item.PlanePositionSequence[0].ImagePositionPatient[2]) / STEP_MM)
        if data.BitsAllocated == 1:
            packed = raw[index * size // 8 : (index + 1) * size // 8]
            inside = np.unpackbits(packed, bitorder="little").reshape(rows, columns).astype(bool)
            groups = item if "SegmentIdentificationSequence" in item else shared
            number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            found[plane][inside] = numbers[number]
        else:
            table = np.zeros(256, np.uint8)
            table[list(numbers)] = list(numbers.values())
            found[plane] = table[raw[index * size : (index + 1) * size].reshape(rows, columns)]
    return int(np.count_nonzero(found != truth))


def _labels(data: object) -> dict[int, int]:
    """Segment number to label: segments are numbered in the order of the labels by all ways."""
    return {int(s.SegmentNumber): int(s.SegmentNumber) for s in data.SegmentSequence}  # type: ignore[attr-defined]
