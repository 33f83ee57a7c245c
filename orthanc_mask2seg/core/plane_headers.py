"""What the headers of an image say of its planes: position, orientation, spacing and matrix of each frame.

Only ImagePositionPatient, ImageOrientationPatient and PixelSpacing count, wherever they stand: in a single-frame
instance, or in the functional groups of an enhanced one (PS3.3 C.7.6.16).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from orthanc_mask2seg.core.wording import counted, instance_of
from orthanc_mask2seg.model import PlaneGeometry, Reason, Refusal

ORTHOGONALITY_TOLERANCE = 1e-2
"""Largest absolute dot product of row and column cosines, and largest deviation of their length from 1."""

MAXIMUM_MATRIX = 16384
"""Rows and Columns beyond this are not an image of a patient."""

DAMAGED = "Export the series again; the tool that wrote it damaged its headers."
"""What to do about values that cannot be."""

Groups = tuple[Dataset, ...]
"""Functional groups of a frame, its own before the shared ones; none of a single-frame instance."""


def frames_of(header: Dataset) -> Iterator[tuple[int | None, Groups]]:
    """(frame number, functional groups) of each frame; (None, ()) of a single-frame instance."""
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        shared = tuple(header.get("SharedFunctionalGroupsSequence") or ())
        for number, groups in enumerate(per_frame, start=1):
            yield number, (groups, *shared)
        return
    frames = integer(header.get("NumberOfFrames")) or 1
    for number in range(1, frames + 1):
        yield (None if frames == 1 else number), ()


def is_localizer(header: Dataset) -> bool:
    """Whether an image says to be a scout (ImageType, PS3.3 C.8.2.1.1.1)."""
    value = header.get("ImageType") or ()
    return "LOCALIZER" in {str(v).strip().upper() for v in ([value] if isinstance(value, str) else value)}


def undescribed_frames(header: Dataset) -> Refusal | None:
    """`invalid_dicom` where a multi-frame instance does not describe each of its frames, or says to have none."""
    described = header.get("PerFrameFunctionalGroupsSequence")
    frames = integer(header.get("NumberOfFrames")) or 1
    if frames < 1:
        return no_frames(f"{instance_of(header)}: NumberOfFrames is {frames}")
    if not described or len(described) == frames:
        return None
    return no_frames(f"{frames} by NumberOfFrames, {len(described)} by the functional groups")


def no_frames(evidence: str) -> Refusal:
    """Refusal of images without frames."""
    return Refusal(
        reason=Reason.INVALID_DICOM,
        detail="A multi-frame image has no frames, or does not describe each of them.",
        hint=DAMAGED,
        evidence=(evidence,),
    )


def plane_geometry(header: Dataset, groups: Groups) -> PlaneGeometry | Refusal:
    """Where one frame lies.

    Parameters
    ----------
    groups
        Its functional groups, from `frames_of`.

    Returns
    -------
    PlaneGeometry, or Refusal
        `no_geometry` where it is not said, `invalid_dicom` where it cannot be.
    """
    position = _numbers(_find(header, groups, "PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _numbers(_find(header, groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = _numbers(_find(header, groups, "PixelMeasuresSequence", "PixelSpacing"), 2)
    frames = integer(header.get("NumberOfFrames")) or 1
    if position is None or orientation is None or spacing is None:
        return _no_geometry(frames, position is None, orientation is None, spacing is None)
    if not groups and frames > 1:
        return Refusal(
            reason=Reason.NO_GEOMETRY,
            detail="This multi-frame image does not say where its frames lie.",
            hint=MULTI_FRAME,
            evidence=(f"1 position for {counted(frames, 'frame')}",),
        )
    rows, columns = integer(header.get("Rows")) or 0, integer(header.get("Columns")) or 0
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    problem = _impossible(row, column, spacing, rows, columns)
    if problem:
        return Refusal(
            reason=Reason.INVALID_DICOM,
            detail=f"The geometry of an image cannot be right: {problem}.",
            hint=DAMAGED,
            evidence=(
                instance_of(header),
                f"ImageOrientationPatient {_text(orientation)}, PixelSpacing {_text(spacing)}, {rows} x {columns}",
            ),
        )
    row /= np.linalg.norm(row)
    column /= np.linalg.norm(column)
    return PlaneGeometry(
        position=(position[0], position[1], position[2]),
        row_cosines=(float(row[0]), float(row[1]), float(row[2])),
        column_cosines=(float(column[0]), float(column[1]), float(column[2])),
        pixel_spacing=(spacing[0], spacing[1]),
        rows=rows,
        columns=columns,
    )


def _find(header: Dataset, groups: Groups, sequence: str, keyword: str) -> object:
    for group in groups:
        items = group.get(sequence)
        if items and keyword in items[0]:
            return items[0][keyword].value
    return header.get(keyword)


def _numbers(value: object, count: int) -> tuple[float, ...] | None:
    """`count` numbers, or None where they are not there."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    try:
        numbers = tuple(float(v) for v in value)  # type: ignore[attr-defined]  # a pydicom MultiValue, or anything
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count else None


def integer(value: object) -> int | None:
    """An integer, or None where it is none."""
    try:
        return int(str(value))
    except ValueError:
        return None


MULTI_FRAME = (
    "Export the mask as single-frame images, or as an enhanced multi-frame image that gives each frame's position, or "
    "the source image of each frame (SourceImageSequence)."
)
"""What to do about frames without positions: InstanceNumbers pair instances, so trust in their order places none."""
_SINGLE_FRAME = (
    "Export the mask with the positions of its source images (as a copy of them, or as DICOM Segmentation), or with a "
    "reference of each slice to its source image (SourceImageSequence). If its "
    "slices have the InstanceNumbers of the source, --trust-order (setting TrustOrder) pairs them by these."
)


def _no_geometry(frames: int, position: bool, orientation: bool, spacing: bool) -> Refusal:
    names = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    missing = [n for n, is_missing in zip(names, (position, orientation, spacing), strict=True) if is_missing]
    return Refusal(
        reason=Reason.NO_GEOMETRY,
        detail="The images do not say where in the patient they lie.",
        hint=MULTI_FRAME if frames > 1 else _SINGLE_FRAME,
        evidence=(
            f"{len(missing)} of {len(names)} attributes missing or unreadable: {', '.join(missing)}",
            *((f"{frames} frames in the image",) if frames > 1 else ()),
        ),
    )


SOME_WITHOUT_POSITION = (
    "Send the images without a position (captures, reports) as a series of their own, and the others again without "
    "them."
)
"""What to do about a series of which only some images say where they lie."""


def some_without_position(first: Refusal, lacking: int, images: int) -> Refusal:
    """`no_geometry` of a series of which only some images say where they lie.

    Parameters
    ----------
    first
        Refusal of the first of those that do not.
    """
    verb = "does not say where in the patient it lies" if lacking == 1 else "do not say where in the patient they lie"
    return Refusal(
        reason=Reason.NO_GEOMETRY,
        detail=f"{lacking} of {counted(images, 'image')} of the series {verb}.",
        hint=SOME_WITHOUT_POSITION,
        evidence=(f"{lacking} of {counted(images, 'image')} without a position", *first.evidence),
    )


def _text(numbers: Sequence[float]) -> str:
    return "\\".join(f"{n:g}" for n in numbers)


def _impossible(
    row: npt.NDArray[np.float64], column: npt.NDArray[np.float64], spacing: Sequence[float], rows: int, columns: int
) -> str:
    """What cannot be, or ''."""
    numbers = [*row, *column, *spacing]
    if not all(math.isfinite(n) for n in numbers):
        return "a direction or spacing is not a finite number"
    if min(spacing) <= 0:
        return f"PixelSpacing is {_text(spacing)}"
    if not (0 < rows <= MAXIMUM_MATRIX and 0 < columns <= MAXIMUM_MATRIX):
        return f"the matrix is {rows} x {columns}"
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > ORTHOGONALITY_TOLERANCE:
        return "the direction cosines are not unit vectors"
    if abs(float(row @ column)) > ORTHOGONALITY_TOLERANCE:
        return "the row and column directions are not at right angles"
    return ""
