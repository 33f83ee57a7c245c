"""What is opened in the viewer: segmentations of real cases, with the truth as places in the patient."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from skimage.measure import points_in_poly

from orthanc_mask2seg.demo.study import make_study, to_bytes
from tests.truth import Case

OBLIQUE = ((0.36, 0.48, -0.8), (-0.8, 0.6, 0.0), (0.48, 0.64, 0.6))
"""A turn about no axis of the patient, exact in few digits."""


class Truth(NamedTuple):
    """One segment: which voxels of the grid are in it (k, j, i), and where voxel (i, j, k) is (4 x 4, LPS, mm)."""

    inside: np.ndarray
    affine: np.ndarray

    def dice(self, points: np.ndarray) -> float:
        """Overlap with voxels at these places, each of which has to be a voxel of the grid, and one of its own."""
        if not len(points):
            return 0.0
        exact = (points - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
        index = np.rint(exact).astype(int)
        assert np.abs(exact - index).max() < 0.01, "voxels lie between the voxels of the truth"
        shape = np.array(self.inside.shape)[::-1]
        assert (index >= 0).all(), "voxels lie outside of the images"
        assert (index < shape).all(), "voxels lie outside of the images"
        found = np.zeros(self.inside.shape, bool)
        found[tuple(index.T[::-1])] = True
        assert found.sum() == len(points), "two voxels lie at one place"
        return 2 * int((found & self.inside).sum()) / (len(points) + int(self.inside.sum()))

    def filled(self, polygons: list[np.ndarray]) -> np.ndarray:
        """Voxels of the grid whose centres lie in polygons of the patient: those that lie in an odd number of them."""
        result = np.zeros(self.inside.shape, bool)
        rows, columns = (a.ravel() for a in np.indices(self.inside.shape[1:]))
        for polygon in polygons:
            index = (polygon - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
            plane = int(np.rint(index[:, 2]).max())
            assert np.abs(index[:, 2] - plane).max() < 0.01, "a contour does not lie in a slice"
            inside = points_in_poly(np.column_stack([columns, rows]), index[:, :2])
            result[plane] ^= inside.reshape(self.inside.shape[1:])
        return result


class Sample(NamedTuple):
    """A study: its images, the masks that somebody drew, the truth of each segment."""

    name: str
    folder: Path
    mask_folders: list[Path]
    truths: list[Truth]

    @property
    def source_files(self) -> list[Path]:
        return sorted(p for p in (self.folder).rglob("*") if p.is_file() and not self._is_mask(p))

    def _is_mask(self, path: Path) -> bool:
        return any(folder in path.parents for folder in self.mask_folders)


def sample(case: Case) -> Sample:
    """A case as it is."""
    folder = case.source_files()[0].parent
    return Sample(case.folder.name, folder, case.mask_folders, _truths(case, np.eye(3)))


def turned(case: Case, into: Path) -> Sample:
    """A case whose patient lay obliquely in the scanner: every position and orientation turned, another study."""
    turn = np.array(OBLIQUE)
    for kind, files in (("ct", case.source_files()), ("mask", _files(case.mask_folders[0]))):
        (into / kind).mkdir(parents=True)
        for number, file in enumerate(files):
            image = dcmread(file)
            _turn(image, turn)
            image.save_as(into / kind / f"{number}.dcm")
    return Sample(f"{case.folder.name}_oblique", into / "ct", [into / "mask"], _truths(case, turn))


def demonstration(into: Path) -> Sample:
    """The synthetic chest CT of `mask2seg demo`."""
    study = make_study(7, 60, moment=datetime(2026, 11, 20, 9, 30))  # noqa: DTZ001 - local time of the scanner
    for kind, images in (("ct", study.ct), ("mask", study.mask)):
        (into / kind).mkdir(parents=True)
        for image in images:
            (into / kind / f"{image.InstanceNumber:03d}.dcm").write_bytes(to_bytes(image))
    first, second = sorted(study.ct, key=lambda i: float(i.ImagePositionPatient[2]))[:2]
    affine = np.diag([*map(float, first.PixelSpacing), 1.0, 1.0])
    affine[:3, 2] = np.subtract(second.ImagePositionPatient, first.ImagePositionPatient).astype(float)
    affine[:3, 3] = np.array(first.ImagePositionPatient, float)
    return Sample("demo", into / "ct", [into / "mask"], [Truth(np.asarray(study.labels), affine)])


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file())


def _turn(image: Dataset, turn: np.ndarray) -> None:
    cosines = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float) @ turn.T
    image.ImageOrientationPatient = [f"{v:.12g}"[:16] for v in cosines.ravel()]
    image.ImagePositionPatient = [f"{v:.10f}"[:16] for v in turn @ np.array(image.ImagePositionPatient, float)]
    image.PatientID = f"{image.PatientID}_oblique"[:64]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        if keyword in image:
            setattr(image, keyword, generate_uid(entropy_srcs=["oblique", str(image[keyword].value)]))
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID


def _truths(case: Case, turn: np.ndarray) -> list[Truth]:
    truths = []
    for segment in case.document["segments"]:
        image = sitk.ReadImage(str(case.folder / segment.get("truth_file", "truth.nrrd")))
        labels = sitk.GetArrayFromImage(image)
        affine = np.eye(4)
        direction = np.array(image.GetDirection()).reshape(3, 3)
        affine[:3, :3] = turn @ (direction * np.array(image.GetSpacing()))
        affine[:3, 3] = turn @ np.array(image.GetOrigin())
        truths.append(Truth(labels == (1 if "truth_file" in segment else segment["label"]), affine))
    return truths


def convert(sample: Sample, out: Path, *more: str) -> Path:
    """The SEG that a person gets from the command line, and what else was asked for beside it."""
    masks = [f"--mask={folder}" for folder in sample.mask_folders]
    words = ["convert", *masks, f"--source={sample.folder}", "-o", str(out), "--json", *more]
    done = subprocess.run(
        [sys.executable, "-m", "orthanc_mask2seg", *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["outcome"] == "converted"
    return out


def rgb(cielab: list[int]) -> np.ndarray:
    """RecommendedDisplayCIELabValue as sRGB by the formulas of CIE 15 and IEC 61966-2-1, under D65 as viewers do it.

    Beyond 0 to 255 where a screen cannot show the colour.
    """
    lightness, a, b = cielab[0] * 100 / 65535, cielab[1] * 255 / 65535 - 128, cielab[2] * 255 / 65535 - 128
    fy = (lightness + 16) / 116
    ratios = [f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29) for f in (fy + a / 500, fy, fy - b / 200)]
    xyz = np.multiply(ratios, (0.95047, 1.0, 1.08883))
    linear = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ xyz
    coded = [12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in linear]
    return 255 * np.array(coded)
