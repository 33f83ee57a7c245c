"""The truth of the cases in shared/data, and what independent readers make of a SEG, as places in the patient."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

CELL_MM = 0.25
"""Places are compared on a grid of this width, which is below every pixel spacing of the cases."""

Places = np.ndarray
"""Cells of a fixed grid that voxels lie in, each packed into one number, in order and each once."""

_BITS = 20
_HALF = 1 << (_BITS - 1)


class Case(NamedTuple):
    """One case: its folder and its truth.json."""

    folder: Path
    document: dict[str, Any]

    @property
    def mask_folders(self) -> list[Path]:
        return [self.folder / s["dir"] for s in self.document["mask_series"]]

    @property
    def source_series_uid(self) -> str:
        return next(s["series_uid"] for s in self.document["ct_series"] if s["match"])

    def source_files(self) -> list[Path]:
        source = next(s["dir"] for s in self.document["ct_series"] if s["match"])
        return sorted(p for p in (self.folder / source).iterdir() if p.is_file())

    def segments(self) -> list[Places]:
        """Voxels of each segment."""
        return _truth(self.folder)


@cache
def _truth(folder: Path) -> list[Places]:
    result = []
    for segment in json.loads((folder / "truth.json").read_text())["segments"]:
        image = sitk.ReadImage(str(folder / segment.get("truth_file", "truth.nrrd")))
        labels = sitk.GetArrayFromImage(image)
        label = 1 if "truth_file" in segment else segment["label"]
        result.append(places_of(image, labels == label))
        assert len(result[-1]) == segment["voxels"]
    return result


def cases(folder: Path) -> list[Case]:
    found = [Case(p.parent, json.loads(p.read_text())) for p in sorted(folder.glob("*/truth.json"))]
    assert found
    return found


def places_of(image: sitk.Image, inside: np.ndarray) -> Places:
    """Cells of the voxels of a SimpleITK image (array index z, y, x) that are set."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    step = direction * np.array(image.GetSpacing())
    index = np.argwhere(inside)[:, ::-1]
    return cells(np.array(image.GetOrigin()) + index @ step.T)


def cells(points: np.ndarray) -> Places:
    """Points (n, 3) in mm as cells of a fixed grid; no two voxels of a case share one."""
    index = np.floor(points / CELL_MM + 0.37).astype(np.int64)
    assert (np.abs(index) < _HALF).all(), "far from the patient"
    x, y, z = (index + _HALF).T
    return np.unique((x << 2 * _BITS) | (y << _BITS) | z)


def _unpacked(places: Places) -> np.ndarray:
    return np.stack([places >> 2 * _BITS, (places >> _BITS) % (2 * _HALF), places % (2 * _HALF)], axis=1) - _HALF


def same(found: Iterable[Places], wanted: Iterable[Places]) -> bool:
    """Whether the same segments are there, in any order, up to cells that a rounding carries over an edge."""
    left = list(found)
    for segment in wanted:
        hit = next((n for n, f in enumerate(left) if len(f) == len(segment) and _near(f, segment)), None)
        if hit is None:
            return False
        del left[hit]
    return not left


def _near(a: Places, b: Places) -> bool:
    """Equal, or every stray cell of one is next to a stray cell of the other."""
    stray, other = (_unpacked(np.setdiff1d(p, q, assume_unique=True)) for p, q in ((a, b), (b, a)))
    return len(stray) == len(other) and all(np.abs(other - s).max(axis=1).min() <= 1 for s in stray)


def read_with_highdicom(path: Path) -> list[Places]:
    segmentation = hd.seg.segread(path)
    volume = segmentation.get_volume(combine_segments=False, rescale_fractional=False)
    result = []
    for number in range(volume.array.shape[3]):
        index = np.argwhere(volume.array[..., number] > 0)
        result.append(cells(index @ volume.affine[:3, :3].T + volume.affine[:3, 3]))
    return result


def read_with_dcmqi(path: Path, folder: Path) -> list[Places]:
    folder.mkdir()
    program = Path(sys.executable).parent / "segimage2itkimage"
    subprocess.run(
        [program, "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nrrd"],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    result = []
    for file in sorted(folder.glob("*.nrrd")):
        image = sitk.ReadImage(str(file))
        labels = sitk.GetArrayFromImage(image)
        result += [places_of(image, labels == v) for v in np.unique(labels) if v]
    return result


def complaints(program: Path, *files: Path) -> set[str]:
    """Errors and warnings of dciodvfy or dcentvfy, without the names of the files."""
    done = subprocess.run([program, *files], capture_output=True, text=True, check=False, timeout=120)
    lines = (done.stdout + done.stderr).splitlines()
    found = {line for line in lines if line.startswith(("Error", "Warning"))}
    for file in files:
        found = {line.replace(str(file), file.name) for line in found}
    return found


def inherited(path: Path) -> set[str]:
    """What dciodvfy says of values that a SEG takes over from patient and study of its source."""
    return {str(e.value) for e in dcmread(path, stop_before_pixels=True) if e.tag.group in {0x0008, 0x0010, 0x0020}}


def header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True)


def in_a_known_class(seg: Path, copy: Path) -> Path:
    """The same under the older class of segmentations: what is of patient and study is the same in both."""
    data = dcmread(seg)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    data.save_as(copy)
    return copy
