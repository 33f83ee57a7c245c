"""The source as a regular volume, where it is one: what texture, NRRD and NIfTI need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.core.geometry import SPACING_TOLERANCE_MM
from orthanc_mask2seg.core.source_images import positive_number
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import ImageSeries, Reason, Refusal, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class RegularGrid:
    """Voxels at equal steps along three directions at right angles.

    Attributes
    ----------
    origin
        Centre of the first voxel, LPS mm.
    spacing
        Between columns, rows and planes, mm (x, y, z as SimpleITK has them).
    directions
        Unit vectors along columns, rows and planes.
    size
        Columns, rows, planes.
    """

    origin: Vector
    spacing: Vector
    directions: tuple[Vector, Vector, Vector]
    size: tuple[int, int, int]

    @property
    def direction_matrix(self) -> npt.NDArray[np.float64]:
        """The directions as columns, shape (3, 3)."""
        return np.array(self.directions).T


def regular_grid(source: ImageSeries) -> RegularGrid | Refusal:
    """The grid of a source; `irregular_slices` where slices lack, are unequally apart or lean (gantry tilt)."""
    volume = source.volume
    first, last = volume.planes[0].geometry, volume.planes[-1].geometry
    spacing = volume.spacing
    if len(volume.planes) == 1:
        spacing = positive_number(source.header(volume.planes[0]).get("SliceThickness")) or 1.0
    if spacing is None:
        gaps = np.diff(volume.distances)
        return _irregular(f"{counted(len(gaps), 'gap')} from {gaps.min():.3f} to {gaps.max():.3f} mm, or uneven shifts")
    span = np.subtract(last.position, first.position)
    lean = float(np.linalg.norm(span - np.array(volume.normal) * (span @ np.array(volume.normal))))
    if lean > max(SPACING_TOLERANCE_MM * len(volume.planes), 0.1 * min(first.pixel_spacing)):
        return _irregular(f"the last slice is shifted by {lean:.3f} mm within its plane (gantry tilt)")
    return RegularGrid(
        origin=first.position,
        spacing=(first.pixel_spacing[1], first.pixel_spacing[0], spacing),
        directions=(first.row_cosines, first.column_cosines, volume.normal),
        size=(first.columns, first.rows, len(volume.planes)),
    )


def _irregular(evidence: str) -> Refusal:
    return Refusal(
        reason=Reason.IRREGULAR_SLICES,
        detail="The slices of the images do not form a regular volume.",
        hint="Volumes and diameters are right all the same; for the rest send a regular reconstruction.",
        evidence=(evidence,),
    )
