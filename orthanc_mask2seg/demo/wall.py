"""The chest wall: skin, fat, muscles, ribs, sternum, shoulder blades and spine.

The origin is the carina in the midline; LPS mm. The patient lies on the back with arms raised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from orthanc_mask2seg.demo.shapes import Array, cover, ellipse, line, paint, paint_bone, smooth_min

LEVELS = (-140.0, -105.0, -60.0, 0.0, 40.0, 75.0)
"""Heights (mm) at which the tables below are given."""

LUNG_X = (66, 66, 65, 59, 52, 42)
LUNG_A = (75, 75, 74, 67, 58, 44)
LUNG_B = (95, 95, 93, 83, 69, 52)
LUNG_Y = (2, 2, 1, 4, 9, 14)
"""Centre beside the midline, semi-axes across and front to back, centre in front of or behind the origin, mm."""

FAT, MUSCLE, SKIN, CARTILAGE = -104.0, 54.0, 20.0, 92.0
"""HU."""

ANGLES = (0, 14, 28, 40, 55, 72, 90, 108, 125, 142, 158, 170, 180)
"""Degrees from the back (0) by the side (90) to the front (180)."""
MUSCLE_LOW = (30, 32, 27, 17, 16, 20, 19, 14, 12, 15, 14, 10, 6)
MUSCLE_HIGH = (31, 33, 34, 38, 46, 52, 44, 31, 30, 38, 32, 16, 6)
"""Outer face of the muscles beyond the inside of the ribs at the levels -60 and +40, mm."""

RIB_PITCH_MM = 23.0
SPINE_PITCH_MM = 25.0
VERTEBRA_Y, CANAL_Y = 71.0, 93.0


Box = tuple[slice, slice]


class Plane(NamedTuple):
    """One plane to draw on.

    Attributes
    ----------
    x, y
        Coordinates of the voxels, bent by a smooth random field, mm.
    angle
        0 at the back, 180 at the front, degrees.
    rough, fine
        Random fields of about unit variance, for what is never quite uniform.
    """

    x: Array
    y: Array
    z: float
    angle: Array
    rough: Array
    fine: Array

    def part(self, image: Array, x: tuple[float, float], y: tuple[float, float]) -> tuple[Array, Plane, Box]:
        """Views of an image and of this plane within some millimetres, and where they lie."""
        middle = self.x.shape[0] // 2, self.x.shape[1] // 2
        columns = slice(*(int(n) for n in np.searchsorted(self.x[middle[0]], x)))
        rows = slice(*(int(n) for n in np.searchsorted(self.y[:, middle[1]], y)))
        box = rows, columns
        x_part, y_part, angle, rough, fine = (a[box] for a in (self.x, self.y, self.angle, self.rough, self.fine))
        return image[box], Plane(x_part, y_part, self.z, angle, rough, fine), box


def level(z: float, table: tuple[float, ...]) -> float:
    """Value of a table at a height."""
    return float(np.interp(z, LEVELS, table))


def lung_wall(x: Array, y: Array, z: float) -> Array:
    """Signed distance (mm) to the outer wall of the two pleural spaces."""
    centre = (level(z, LUNG_X), level(z, LUNG_Y))
    return ellipse(np.abs(x), y, centre, (level(z, LUNG_A), level(z, LUNG_B)))


def cage(plane: Plane) -> Array:
    """Signed distance (mm) to the inside of the rib cage."""
    middle = ellipse(plane.x, plane.y, (0, level(plane.z, LUNG_Y) - 3), (level(plane.z, LUNG_A) + 22, _depth(plane.z)))
    return smooth_min(lung_wall(plane.x, plane.y, plane.z), middle, 16)


def _depth(z: float) -> float:
    return level(z, LUNG_B) - 5


def _thickness(plane: Plane) -> Array:
    """Outer face of the muscles, mm beyond the inside of the ribs."""
    share = float(np.clip((plane.z + 60) / 100, -0.3, 1.2))
    table = np.asarray(MUSCLE_LOW) * (1 - share) + np.asarray(MUSCLE_HIGH) * share
    fine = np.interp(np.arange(181), ANGLES, table).astype(np.float32)
    return np.asarray(fine[plane.angle.astype(np.intp)] + np.float32(1.6) * plane.rough, dtype=np.float32)


def paint_wall(image: Array, plane: Plane, skin: Array) -> Array:
    """Paint everything from the skin to the pleura; the returned distance is that to the inside of the rib cage.

    Parameters
    ----------
    skin
        Signed distance to the surface of the body, mm.
    """
    inside = cage(plane)
    paint(image, cover(skin), SKIN)
    paint(image, cover(skin + np.float32(1.8)), FAT + 5 * plane.fine)
    _paint_septa(image, plane, skin, inside)
    _paint_muscles(image, plane, skin, inside)
    _paint_ribs(image, plane, inside)
    _paint_scapula(image, plane, inside, skin)
    return inside


def _paint_septa(image: Array, plane: Plane, skin: Array, inside: Array) -> None:
    """Strands of connective tissue in the fat under the skin."""
    strands = np.abs(plane.rough * 1.3 + plane.fine * 0.55 + inside / 14)
    paint(image, cover(strands * 9 - 0.1, 1.4) * cover(skin + 4, 4) * np.float32(0.3), 0.0)


def _paint_muscles(image: Array, plane: Plane, skin: Array, inside: Array) -> None:
    """Muscles with the fat between their layers."""
    thickness = np.minimum(_thickness(plane), -skin + inside - 5 + plane.rough)
    muscle = cover(inside - thickness)
    paint(image, muscle, MUSCLE + 7 * plane.fine)
    depth = inside / np.maximum(thickness, 6)
    swing = 0.10 * np.sin(plane.angle / 13 + plane.z / 30)
    for share, weight in ((0.42, 0.85), (0.72, 0.95)):
        gap = np.abs(depth - share - 0.09 * plane.rough - swing) * thickness
        wide = np.maximum(0.9 + 1.1 * plane.rough, 0)
        paint(image, cover(gap - wide) * muscle * np.float32(weight), FAT + 15)
    marbling = np.clip(plane.fine * 0.8 + plane.rough * 0.6 - 1.5, 0, 1)
    paint(image, marbling * muscle * np.float32(0.7), FAT)
    paint(image, cover(np.abs(inside - 1.2) - np.maximum(0.4 * plane.rough, 0)) * np.float32(0.5), FAT)


def _paint_ribs(image: Array, plane: Plane, inside: Array) -> None:
    """Ribs go down from the back to the front; in front they are cartilage."""
    half = plane.angle / 180
    fall = 112 * half**1.2 - 45 * np.maximum(half - 0.78, 0)
    turns = (plane.z + fall + 7) / np.float32(RIB_PITCH_MM)
    number = np.floor(turns)
    uneven = np.sin(number * 1.7)
    height = (turns - number - 0.5) * RIB_PITCH_MM * (0.98 + 0.05 * uneven)
    across = inside - 5.4 - 0.5 * uneven
    rib = np.sqrt((height / 5.6) ** 2 + (across / 3.7) ** 2)
    distance = (rib - 1) * 3.9
    lateral = np.abs(plane.x)
    distance = np.maximum(distance, 21 - lateral)
    cartilage = np.clip((plane.angle - 143) / 4, 0, 1) * cover(plane.y + 30, 20)
    near = np.clip((plane.angle + 2) / 3, 0, 1)
    paint(image, cover(distance - 0.4) * cartilage, CARTILAGE + 12 * plane.fine)
    bone = (1 - cartilage) * near
    paint(image, cover(distance) * bone, 640 + 70 * plane.rough)
    paint(image, cover(distance + 1.5, 1.7) * bone, 165 + 45 * plane.fine)


def _paint_scapula(image: Array, plane: Plane, inside: Array, skin: Array) -> None:
    """Shoulder blades: thin plates in the muscles, thicker at their outer border."""
    if plane.z < -62:  # lower angle of the shoulder blade
        return
    up = min((plane.z + 62) / 90, 1.0)
    first, last = 46 - 8 * up, 52 + 29 * up
    along = (plane.angle - first) / (last - first)
    half = 1.5 + 2.6 * np.clip(along - 0.72, 0, 0.25) / 0.25 + 0.4 * plane.rough
    ends = np.maximum(-along, along - 1) * (last - first) * 1.7
    distance = np.maximum(np.abs(inside - 17 - 3 * up - 3 * np.sin(along * 3)) - half, ends)
    within = cover(skin + 6)
    paint(image, cover(distance) * within, 700.0)
    paint(image, cover(distance + 1.6, 1.5) * within, 260.0)


def paint_sternum(image: Array, plane: Plane) -> None:
    """Breast bone: body, and the wider manubrium above."""
    front = level(plane.z, LUNG_Y) - 3 - _depth(plane.z) - 7.5
    image, plane, _ = plane.part(image, (-30, 30), (front - 12, front + 12))
    wide = 15.5 if plane.z < 25 else 21.0  # sternal angle
    distance = ellipse(plane.x, plane.y, (0, front), (wide, 6.2))
    paint_bone(image, distance, 1.4, (470, 120))


def paint_spine(image: Array, plane: Plane) -> None:
    """One level of the thoracic spine: disc or vertebral body, canal with cord, arch and processes."""
    image, plane, _ = plane.part(image, (-46, 46), (VERTEBRA_Y - 22, CANAL_Y + 28))
    phase = (plane.z + 4) % SPINE_PITCH_MM
    disc = float(np.clip((5.0 - abs(phase - 3.0) * 2) / 3, 0, 1))
    end_plate = float(np.clip(1 - abs(abs(phase - 3.0) - 3.8) / 2.2, 0, 1))
    pedicle = float(np.clip((6.5 - abs(phase - 15)) / 2, 0, 1))
    canal = ellipse(plane.x, plane.y, (0, CANAL_Y), (9.2, 8.4))
    body = np.maximum(ellipse(plane.x, plane.y, (0, VERTEBRA_Y), (17.5, 15.5)), plane.y - (VERTEBRA_Y + 13.5))
    _paint_arch(image, plane, canal, pedicle)
    bone = 160 + 260 * end_plate
    paint_bone(image, body, 1.3, (620 - 480 * disc, bone * (1 - disc) + 88 * disc))
    paint(image, cover(body + 2) * np.float32(0.7 * (1 - disc)), bone + 42 * plane.fine)
    paint(image, cover(canal), -20.0)
    paint(image, cover(canal + 1.8, 2), 14.0)
    paint(image, cover(ellipse(plane.x, plane.y, (0, CANAL_Y), (4.6, 3.7)), 1.6), 40.0)


def _paint_arch(image: Array, plane: Plane, canal: Array, pedicle: float) -> None:
    lateral = np.abs(plane.x)
    behind = np.maximum(canal - 5.2, CANAL_Y + 1 - plane.y) - 0.5 * plane.rough
    process = line(lateral, plane.y, (0, CANAL_Y + 12), (0, CANAL_Y + 15 + 4 * pedicle)) - 2.7
    paint_bone(image, smooth_min(behind, process, 3), 1.6, (560, 300))
    if pedicle <= 0:
        facet = ellipse(lateral, plane.y, (12.5, CANAL_Y + 4), (5, 4.5))
        paint_bone(image, facet, 1.5, (640, 380))
        return
    root = line(lateral, plane.y, (12, VERTEBRA_Y + 9), (13, CANAL_Y + 4)) - 3.4 * pedicle
    wing = line(lateral, plane.y, (14, CANAL_Y + 4), (31, CANAL_Y + 11)) - 4.4 * pedicle
    paint_bone(image, smooth_min(root, wing, 3), 1.5, (590, 270))
