"""Programs of others that read a SEG: each returns the voxels of each segment as places in the patient.

One that cannot read a file raises `CannotRead`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import get_debian
import get_node
import get_ohif
import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, dcmread

from tests.truth import Places, cells, read_with_dcmqi, read_with_highdicom

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 200

Read = Callable[[Path, Path], list[Places]]
"""Takes the file and an empty folder to work in."""


class CannotRead(Exception):
    """The program says that it cannot read this."""


def highdicom(path: Path, _folder: Path) -> list[Places]:
    return read_with_highdicom(path)


def dcmqi(path: Path, folder: Path) -> list[Places]:
    return read_with_dcmqi(path, folder / "dcmqi")


def dcmjs(path: Path, _folder: Path) -> list[Places]:
    modules = get_node.fetch(ROOT / "tests" / "readers", ROOT / ".state" / "node" / "readers")
    script = ROOT / "tests" / "readers" / "read.cjs"
    done = _run([get_ohif.node(), "--max-old-space-size=6000", script, modules, path])
    document = json.loads(done)
    cosines = np.array(document["orientation"], float)
    spacing = np.array(document["spacing"], float)
    found: dict[str, list[np.ndarray]] = {}
    for plane in document["planes"]:
        for segment, pixels in plane["segments"].items():
            rows, columns = np.divmod(np.array(pixels), document["columns"])
            steps = columns[:, None] * cosines[:3] * spacing[1] + rows[:, None] * cosines[3:] * spacing[0]
            found.setdefault(segment, []).append(np.array(plane["position"], float) + steps)
    return [cells(np.concatenate(points)) for _, points in sorted(found.items(), key=lambda i: int(i[0]))]


def simpleitk(path: Path, _folder: Path) -> list[Places]:
    """SimpleITK reads with GDCM: a stack of frames, of whose segments and places only the file itself tells."""
    try:
        return _stack(sitk.ReadImage(str(path)), dcmread(path, stop_before_pixels=True))
    except RuntimeError as error:
        raise CannotRead(str(error)) from error


def plastimatch(path: Path, folder: Path) -> list[Places]:
    tree = get_debian.fetch("bookworm", ["plastimatch"], ROOT / ".state" / "debian" / "bookworm-plastimatch")
    libraries = next(tree.glob("usr/lib/*-linux-gnu"))
    loader, option, search, *words = get_debian.command(tree, "usr/bin/plastimatch", "convert")
    search = ":".join([search, str(libraries / "blas"), str(libraries / "lapack")])
    out = folder / "plastimatch.nrrd"
    _run([loader, option, search, *words, "--input", path, "--output-img", out])
    if not out.is_file():
        raise CannotRead("no image came out")
    return _stack(sitk.ReadImage(str(out)), dcmread(path, stop_before_pixels=True))


def _stack(image: sitk.Image, header: Dataset) -> list[Places]:
    """Segments of a stack whose reader gave the pixels, and the header the place and segment of each frame."""
    frames = sitk.GetArrayFromImage(image)
    shared = header.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    assert len(frames) == header.NumberOfFrames
    found: dict[int, list[np.ndarray]] = {}
    for frame, item in zip(frames, header.PerFrameFunctionalGroupsSequence, strict=True):
        groups = item if "SegmentIdentificationSequence" in item else shared
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        places = item if "PlanePositionSequence" in item else shared
        position = np.array(places.PlanePositionSequence[0].ImagePositionPatient, float)
        rows, columns = np.nonzero(frame)
        steps = columns[:, None] * cosines[:3] * spacing[1] + rows[:, None] * cosines[3:] * spacing[0]
        found.setdefault(number, []).append(position + steps)
    return [cells(np.concatenate(points)) for _, points in sorted(found.items())]


def _run(words: list[str | Path]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        raise CannotRead((done.stdout + done.stderr)[-300:])
    return done.stdout


READ: dict[str, Read] = {
    "highdicom": highdicom,
    "dcmqi": dcmqi,
    "slicer": dcmqi,
    "dcmjs": dcmjs,
    "simpleitk": simpleitk,
    "plastimatch": plastimatch,
}
"""Row of the table of viewers to the program that stands for it."""
