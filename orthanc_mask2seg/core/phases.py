"""Series that hold several images of the same place: phases, echoes, b-values. Each becomes a stack of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydicom import Dataset

from orthanc_mask2seg.core.geometry import POSITION_TOLERANCE_MM, stack
from orthanc_mask2seg.model import Plane, Refusal, VolumeGeometry

_TELLING = (
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "EchoNumbers",
    "EchoTime",
    "DiffusionBValue",
    "TriggerTime",
    "NominalPercentageOfCardiacPhase",
    "AcquisitionNumber",
    "FrameReferenceTime",
    "ContentTime",
    "AcquisitionTime",
    "ConvolutionKernel",
    "ImageType",
)
"""Attributes that tell one image of a place from the next, the surest first."""

MOST_PHASES = 256


def phases(
    headers: Sequence[Dataset], planes: Sequence[Plane], tolerance: float = POSITION_TOLERANCE_MM
) -> tuple[tuple[str, VolumeGeometry], ...]:
    """Split a series by the first attribute that leaves no two planes at one place.

    Parameters
    ----------
    headers
        Of the series.
    planes
        Of the series, with duplicate positions.

    Returns
    -------
    tuple of (str, VolumeGeometry)
        Description and stack of each phase; empty where no attribute tells them apart.
    """
    for keyword in _TELLING:
        found = _split(planes, _reader(headers, keyword), tolerance)
        if found:
            return tuple((f"{keyword} {value}", volume) for value, volume in found)
    return ()


def _reader(headers: Sequence[Dataset], keyword: str) -> Callable[[Plane], str]:
    def read(plane: Plane) -> str:
        return str(headers[plane.index].get(keyword, ""))

    return read


def _split(
    planes: Sequence[Plane], value_of: Callable[[Plane], str], tolerance: float
) -> list[tuple[str, VolumeGeometry]]:
    groups: dict[str, list[Plane]] = {}
    for plane in planes:
        groups.setdefault(value_of(plane), []).append(plane)
    if not 1 < len(groups) <= MOST_PHASES or len({len(g) for g in groups.values()}) > 1:
        return []
    result = []
    for value, group in groups.items():
        volume = stack(group, tolerance)
        if isinstance(volume, Refusal):
            return []
        result.append((value, volume))
    return result
