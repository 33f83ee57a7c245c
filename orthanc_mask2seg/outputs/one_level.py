"""What the IBSI's definitions give for a region of one grey level, where the engine gives up on the whole family.

There is one bin with all voxels, and one entry in each co-occurrence matrix. What would be a ratio of zeros
(correlation, the first information correlation) does not exist, nor do the gradients of a histogram of one bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.float64]
"""Grey levels from 1 on, NaN outside of the region, index (plane, row, column)."""

HISTOGRAM: Mapping[str, float] = {
    **dict.fromkeys(("mean", "median", "min", "p10", "p90", "max", "mode", "uniformity"), 1.0),
    **dict.fromkeys(("var", "skew", "kurt", "iqr", "range", "mad", "rmad", "medad", "cov", "qcod", "entropy"), 0.0),
}
"""IBSI reference manual, section 3.4: one level of probability 1; without variance there is no skewness or kurtosis."""

CO_OCCURRENCE: Mapping[str, float] = {
    **dict.fromkeys(("joint_max", "joint_avg", "energy", "inv_diff", "inv_diff_norm", "inv_diff_mom"), 1.0),
    **dict.fromkeys(("inv_diff_mom_norm", "auto_corr"), 1.0),
    **dict.fromkeys(("joint_var", "joint_entr", "diff_avg", "diff_var", "diff_entr", "sum_var", "sum_entr"), 0.0),
    **dict.fromkeys(("contrast", "dissimilarity", "inv_var", "clust_tend", "clust_shade", "clust_prom"), 0.0),
    "sum_avg": 2.0,
    "info_corr2": 0.0,
}
"""Section 3.6: p(1, 1) = 1."""


def is_one(levels: Levels) -> bool:
    """Whether all voxels have the same grey level."""
    values = levels[~np.isnan(levels)]
    return bool(values.size) and bool((values == values[0]).all())


def has_neighbours(levels: Levels, *, in_plane: bool) -> bool:
    """Whether any two voxels touch, if only by a corner: else there is no co-occurrence matrix."""
    inside = np.pad(~np.isnan(levels), 1)
    steps = [s for s in product((0,) if in_plane else (-1, 0, 1), (-1, 0, 1), (-1, 0, 1)) if any(s)]
    return any(bool((inside & np.roll(inside, step, (0, 1, 2))).any()) for step in steps)
