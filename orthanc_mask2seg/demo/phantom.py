"""A synthetic chest CT in HU with a lung tumour: believable anatomy, the same voxels for the same seed.

Contrast-enhanced, venous phase, soft tissue kernel: slices of 4 mm every 3 mm, as a lung cancer staging scan has them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.demo import thorax, wall
from orthanc_mask2seg.demo.shapes import (
    SLICE_OFFSETS_MM,
    Array,
    Capsule,
    Field,
    Grid,
    Point,
    cover,
    mark_capsule,
    paint,
    paint_capsule,
    stamp,
)
from orthanc_mask2seg.demo.vessels import Tree, companions, grow_tree

FIELD_OF_VIEW_MM = 380.0
SPACING_MM = 3.0
CENTRE_Y_MM = 14.0
"""Centre of the field of view behind the origin: some of the table shows."""
LOWEST_HU, HIGHEST_HU = -1024, 3071
SHARE_BELOW = 0.83
"""Share of the slices that lie below the centre of the tumour: 48 slices reach from the arch to the liver."""
FEWEST_SLICES, MOST_SLICES = 1, 60
NOISE_HU = 9.5


class Phantom(NamedTuple):
    """A volume and what is in it, indexed (plane, row, column), the lowest plane first.

    Attributes
    ----------
    hu
        CT numbers, HU.
    tumour
        True inside the tumour.
    organs
        0 else, 1 lungs, 2 heart, 3 aorta, 4 tumour.
    grid
        Voxel centres, LPS mm.
    """

    hu: npt.NDArray[np.int16]
    tumour: npt.NDArray[np.bool_]
    organs: npt.NDArray[np.uint8]
    grid: Grid


class Body(NamedTuple):
    """The part of the grid that the body fills, and what is painted there."""

    box: tuple[slice, slice]
    grid: Grid
    image: Array
    organs: npt.NDArray[np.uint8]


def make_phantom(seed: int, slices: int, size: int) -> Phantom:
    """Make a chest with a tumour in the right upper lobe.

    Parameters
    ----------
    seed
        The same seed gives the same voxels; another one another patient.
    slices
        Number of slices, 3 mm apart.
    size
        Rows and columns over a field of view of 380 mm.
    """
    if not FEWEST_SLICES <= slices <= MOST_SLICES:
        raise ValueError(f"slices must be from {FEWEST_SLICES} to {MOST_SLICES}")
    rng = np.random.default_rng([seed, 0x6D61736B])
    centre = (float(rng.normal(-84, 3)), float(rng.normal(-8, 5)), float(rng.normal(17, 2)))
    grid = _grid(slices, size, centre[2])
    body = _body(grid)
    _paint_planes(rng, body)
    _paint_tubes(rng, body)
    label = _paint_tumour(rng, body, centre)
    body.organs[label] = 4
    image = np.full((slices, size, size), -1000, np.float32)
    _paint_table(image, grid)
    blank = np.zeros(image.shape, np.uint8)
    inside = body.image > -999  # the air around the body
    rows, columns = body.box
    image[:, rows, columns] = np.where(inside, body.image, image[:, rows, columns])
    blank[:, rows, columns] = body.organs
    return Phantom(_reconstruct(rng, image, grid), blank == 4, blank, grid)  # the tumour


def _grid(slices: int, size: int, tumour_z: float) -> Grid:
    pixel = FIELD_OF_VIEW_MM / size
    line = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * pixel
    low = round(tumour_z - SHARE_BELOW * slices * SPACING_MM)
    z = low + SPACING_MM * np.arange(slices)
    return Grid(z.astype(np.float32), (line + CENTRE_Y_MM).astype(np.float32), line.astype(np.float32))


def _body(grid: Grid) -> Body:
    rows = slice(*(int(n) for n in np.searchsorted(grid.y, (-130, 130))))
    columns = slice(*(int(n) for n in np.searchsorted(grid.x, (-186, 186))))
    part = Grid(grid.z, grid.y[rows], grid.x[columns])
    shape = (len(part.z), len(part.y), len(part.x))
    return Body((rows, columns), part, np.full(shape, -1000, np.float32), np.zeros(shape, np.uint8))


def _paint_planes(rng: np.random.Generator, body: Body) -> None:
    """Paint everything that is drawn plane by plane."""
    grid = body.grid
    bend_x, bend_y, rough = (Field(rng, grid, wavelength) for wavelength in (46, 46, 21))
    fine = Field(rng, grid, 4.5)
    width, depth = 1 + float(rng.normal(0, 0.02)), 1 + float(rng.normal(0, 0.02))
    tubes = _near_tubes(grid)
    x, y = np.meshgrid(grid.x / np.float32(width), grid.y / np.float32(depth))
    turn = np.float32(np.deg2rad(np.clip(rng.normal(0, 1.3), -2, 2)))
    x, y = x + turn * y, y - turn * x
    skin = _skin(x, y)
    angle = np.degrees(np.arctan2(np.abs(x), y - np.float32(6))).astype(np.float32)
    for k, z in enumerate(grid.z):
        texture = rough.plane(k)
        plane = wall.Plane(
            x + np.float32(2.1) * bend_x.plane(k), y + np.float32(2.1) * bend_y.plane(k), float(z), angle, texture,
            fine.plane(k),
        )  # fmt: skip
        _paint_plane(body, k, plane, skin - _bulge(plane), tubes[k])


def _paint_plane(body: Body, k: int, plane: wall.Plane, skin: Array, tubes: npt.NDArray[np.uint8]) -> None:
    image = body.image[k]
    inside = wall.paint_wall(image, plane, skin)
    paint(image, cover(inside), thorax.FAT + 7 * plane.fine)
    thorax.paint_domes(image, plane, inside)
    outside = thorax.paint_heart(image, plane)
    between = np.minimum(thorax.mediastinum(plane, outside), (np.float32(127) - tubes) * np.float32(8 / 255))
    lung = thorax.paint_lungs(image, plane, np.maximum(thorax.lungs(plane, between), inside))
    wall.paint_spine(image, plane)
    wall.paint_sternum(image, plane)
    body.organs[k][lung > 0.5] = 1  # more than half of the voxel
    if outside is not None:
        body.organs[k][outside < 0] = 2


def _near_tubes(grid: Grid) -> npt.NDArray[np.uint8]:
    """Coverage by the tubes of the mediastinum and the fat around them, with an edge of 8 mm."""
    mark = np.zeros((len(grid.z), len(grid.y), len(grid.x)), np.uint8)
    for capsule in thorax.MEDIASTINAL:
        mark_capsule(mark, grid, capsule, 2.2, 8.0)
    return mark


def _skin(x: Array, y: Array) -> Array:
    """Signed distance (mm) to the surface of a body, a superellipse that is flat where it lies."""
    power, a, b = 2.6, 176.0, 119.0
    u = np.abs(x) / a
    v = np.abs(y) / b
    q = (u**power + v**power) ** (1 / power) + 1e-6
    slope = np.hypot((u / q) ** (power - 1) / a, (v / q) ** (power - 1) / b)
    return np.asarray((q - 1) / np.maximum(slope, 1e-6), dtype=np.float32)


def _bulge(plane: wall.Plane) -> Array:
    """How much the surface lies outside the superellipse (mm): hollows over the breast bone and the spine."""
    front = np.exp(-((plane.x / 16) ** 2)) * (plane.y < 0)
    back = np.exp(-((plane.x / 12) ** 2)) * (plane.y > 0)
    chest = np.exp(-(((np.abs(plane.x) - 68) / 45) ** 2) - ((plane.z + 20) / 60) ** 2) * (plane.y < 0)
    slope = max(plane.z - 5, 0) * (0.20 * np.clip(-plane.y / 80, 0, 1) + 0.05)
    return np.asarray(plane.rough * 0.9 - 5 * front - 3 * back + 3.5 * chest - slope, dtype=np.float32)


def _paint_tubes(rng: np.random.Generator, body: Body) -> None:
    """Paint what is drawn as tubes: vessels, gullet, nodes, the vessels of the lungs, airways."""
    image, grid = body.image, body.grid
    trees = _trees(rng, grid)
    for capsules, hu in (
        (thorax.GULLET, 42.0), (thorax.NODES, 72.0), (thorax.VEINS, 156.0), (thorax.HEART_VEINS, 160.0),
        (thorax.ARTERIES, 162.0), (thorax.NECK_ARTERIES, 166.0), (thorax.AORTA, 168.0),
        *((tree.capsules(), 110.0) for tree in trees),
    ):  # fmt: skip
        for capsule in capsules:
            paint_capsule(image, grid, capsule, hu)
    mark = np.zeros(body.organs.shape, np.uint8)
    for capsule in thorax.AORTA:
        mark_capsule(mark, grid, capsule, 0, 1.0)
    _paint_airways(image, grid, [*thorax.AIRWAYS, *companions(trees[0], 1.5), *companions(trees[1], 1.5)])
    body.organs[(mark > 127) & (image > 100)] = 3  # more than half of the voxel, and no airway


def _paint_airways(image: Array, grid: Grid, airways: list[Capsule]) -> None:
    for grow, hu in ((1.3, 25.0), (0.0, thorax.AIR)):
        for capsule in airways:
            thick = 0.45 * grow + 0.12 * capsule.end_radius * (grow > 0)
            wide = capsule._replace(start_radius=capsule.start_radius + thick, end_radius=capsule.end_radius + thick)
            paint_capsule(image, grid, wide, hu)


def _trees(rng: np.random.Generator, grid: Grid) -> list[Tree]:
    """Arteries and veins of the right and the left lung."""
    points = _points_in_lungs(rng, grid)
    kinds = np.array_split(points, 2)
    trees = []
    for roots, cloud in zip(thorax.ROOTS.values(), kinds, strict=True):
        for root, side in zip(roots, (cloud[:, 0] < 0, cloud[:, 0] > 0), strict=True):
            trees.append(grow_tree(rng, root, cloud[side]))
    return trees


def _points_in_lungs(rng: np.random.Generator, grid: Grid) -> npt.NDArray[np.float64]:
    """Random points inside the lungs, about one to 1.7 ml, (n, 3), LPS mm."""
    low, high = min(float(grid.z[0]), -40.0) - 10, max(float(grid.z[-1]), 20.0) + 10
    found = []
    for z in np.arange(low, high, 4.0):
        x, y = rng.uniform(-145, 145, 280), rng.uniform(-110, 110, 280)
        flat = np.zeros(280, np.float32)
        at = wall.Plane(x.astype(np.float32), y.astype(np.float32), float(z), flat, flat, flat)
        deep = thorax.lungs(at, thorax.mediastinum(at, thorax.heart(at))) < -5  # bare under the pleura
        found.append(np.column_stack((x, y, rng.uniform(z, z + 4, 280)))[deep])
    return rng.permutation(np.concatenate(found))


def _paint_tumour(rng: np.random.Generator, body: Body, centre: Point) -> npt.NDArray[np.bool_]:
    """Paint a spiculated mass of 25 to 30 mm; the returned array is true inside it, its spicules left out."""
    radius = float(rng.uniform(12.8, 14.6))
    _paint_spicules(rng, body, centre, radius)
    surface = _lobes(rng)
    reach = radius * 1.45 + 12
    box = tuple(
        slice(*(int(n) for n in np.searchsorted(axis, (at - reach, at + reach))))
        for axis, at in zip(body.grid, reversed(centre), strict=True)
    )
    image, grid = body.image[box], Grid(*(axis[part] for axis, part in zip(body.grid, box, strict=True)))
    label = np.zeros(body.organs.shape, np.bool_)
    if image.size:
        texture = Field(rng, grid, 5.0)
        for k, z in enumerate(grid.z):
            x, y = np.meshgrid(grid.x - np.float32(centre[0]), grid.y - np.float32(centre[1]))
            depths = [_depth(x, y, float(z) - centre[2] + offset, surface, radius) for offset in SLICE_OFFSETS_MM]
            label[box][k] = _paint_mass(image[k], np.stack(depths), radius, texture.plane(k))
    return label


def _lobes(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Bumps and dents of the mass: direction (3) and height as a share of the radius, (lobes, 4)."""
    towards = rng.normal(size=(16, 3))
    towards /= np.linalg.norm(towards, axis=1)[:, None]
    return np.column_stack((towards, rng.uniform(-0.15, 0.24, 16))).astype(np.float32)


def _depth(x: Array, y: Array, z: float, lobes: npt.NDArray[np.float32], radius: float) -> Array:
    """Distance (mm) from the surface of the mass, negative inside; x, y, z from its centre."""
    away = np.sqrt(x * x + y * y + np.float32(z * z)) + np.float32(1e-3)
    surface = np.ones_like(away)
    for vx, vy, vz, height in lobes:
        surface += height * np.exp(11 * ((x * vx + y * vy + np.float32(z) * vz) / away - 1))
    return np.asarray(away - surface * np.float32(radius), dtype=np.float32)


def _paint_mass(image: Array, depths: Array, radius: float, texture: Array) -> npt.NDArray[np.bool_]:
    """Paint one plane of the mass, less dense in its core, with a halo; true where it fills over half of the voxel."""
    coverage = cover(depths, 1.4).mean(axis=0, dtype=np.float32)
    depth = depths.min(axis=0)
    core = np.clip(-depth / radius - 0.35, 0, 0.5)
    paint(image, np.exp(-np.maximum(depth, 0) / 2.2) * (depth < 12) * np.float32(0.28), -250.0)  # halo
    paint(image, coverage, 72 - 75 * core + 9 * texture)
    return np.asarray(coverage > 0.5, dtype=np.bool_)


def _paint_spicules(rng: np.random.Generator, body: Body, centre: Point, radius: float) -> None:
    """Strands that radiate from the mass, the longest to the pleura."""
    for number in range(42):
        towards = rng.normal(size=3) * (1, 1, 0.55)
        towards /= np.linalg.norm(towards)
        reach = radius + float(rng.gamma(3.2, 2.4)) + 2
        if number == 0:
            towards, reach = np.array((-0.93, 0.36, 0.05)), radius + 26
        start, end = (np.asarray(centre) + towards * r for r in (radius * 0.7, reach))
        found = stamp(body.grid, Capsule(tuple(start), tuple(end), float(rng.uniform(1.0, 2.3)), 0.3))
        if found is not None:
            paint(body.image[found.box], found.coverage * np.float32(0.85), 5.0)


def _paint_table(image: Array, grid: Grid) -> None:
    """A curved table top of carbon fibre around foam, under a mattress."""
    x, y = np.meshgrid(grid.x, grid.y)
    top, bottom = y - (128 - x * x / 860), (163 - x * x / 430) - y
    shell = np.minimum(top, bottom)
    one = image[0]
    paint(one, cover(np.maximum(-top - 6, top)) * (np.abs(x) < 150), -955.0)  # width of the mattress
    paint(one, cover(-shell), -330.0)
    paint(one, cover(2.0 - shell), -975.0)
    image[1:] = one


def _reconstruct(rng: np.random.Generator, image: Array, grid: Grid) -> npt.NDArray[np.int16]:
    """What the scanner makes of it: its sharpness, its noise, its round field of view, its range of values."""
    size = len(grid.x)
    square = np.hypot(*np.meshgrid(grid.x, grid.y - CENTRE_Y_MM))
    outside = square > FIELD_OF_VIEW_MM / 2 - FIELD_OF_VIEW_MM / size
    level = (np.float32(NOISE_HU) * (np.float32(0.55) + np.exp(-((square / 135) ** 2)))).astype(np.float32)
    hu = np.empty(image.shape, np.int16)
    last = np.zeros((size, size), np.float32)
    for k in range(len(image)):
        white = rng.standard_normal((size, size), dtype=np.float32)
        grain = np.float32(0.95) * white + np.float32(0.31) * last
        last = white
        values = _blur(image[k], 0.14) + level * _grain(grain)
        values[outside] = LOWEST_HU
        hu[k] = np.clip(np.rint(values), LOWEST_HU, HIGHEST_HU)
    return hu


def _blur(image: Array, side: float) -> Array:
    """Weighted mean with the next voxels on both sides, along rows and columns."""
    for axis in (0, 1):
        image = (1 - 2 * side) * image + side * (np.roll(image, 1, axis) + np.roll(image, -1, axis))
    return image


def _grain(white: Array) -> Array:
    """Noise with the spectrum of a soft tissue kernel: little of the lowest and of the highest frequencies."""
    soft: Any = _blur(_blur(white, 0.25), 0.2)
    low = _blur(_blur(soft, 0.3), 0.3)
    band = soft - np.float32(0.55) * low
    return np.asarray(band / np.float32(max(float(band.std()), 1e-6)), dtype=np.float32)
