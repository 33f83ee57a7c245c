"""What is made of the segmentations of the real cases, read back by readers that are not ours."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import get_debian
import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from pydicom import dcmread

from orthanc_mask2seg.config import Settings
from tests.conftest import ROOT
from tests.inside import convert_inside
from tests.truth import Case, Places, cases, complaints, places_of, same

OUTPUTS = ("seg", "sr", "rtstruct", "nrrd", "nifti")
NAMES = [
    "A01_ts_liver_seed", "A02_ts_multilabel_j2k", "A03_sts002_255_shuffled", "A04_dcmqi_organs",
    "A05_dcmqi_overlap_rle",
    "A06_sts003_tumour_only_hu", "A07_sts008_three_recons", "A08_ibsi_digital_phantom", "A09_pyrad_brain1_mr",
    "A10_dcmqi_23x38x3",
]  # fmt: skip
REFERENCE = Path(__file__).parents[1] / "data" / "ibsi_1_digital_phantom.csv"


def case_of(set_a: Path, name: str) -> Case:
    return next(c for c in cases(set_a) if c.folder.name == name)


@pytest.fixture(scope="module")
def bundles(set_a: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Case to its SEG, with the outputs beside it; of radiomics only the smallest, as other tests measure the rest."""
    found = {}
    for name in NAMES:
        case = case_of(set_a, name)
        out = tmp_path_factory.mktemp(name) / "seg.dcm"
        settings = Settings(outputs=OUTPUTS, radiomics_preset="slicer" if name.startswith("A08") else "none")
        found[name] = convert_inside(case.mask_folders, case.folder / "ct", out, settings)
    return found


def beside(seg: Path, suffix: str) -> Path:
    return seg.with_name(f"seg.{suffix}")


@pytest.mark.parametrize("name", NAMES)
def test_checkers_have_nothing_to_say(name: str, bundles: dict[str, Path], set_a: Path, dicom3tools: Any) -> None:
    """No error and no warning of report and contours, but for what is wrong in the source itself."""
    case = case_of(set_a, name)
    excuses = complaints(dicom3tools.dciodvfy, case.source_files()[0]) | too_young(bundles[name])
    for kind in ("sr", "rtstruct"):
        file = beside(bundles[name], f"{kind}.dcm")
        assert complaints(dicom3tools.dciodvfy, file) - excuses == set()
        found = complaints(dicom3tools.dcentvfy, file, *case.source_files())
        assert {line for line in found if not any(quirk in line for quirk in QUIRKS)} == set()


QUIRKS = ("<AccessionNumber> IE <Study> versus <Series>", "<ReferencedStudySequence> IE <Study> versus <Series>")
"""dcentvfy takes these attributes of a study for some of a series, in reports and structure sets of anybody."""


def too_young(seg: Path) -> set[str]:
    """The checker is older than Label Map Segmentation Storage, and does not know that it has segments."""
    if dcmread(seg, stop_before_pixels=True).SegmentationType != "LABELMAP":
        return set()
    attribute = "attribute <ReferencedSegmentNumber>"
    return {f"Error - Shall not be present for Referenced SOP Class that is not segmentation - {attribute}"}


@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_read_in_full(name: str, bundles: dict[str, Path], set_a: Path, tmp_path: Path) -> None:
    """dcmqi finds a group for each segment, with the volume of the truth."""
    out = tmp_path / "report.json"
    program = Path(sys.executable).parent / "tid1500reader"
    words = ["--inputDICOM", beside(bundles[name], "sr.dcm"), "--outputMetadata", out]
    subprocess.run([program, *words], check=True, capture_output=True, timeout=120)
    groups = json.loads(out.read_text())["Measurements"]
    truth = case_of(set_a, name).document["segments"]
    assert len(groups) == len(truth)
    written = sum(1 for element in dcmread(beside(bundles[name], "sr.dcm")).iterall() if element.tag == 0x0040A30A)
    assert sum(len(group["measurementItems"]) for group in groups) == written
    volumes = [float(item["value"]) for g in groups for item in g["measurementItems"]
               if item["quantity"]["CodeValue"] == "118565006"]  # fmt: skip
    wanted = [segment["volume_mm3"] for segment in truth]
    assert sorted(volumes) == pytest.approx(sorted(wanted), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_contours_are_the_truth(name: str, bundles: dict[str, Path], set_a: Path, tmp_path: Path) -> None:
    """Filled by plastimatch and by dcmrtstruct2nii, not one voxel differs."""
    case = case_of(set_a, name)
    folder = case.source_files()[0].parent
    truth = case.segments()
    contours = beside(bundles[name], "rtstruct.dcm")
    plain = uncompressed(folder, tmp_path / "ct")
    assert same(filled_by_plastimatch(contours, plain, tmp_path / "plastimatch"), truth)
    assert same(filled_by_dcmrtstruct2nii(contours, folder, tmp_path), truth)


def uncompressed(images: Path, out: Path) -> Path:
    """The same images as plastimatch reads them: it knows no JPEG 2000, and fills on a grid of its own then."""
    if not any(
        dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID.is_compressed for file in images.iterdir()
    ):
        return images
    out.mkdir()
    for file in images.iterdir():
        image = dcmread(file)
        image.decompress(generate_new_instance_uid=False)
        image.save_as(out / file.name)
    return out


def filled_by_plastimatch(contours: Path, images: Path, out: Path) -> list[Places]:
    tree = get_debian.fetch("bookworm", ["plastimatch"], ROOT / ".state" / "debian" / "bookworm-plastimatch")
    libraries = next(tree.glob("usr/lib/*-linux-gnu"))
    loader, option, search, *words = get_debian.command(tree, "usr/bin/plastimatch", "convert")
    search = ":".join([search, str(libraries / "blas"), str(libraries / "lapack")])
    dictionary = next(tree.glob("usr/share/libdcmtk*/dicom.dic"))
    words += ["--input", contours, "--referenced-ct", images, "--output-prefix", out, "--prefix-format", "nrrd"]
    subprocess.run(
        [loader, option, search, *words], check=True, capture_output=True, timeout=120,
        env=os.environ | {"DCMDICTPATH": str(dictionary)},
    )  # fmt: skip
    return [set_places(file) for file in sorted(out.glob("*.nrrd"))]


def filled_by_dcmrtstruct2nii(contours: Path, images: Path, out: Path) -> list[Places]:
    """Written for pydicom 2, whose `read_file` is `dcmread` now."""
    program = "import sys, pydicom; pydicom.read_file = pydicom.dcmread\n"
    program += "from dcmrtstruct2nii import dcmrtstruct2nii; dcmrtstruct2nii(*sys.argv[1:])"
    words = [contours, images, out]
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True, timeout=120)
    return [set_places(file) for file in sorted(out.glob("mask_*.nii.gz"))]


def set_places(file: Path) -> Places:
    image = sitk.ReadImage(str(file))
    return places_of(image, sitk.GetArrayFromImage(image) > 0)


@pytest.mark.parametrize("name", NAMES)
def test_volumes_are_the_truth(name: str, bundles: dict[str, Path], set_a: Path) -> None:
    """Read by SimpleITK: the layers of the NRRD, with the labels that slicerio finds, and the numbers of the NIfTI."""
    truth = case_of(set_a, name).segments()
    nrrd = beside(bundles[name], "mask.seg.nrrd")
    image = sitk.ReadImage(str(nrrd))
    layers = np.atleast_3d(sitk.GetArrayFromImage(image))
    layers = layers if layers.ndim == 4 else layers[..., None]
    segments = slicerio.read_segmentation(str(nrrd))["segments"]
    names = [str(s.SegmentLabel) for s in dcmread(bundles[name], stop_before_pixels=True).SegmentSequence]
    assert [segment["name"] for segment in segments] == names
    assert same([places_of(image, layers[..., int(s["layer"])] == int(s["labelValue"])) for s in segments], truth)
    assert same(of_nifti(beside(bundles[name], "mask.nii.gz"), len(segments)), truth)


def of_nifti(file: Path, segments: int) -> list[Places]:
    image = sitk.ReadImage(str(file))
    volumes = [image] if image.GetDimension() == 3 else [image[:, :, :, i] for i in range(image.GetSize()[3])]
    return [
        np.unique(np.concatenate([places_of(v, sitk.GetArrayFromImage(v) == number) for v in volumes]))
        for number in range(1, segments + 1)
    ]


def measured(seg: Path, images: Path, *words: str) -> dict[str, Any]:
    program = Path(sys.executable).parent / "mask2seg"
    done = subprocess.run(
        [program, "measure", "--seg", seg, "--source", images, "--json", *words],
        capture_output=True, text=True, check=True, timeout=280,
    )  # fmt: skip
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def reference() -> list[dict[str, str]]:
    with REFERENCE.open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def test_digital_phantom_of_the_ibsi(bundles: dict[str, Path], set_a: Path) -> None:
    """Every value that the IBSI gives, in 2D, 2.5D and 3D, within its tolerance."""
    name = "A08_ibsi_digital_phantom"
    (segment,) = measured(bundles[name], set_a / name / "ct")["segments"]
    found = sorted(
        by_name(f["code"], f["aggregation"], f["value"]) for f in segment["features"] if f["family"] != "simple"
    )
    wanted = sorted(
        (*by_name(r["code"], r["aggregation"], float(r["value"])), float(r["tolerance"])) for r in reference()
    )
    assert [w[:2] for w in wanted] == [f[:2] for f in found]
    assert len(wanted) == 482
    assert [(f, w) for f, w in zip(found, wanted, strict=True) if not matches(f[2], w[2], w[3])] == []


def by_name(code: str, aggregation: str, value: float) -> tuple[str, str, float]:
    """In an order by code and aggregation; the two of one code (10 and 90 %) by value."""
    return code, aggregation, value


def matches(value: float | None, wanted: float, tolerance: float) -> bool:
    """Within the tolerance or, where it is 0, equal in the three digits that are published."""
    if value is None:
        return False
    last_digit = 10.0 ** (math.floor(math.log10(abs(wanted))) - 2) if wanted else 1e-9
    return abs(value - wanted) <= max(tolerance, last_digit / 2 * 1.0001)


EXPLAINED = {
    "firstorder_Energy": "the baseline was made with voxelArrayShift 2000",
    "firstorder_RootMeanSquared": "the baseline was made with voxelArrayShift 2000",
    "firstorder_TotalEnergy": "not of the IBSI: energy times the volume of a voxel",
    "firstorder_Kurtosis": "the IBSI's is the excess over 3",
    "glcm_MCC": "not of the IBSI",
    "shape_SurfaceArea": "another triangulation of ambiguous cells (marching cubes), 0.5 %",
    "shape_SurfaceVolumeRatio": "follows from the surface area",
    "shape_Sphericity": "follows from the surface area",
    "shape_Maximum2DDiameterSlice": "not of the IBSI",
    "shape_Maximum2DDiameterColumn": "not of the IBSI",
    "shape_Maximum2DDiameterRow": "not of the IBSI",
}


def test_baseline_of_pyradiomics(bundles: dict[str, Path], set_a: Path, tmp_path: Path) -> None:
    """brain1, original image: what both define alike agrees to 1e-3, and every difference has its reason."""
    name, table = "A09_pyrad_brain1_mr", tmp_path / "features.csv"
    measured(bundles[name], set_a / name / "ct", "--preset", "slicer", "--csv", str(table))
    with table.open() as file:
        (row,) = csv.DictReader(file)
    ours = {column.partition(" [")[0]: float(value) for column, value in row.items() if column.startswith("original_")}
    with (set_a / name / "pyradiomics_baseline_brain1.csv").open() as file:
        theirs = {
            line["feature"]: float(line["value"])
            for line in csv.DictReader(file)
            if line["test_case"] == "brain1" and line["feature"].startswith("original_")
        }
    different = {
        feature.removeprefix("original_")
        for feature, value in theirs.items()
        if feature not in ours or abs(ours[feature] - value) > 1e-3 * abs(value)
    }
    assert different == set(EXPLAINED)
    assert len(theirs) - len(different) == 96
    assert set(ours) <= set(theirs)
