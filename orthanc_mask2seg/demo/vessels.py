"""Branching trees: pulmonary vessels that fill a lung, and the tubes of the mediastinum."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.demo.shapes import Capsule

Points = npt.NDArray[np.float64]

TIP_RADIUS_MM = 0.4
MURRAY_EXPONENT = 2.35
"""The radii of a vessel and its branches obey r^n = sum(r_i^n)."""
DETOUR_WEIGHT = 0.4
"""How much a short way to the root counts against a short new branch."""
STEP_MM = 8.0


class Tree(NamedTuple):
    """Nodes of a tree; the root comes first and has itself as parent.

    Attributes
    ----------
    points
        (nodes, 3), LPS mm.
    parents
        Index of each node's parent.
    radii
        Radius at each node, mm.
    """

    points: Points
    parents: npt.NDArray[np.int64]
    radii: npt.NDArray[np.float64]

    def capsules(self) -> list[Capsule]:
        """One capsule per branch, the thickest first."""
        order = np.argsort(-self.radii[1:], kind="stable") + 1
        return [self._capsule(int(node)) for node in order]

    def _capsule(self, node: int) -> Capsule:
        parent = int(self.parents[node])
        start, end = self.points[parent].tolist(), self.points[node].tolist()
        radius = float(self.radii[node])
        return Capsule(tuple(start), tuple(end), min(float(self.radii[parent]), radius * 1.15), radius)


def grow_tree(rng: np.random.Generator, root: tuple[float, float, float], tips: Points) -> Tree:
    """Join every tip to the root by the branch that is short both to itself and to the root.

    Parameters
    ----------
    root
        Where the tree enters the organ, LPS mm.
    tips
        (tips, 3), LPS mm.
    """
    order = np.argsort(np.linalg.norm(tips - np.asarray(root), axis=1))
    room = 1 + sum(_steps(float(np.linalg.norm(tip - np.asarray(root)))) + 1 for tip in tips)
    points, way = np.empty((room, 3)), np.zeros(room)
    parents, used = np.zeros(room, np.int64), 1
    points[0] = root
    for tip in tips[order]:
        reach = np.sqrt(((points[:used] - tip) ** 2).sum(axis=1))
        node = int(np.argmin(reach + DETOUR_WEIGHT * way[:used]))
        steps = _steps(float(reach[node]))
        path = points[node] + np.linspace(0, 1, steps + 1)[1:, None] * (tip - points[node])
        path[:-1] += rng.normal(0, 0.55, (steps - 1, 3))
        points[used : used + steps] = path
        parents[used : used + steps] = [node, *range(used, used + steps - 1)]
        way[used : used + steps] = way[node] + np.linspace(0, reach[node], steps + 1)[1:]
        used += steps
    return Tree(points[:used], parents[:used], _radii(parents[:used]))


def _steps(length: float) -> int:
    return max(1, round(length / STEP_MM))


def _radii(parents: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Radius at each node, mm, from the tips down; a child's index is greater than its parent's."""
    flow = np.zeros(len(parents))
    for node in range(len(parents) - 1, 0, -1):
        flow[node] = max(flow[node], 1.0)
        flow[parents[node]] += flow[node]
    radii: npt.NDArray[np.float64] = TIP_RADIUS_MM * np.maximum(flow, 1) ** (1 / MURRAY_EXPONENT)
    return radii


def tube(*points: tuple[float, float, float, float]) -> list[Capsule]:
    """A tube through points (x, y, z, radius), LPS mm."""
    return [Capsule(a[:3], b[:3], a[3], b[3]) for a, b in pairwise(points)]


def companions(tree: Tree, least: float) -> list[Capsule]:
    """Bronchi that run beside the arteries of a tree whose radius is at least `least` mm."""
    found = []
    for capsule in tree.capsules():
        if capsule.end_radius < least:
            break
        shift = 1.75 * capsule.end_radius + 0.6
        (x0, y0, z0), (x1, y1, z1) = capsule.start, capsule.end
        across = np.cross((x1 - x0, y1 - y0, z1 - z0), (0.35, 0.2, 1.0))
        dx, dy, dz = (across * (shift / max(float(np.linalg.norm(across)), 1e-6))).tolist()
        start, end = (x0 + dx, y0 + dy, z0 + dz), (x1 + dx, y1 + dy, z1 + dz)
        found.append(Capsule(start, end, capsule.start_radius * 0.85, capsule.end_radius * 0.85))
    return found
