"""NRRD, NIfTI and contours of oblique images lie where the mask lies; irregular slices are refused."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from pydicom import dcmread

from orthanc_mask2seg.model import Reason, Refusal
from orthanc_mask2seg.outputs.grid import regular_grid
from orthanc_mask2seg.outputs.rtstruct import write_rtstruct
from orthanc_mask2seg.outputs.volumes import write_nifti, write_nrrd
from tests.builders import Grid, blob, same_points, study
from tests.unit.outputs.made import opened

TURN = math.radians(25)
OBLIQUE = ((math.cos(TURN), math.sin(TURN), 0.0), (-math.sin(TURN) * 0.8, math.cos(TURN) * 0.8, -0.6))


def points_of(file: Path, label: int) -> np.ndarray:
    image = sitk.ReadImage(str(file))
    index = np.argwhere(sitk.GetArrayFromImage(image) == label)[:, ::-1]
    step = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return np.array(image.GetOrigin()) + index @ step.T


def test_oblique_images(tmp_path: Path) -> None:
    grid = Grid(axes=OBLIQUE)
    labels = blob(grid) + 2 * blob(grid, centre=(0.3, 0.8, 0.2)) * (blob(grid) == 0)
    regions, _, template = opened(study(grid, labels=labels))
    nrrd, nifti = write_nrrd(regions), write_nifti(regions)
    assert isinstance(nrrd, bytes)
    assert isinstance(nifti, bytes)
    (tmp_path / "mask.seg.nrrd").write_bytes(nrrd)
    (tmp_path / "mask.nii.gz").write_bytes(nifti)
    for label, truth in grid.points(labels).items():
        if label:
            assert same_points(points_of(tmp_path / "mask.seg.nrrd", label), truth)
            assert same_points(points_of(tmp_path / "mask.nii.gz", label), truth)
    segments = slicerio.read_segmentation(str(tmp_path / "mask.seg.nrrd"))["segments"]
    assert [s["terminology"]["type"][0] for s in segments] == ["SCT", "SCT"]
    contours = write_rtstruct(regions, template)
    assert isinstance(contours, bytes)
    check_planes(contours, grid)


def check_planes(contours: bytes, grid: Grid) -> None:
    """Each contour lies in the plane of the image that it names, half a pixel around the mask."""
    data = dcmread(io.BytesIO(contours))
    heights = [float(grid.position(p) @ grid.normal) for p in range(grid.planes)]
    for roi in data.ROIContourSequence:
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            assert np.ptp(points @ grid.normal) < 1e-4
            assert min(abs(h - float(points[0] @ grid.normal)) for h in heights) < 1e-4
            assert all(len(str(v.original_string)) <= 16 for v in contour.ContourData)


@pytest.mark.parametrize("grid", [Grid(gaps=(2, 4, 1, 3, 2)), Grid(shear=(0.0, 0.9, 0.0))], ids=["gaps", "gantry tilt"])
def test_irregular_slices_are_refused(grid: Grid) -> None:
    regions, _, template = opened(study(grid))
    for refused in (regular_grid(regions.source), write_nrrd(regions), write_nifti(regions)):
        assert isinstance(refused, Refusal)
        assert refused.reason is Reason.IRREGULAR_SLICES
    assert isinstance(write_rtstruct(regions, template), bytes)


def test_the_same_again_is_the_same() -> None:
    made = study(Grid())
    first, second = (opened(made)[0] for _ in range(2))
    assert write_nrrd(first) == write_nrrd(second)
    assert write_nifti(first) == write_nifti(second)
    assert write_rtstruct(first, made.image[0]) == write_rtstruct(second, made.image[0])


def test_names_in_any_alphabet(tmp_path: Path) -> None:
    regions, _, _ = opened(study(Grid(), seed=4))
    spec = replace(regions.regions[0].spec, label="L\u00e4sion \u809d\u81d3")
    nrrd = write_nrrd(replace(regions, regions=(replace(regions.regions[0], spec=spec),)))
    assert isinstance(nrrd, bytes)
    assert "Segment0_Name:=L\u00e4sion \u809d\u81d3\n".encode() in nrrd.partition(b"\n\n")[0]
    (tmp_path / "mask.seg.nrrd").write_bytes(nrrd)
    assert sitk.ReadImage(str(tmp_path / "mask.seg.nrrd")).GetMetaData("Segment0_Name") == spec.label
