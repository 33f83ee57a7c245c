"""What lies inside the rib cage: lungs, heart, great vessels, airways, diaphragm. LPS mm from the carina, HU."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from orthanc_mask2seg.demo.shapes import Array, Capsule, Point, cover, ellipse, ellipsoid_section, paint, smooth_min
from orthanc_mask2seg.demo.vessels import tube
from orthanc_mask2seg.demo.wall import MUSCLE, Plane, lung_wall

LUNG, AIR, FAT = -868.0, -990.0, -96.0
BLOOD = 152.0


class Chamber(NamedTuple):
    """A chamber of the heart: an ellipsoid, turned in the axial plane by `angle` degrees, in a wall (mm)."""

    centre: Point
    axes: Point
    angle: float
    wall: float
    hu: float


LEFT_VENTRICLE = Chamber((44, -12, -80), (38, 19, 38), -38, 9.5, 158)
CHAMBERS = (
    Chamber((2, 20, -50), (33, 18, 23), 6, 2.5, 161),
    Chamber((-31, -18, -66), (21, 28, 34), -12, 2.5, 150),
    Chamber((16, -41, -76), (40, 17, 40), -32, 3.5, 147),
    LEFT_VENTRICLE,
)
MYOCARDIUM = 103.0

AORTA = tube(
    (4, -10, -46, 14), (-6, -17, -30, 16), (-15, -22, -10, 16.5), (-16, -21, 8, 16), (-10, -13, 20, 15),
    (0, -2, 26, 14.5), (10, 14, 26, 14), (18, 32, 18, 13.5), (23, 44, 4, 13), (25, 49, -30, 12.5),
    (23, 51, -80, 12), (17, 51, -150, 11.5),
)  # fmt: skip
ARTERIES = [
    *tube((22, -47, -50, 12), (19, -38, -26, 14), (21, -22, -10, 13.5), (33, 0, -3, 11.5), (47, 16, -10, 9),
          (53, 24, -32, 7)),
    *tube((19, -22, -14, 12), (4, 0, -17, 11), (-18, 7, -18, 10.5), (-40, 10, -22, 9), (-52, 17, -42, 7)),
]  # fmt: skip
VEINS = [
    *tube((-26, -4, 80, 7), (-28, -8, 34, 8.5), (-30, -9, 0, 9.5), (-31, -12, -38, 10.5)),
    *tube((-26, -10, 36, 6.5), (-6, -32, 41, 6.5), (22, -36, 50, 6.5), (44, -26, 72, 7)),
    *tube((-28, 0, -78, 11), (-24, 10, -110, 12), (-22, 14, -150, 12)),
    *tube((-8, 57, 90, 2), (-8, 57, 8, 3.6), (-14, 48, 9, 3.8), (-25, 24, 12, 4), (-28, 2, 9, 4.5)),
    *tube((-8, 57, 8, 3.6), (-7, 58, -150, 3)),
]  # fmt: skip
HEART_VEINS = [
    *tube((-22, 16, -45, 8), (-46, 4, -30, 5.5)), *tube((-22, 26, -56, 8), (-50, 38, -66, 5.5)),
    *tube((28, 18, -44, 7.5), (50, 4, -26, 5.5)), *tube((28, 28, -54, 7.5), (54, 42, -62, 5.5)),
]  # fmt: skip
NECK_ARTERIES = [
    *tube((-6, -8, 30, 7.5), (-14, -5, 80, 6.5)), *tube((4, 4, 32, 5), (8, 6, 80, 4)),
    *tube((13, 18, 30, 6), (24, 22, 80, 5)),
]  # fmt: skip
GULLET = tube((5, 41, 80, 7), (5, 43, 30, 6.5), (7, 44, -10, 6.5), (9, 45, -60, 6), (14, 38, -150, 7))
NODES = [Capsule((-19, 12, 14), (-18, 13, 19), 3.6, 3.2), Capsule((6, 8, -4), (8, 10, -3), 3.4, 3.0),
         Capsule((-6, 38, -24), (-3, 38, -25), 4.0, 3.6), Capsule((-4, -42, 22), (-3, -43, 26), 2.6, 2.4)]  # fmt: skip
AIRWAYS = [
    *tube((2, 20, 85, 8.6), (0, 22, 40, 8.6), (-2, 26, 6, 9)),
    *tube((-3, 26, 6, 7.6), (-24, 28, -12, 7), (-43, 27, -26, 5.8), (-50, 29, -52, 4.2)),
    *tube((-29, 28, -14, 5.2), (-54, 24, -8, 4.3), (-64, 16, 2, 3)),
    *tube((0, 26, 6, 7.4), (24, 30, -17, 6.6), (45, 31, -32, 5.6), (54, 37, -60, 4)),
    *tube((42, 29, -29, 4.6), (58, 16, -24, 3.6), (66, 4, -14, 2.8)),
]  # fmt: skip
MEDIASTINAL = [*AORTA, *ARTERIES, *VEINS, *HEART_VEINS, *NECK_ARTERIES, *GULLET, *AIRWAYS]
"""Tubes that, with a little fat around them, keep the lungs away."""

ROOTS = {"artery": ((-48, 13, -26), (50, 18, -16)), "vein": ((-46, 6, -36), (51, 14, -36))}
"""Where the trees enter the right and the left lung."""

DOMES = (((-60, -2, -188), (92, 98, 102)), ((64, 4, -196), (74, 90, 94)))
SPLEEN = ((84, 42, -168), (44, 42, 62))
STOMACH = ((46, -12, -160), (38, 42, 54))


def heart(plane: Plane, fillet: float = 13) -> Array | None:
    """Signed distance (mm) to the outside of the heart; None where the plane misses it."""
    found = None
    for chamber in CHAMBERS:
        part = _section(plane, chamber, chamber.wall)
        if part is not None:
            found = part if found is None else smooth_min(found, part, fillet)
    return found


def _section(plane: Plane, chamber: Chamber, grow: float) -> Array | None:
    axes = (chamber.axes[0] + grow, chamber.axes[1] + grow, chamber.axes[2] + grow)
    return ellipsoid_section((plane.x, plane.y, plane.z), chamber.centre, axes, chamber.angle)


def paint_heart(whole: Array, plane: Plane) -> Array | None:
    """Paint walls and chambers; the returned distance is that to the outside of the heart."""
    image, near, box = plane.part(whole, (-80, 115), (-100, 75))
    outside = heart(near)
    if outside is None:
        return None
    paint(image, cover(outside), MYOCARDIUM + 5 * near.fine)
    _paint_grooves(image, near, outside)
    for chamber in CHAMBERS:
        cavity = _section(near, chamber, 0)
        if cavity is not None:
            paint(image, cover(cavity - 0.9 * near.rough - 0.5 * near.fine, 2.2), chamber.hu + 3 * near.fine)
    everywhere = np.full(whole.shape, 60, np.float32)
    everywhere[box] = outside
    return everywhere


def _paint_grooves(image: Array, plane: Plane, outside: Array) -> None:
    """Fat with the coronary vessels between the chambers."""
    groove = cover(outside + 1 + 2 * plane.rough, 3)
    for chamber in CHAMBERS:
        wall = _section(plane, chamber, chamber.wall)
        if wall is not None:
            groove *= 1 - cover(wall, 2)
    paint(image, groove, FAT + 20)


def mediastinum(plane: Plane, outside: Array | None) -> Array:
    """Signed distance (mm) to what lies between the lungs, the tubes left out.

    Parameters
    ----------
    outside
        Signed distance to the outside of the heart, None where there is none.
    """
    x, y, z = plane.x, plane.y, plane.z
    narrow = float(np.clip(z / 60, 0, 0.5))
    middle = ellipse(x, y, (-2, 8), (27 + 6 * narrow, 50))
    front = ellipse(x, y, (2, -62), (9 + 12 * narrow, 32))
    back = ellipse(x, y, (0, 76), (25, 25))
    found = smooth_min(smooth_min(middle, front, 14), back, 8)
    return found if outside is None else smooth_min(found, outside - 4.5, 16)


def domes(plane: Plane, grow: float = 0) -> list[Array | None]:
    """Signed distances (mm) to the right and the left half of the diaphragm."""
    at = (plane.x + 3 * plane.rough, plane.y, plane.z)
    return [ellipsoid_section(at, c, (a[0] + grow, a[1] + grow, a[2] + grow)) for c, a in DOMES]


def lungs(plane: Plane, between: Array) -> Array:
    """Signed distance (mm) to the lungs."""
    found = np.maximum(lung_wall(plane.x, plane.y, plane.z), -between)
    for dome in domes(plane):
        if dome is not None:
            found = np.maximum(found, -dome)
    return found


def paint_domes(image: Array, plane: Plane, inside: Array) -> None:
    """Paint the diaphragm with liver, fat, spleen and stomach under it."""
    right, left = domes(plane)
    within = cover(inside + 1)
    for dome, content in ((left, FAT), (right, 112.0)):
        if dome is not None:
            paint(image, cover(dome) * within, MUSCLE)
            paint(image, cover(dome + 2.6) * within, content + 4 * plane.fine)
    at = (plane.x, plane.y, plane.z)
    for organ, hu in ((SPLEEN, 121.0), (STOMACH, 62.0)):
        section = None if left is None else ellipsoid_section(at, *organ)
        if left is not None and section is not None:
            paint(image, cover(np.maximum(section, left + 4)), hu)
            if organ is STOMACH:
                paint(image, cover(np.maximum(section, left + 4) + 4), 22.0)


def paint_lungs(image: Array, plane: Plane, distance: Array) -> Array:
    """Paint air-filled tissue, denser where it lies below, with its fissures; the returned array is the coverage."""
    coverage = cover(distance)
    tissue = LUNG + 0.30 * plane.y + 13 * plane.rough + 15 * plane.fine + 30 * np.exp(np.maximum(distance, -25) / 5)
    height = plane.z + np.where(plane.x < 0, np.float32(36), np.float32(30))
    fissure = (height - 1.06 * plane.y + 5 * plane.rough) / 1.46
    tissue += 70 * np.exp(-((fissure / 1.7) ** 2))
    paint(image, coverage, tissue)
    return coverage
