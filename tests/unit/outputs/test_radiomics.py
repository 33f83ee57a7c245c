"""What exists of a region is measured, and what does not has a reason."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from zrad.image import Image
from zrad.preprocessing import ImageResampler, MaskResampler
from zrad.radiomics.glcm import GLCM

from orthanc_mask2seg.model import Reason, Refusal
from orthanc_mask2seg.outputs import one_level
from orthanc_mask2seg.outputs.grid import RegularGrid, regular_grid
from orthanc_mask2seg.outputs.intensities import StoredPlane
from orthanc_mask2seg.outputs.kinds import preset_of
from orthanc_mask2seg.outputs.measured import Measured, measure_all
from orthanc_mask2seg.outputs.prepared import prepare
from orthanc_mask2seg.outputs.presets import PRESETS
from orthanc_mask2seg.outputs.radiomics import extract
from tests.builders import Grid, study
from tests.unit.outputs.made import opened

QUICK = preset_of("slicer", aggregations=("3D averaged", "2D averaged"))


def measured(labels: np.ndarray, grid: Grid | None = None) -> dict[tuple[str, str], tuple[float | None, str | None]]:
    regions, values, _ = opened(study(grid or Grid(), labels=labels))
    found = extract(regions.regions[0], regions.source, values, QUICK)
    assert isinstance(found, tuple), found
    assert all((feature.value is None) == bool(feature.reason) for feature in found)
    return {(feature.code, feature.aggregation): (feature.value, feature.reason) for feature in found}


def region(planes: slice, rows: slice, columns: slice) -> np.ndarray:
    labels = np.zeros((6, 24, 20), np.uint8)
    labels[planes, rows, columns] = 1
    return labels


def test_a_thick_region_has_everything() -> None:
    found = measured(region(slice(1, 5), slice(4, 14), slice(3, 12)))
    assert [key for key, (value, _) in found.items() if value is None] == []


def test_two_slices_have_values_and_texture_in_2d() -> None:
    """No 3D texture of what is thinner than three voxels; the mean, the volume and texture by slice are there."""
    found = measured(region(slice(2, 4), slice(4, 14), slice(3, 12)))
    assert found["Q4LE", ""][0] is not None
    assert found["YEKZ", ""][0] == pytest.approx(2 * 10 * 9 * 2.5 * 0.8 * 0.7)
    assert found["60VM", "2D averaged"][0] is not None
    assert found["60VM", "3D averaged"] == (None, str(Reason.REGION_TOO_SMALL))


def test_one_voxel_has_a_mean() -> None:
    found = measured(region(slice(2, 3), slice(4, 5), slice(3, 4)))
    assert found["Q4LE", ""][0] == found["1GSF", ""][0] == found["84IY", ""][0]
    assert found["60VM", "3D averaged"][1] == found["60VM", "2D averaged"][1] == str(Reason.REGION_TOO_SMALL)


def test_a_constant_region_has_what_exists() -> None:
    grid = Grid()
    made = study(grid, labels=region(slice(1, 5), slice(4, 14), slice(3, 12)))
    regions, values, _ = opened(made)
    flat = {i: StoredPlane(np.full_like(plane.pixels, 40), 1.0, 0.0) for i, plane in values.planes.items()}
    flat[len(flat)] = StoredPlane(np.arange(100).reshape(10, 10), 1.0, 0.0)  # the image has more levels than the region
    constant = replace(values, planes=flat)
    for name in ("slicer", "ibsi-d"):
        found = extract(regions.regions[0], regions.source, constant, preset_of(name, aggregations=("3D averaged",)))
        assert isinstance(found, tuple)
        by_code = {feature.code: feature.value for feature in found}
        assert by_code["Q4LE"] == 40.0
        assert by_code["ECT3"] == 0.0
        assert by_code["RNU0"] is not None
        texture = {(f.code, f.aggregation): f for f in found}
        assert (by_code["TLU2"], by_code["BJ5W"], by_code["X6K6"]) == (0.0, 1.0, 1.0)
        assert texture["TU9B", "3D averaged"].value == 0.0
        assert texture["8ZQL", "3D averaged"].value == 1.0
        assert texture["NI2N", "3D averaged"].reason == Reason.ONE_GREY_LEVEL  # correlation: a ratio of zeros
        assert {f.reason for f in found} <= {None, str(Reason.ONE_GREY_LEVEL)}
        assert any(str(Reason.ONE_GREY_LEVEL) in note for note in measure_all(regions, constant, PRESETS[name]).notes)


def test_one_level_is_what_the_engine_gives_for_all_that_it_can_divide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its formulas for a matrix of one entry; it gives up on the whole family because of two of them."""
    for name in ("_calc_correlation", "_calc_information_correlation_1"):
        monkeypatch.setattr(GLCM, name, staticmethod(lambda _matrix: math.nan))
    levels = np.full((4, 5, 5), np.nan)
    levels[1:3, 1:4, 1:4] = 1.0
    calculator = GLCM("3D", "AVER")
    found = {
        tag.removeprefix("cm_").removesuffix("_3D_avg"): v for tag, v in calculator.calculate_features(levels).items()
    }
    for name, value in found.items():
        assert value == pytest.approx(one_level.CO_OCCURRENCE.get(name, math.nan), abs=1e-12, nan_ok=True), name
    assert set(found) - set(one_level.CO_OCCURRENCE) == {"corr", "info_corr1"}


def test_neighbours_touch_by_a_corner_at_least() -> None:
    levels = np.full((3, 3, 3), np.nan)
    levels[0, 0, 0] = levels[1, 1, 1] = 1.0
    assert one_level.has_neighbours(levels, in_plane=False)
    assert not one_level.has_neighbours(levels, in_plane=True)
    levels[1, 1, 1] = np.nan
    levels[2, 2, 2] = 1.0
    assert not one_level.has_neighbours(levels, in_plane=False)


def test_where_no_value_is_left_the_shape_is() -> None:
    regions, values, _ = opened(study(Grid(), labels=region(slice(1, 5), slice(4, 14), slice(3, 12))))
    preset = preset_of("slicer", value_range=(5000, 6000), aggregations=("3D averaged",))
    found = extract(regions.regions[0], regions.source, values, preset)
    whole = extract(regions.regions[0], regions.source, values, preset_of("slicer", aggregations=("3D averaged",)))
    assert isinstance(found, tuple)
    assert isinstance(whole, tuple)
    for one, all_of_it in zip(found, whole, strict=True):
        if one.family == "morphology" and one.value is not None:
            assert one.value == pytest.approx(all_of_it.value), one.name
    assert {f.family for f in found if f.value is not None} == {"morphology"}
    assert sum(f.value is not None for f in found) >= 20
    assert {f.reason for f in found if f.value is None} == {str(Reason.NOTHING_IN_RANGE)}


def test_a_range_that_the_site_sets_is_in_the_unit_of_the_image() -> None:
    regions, values, _ = opened(study(Grid(), modality="MR"))
    found = extract(regions.regions[0], regions.source, values, preset_of("slicer", value_range=(-1000, 3000)))
    assert isinstance(found, tuple)


def test_texture_of_too_many_levels_is_left_out() -> None:
    regions, values, _ = opened(study(Grid(), labels=region(slice(1, 5), slice(4, 14), slice(3, 12))))
    found = extract(regions.regions[0], regions.source, values, preset_of("slicer", bin_width=0.01))
    assert isinstance(found, tuple)
    assert {f.reason for f in found if f.value is None} == {str(Reason.TOO_MANY_LEVELS)}
    assert {"morphology", "intensity_statistics", "intensity_histogram"} <= {
        f.family for f in found if f.value is not None
    }


def test_irregular_slices_have_values_alone() -> None:
    found = measured(region(slice(1, 5), slice(4, 14), slice(3, 12)), Grid(gaps=(2, 4, 1, 3, 2)))
    assert found["Q4LE", ""][0] is not None
    assert found["60VM", "3D averaged"] == (None, str(Reason.IRREGULAR_SLICES))


def test_a_range_of_hu_is_refused_for_mr() -> None:
    regions, values, _ = opened(study(Grid(), modality="MR"))
    refused = extract(regions.regions[0], regions.source, values, PRESETS["ibsi-c"])
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.UNKNOWN_UNITS
    everything = measure_all(regions, values, PRESETS["ibsi-c"])
    assert everything.notes
    assert {feature.family for feature in everything.features[1]} == {"simple"}


@pytest.mark.parametrize("name", ["ibsi-b", "ibsi-c", "ibsi-e"])
def test_resampled_as_the_whole_image_would_be(name: str) -> None:
    """New voxels lie where the engine itself puts them when it is given the whole image."""
    preset = PRESETS[name]
    regions, values, _ = opened(study(Grid(planes=30, rows=60, columns=50), labels=large()))
    (found,) = regions.regions
    grid = regular_grid(regions.source)
    assert isinstance(grid, RegularGrid)
    prepared = prepare(found, values, grid, preset)
    assert prepared is not None
    inside = np.zeros(grid.size[::-1])
    inside[found.box] = found.voxels
    resolution = (2, 2, grid.spacing[2]) if preset.in_plane else (2, 2, 2)
    method = "bspline" if name == "ibsi-e" else "linear"
    whole = ImageResampler(resolution, method, "nearest_integer").apply(image(values.stacked(range(30)), grid))
    mask = MaskResampler(resolution, "linear").apply(image(inside, grid))
    ours, theirs = (np.sort(v) for v in (prepared.values[prepared.inside], whole.array[mask.array > 0]))
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs).max() <= (1 if name == "ibsi-e" else 0), "a spline may differ in its last digit"
    assert (ours != theirs).mean() < 0.001


def large() -> np.ndarray:
    labels = np.zeros((30, 60, 50), np.uint8)
    labels[11:19, 20:38, 18:33] = 1
    return labels


def image(values: np.ndarray, grid: RegularGrid) -> Image:
    return Image(
        array=values.astype(float), origin=(0.0, 0.0, 0.0), spacing=grid.spacing,
        direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), shape=grid.size,
    )  # fmt: skip


def test_settings_are_recorded() -> None:
    regions, values, _ = opened(study(Grid()))
    everything = measure_all(regions, values, QUICK)
    assert isinstance(everything, Measured)
    document = everything.document()
    assert document["engine"]["name"] == "z-rad"
    assert document["engine"]["settings"]["bin_width"] == 25
    assert document["engine"]["settings"]["unit"] == "[hnsf'U]"


def test_nothing_of_it_is_imported_unless_asked_for() -> None:
    """A conversion without outputs, and the command line, load none of these packages."""
    program = (
        "import sys; import orthanc_mask2seg.cli.app, orthanc_mask2seg.service.worker, orthanc_mask2seg.service.daemon;"
        "print([m for m in ('zrad', 'skimage', 'scipy', 'slicerio', 'nrrd') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_contours_alone_load_no_measurements() -> None:
    program = (
        "import sys; from tests.builders import Grid, study; from tests.unit.outputs.made import converted;"
        "converted(study(Grid()), outputs=('seg', 'rtstruct'));"
        "print([m for m in ('zrad', 'skimage', 'SimpleITK', 'slicerio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_without_the_engine_the_simple_measurements_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zrad", None)  # as if it were not installed
    regions, values, _ = opened(study(Grid()))
    everything = measure_all(regions, values, QUICK)
    assert [note.partition(":")[0] for note in everything.notes] == [str(Reason.NOT_INSTALLED)]
    assert {feature.family for feature in everything.features[1]} == {"simple"}
    assert everything.engine.name == "mask2seg"
