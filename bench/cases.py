"""Studies of known size: a CT with noise, and its mask series written as a copy of it, as fake-CT masks are.

S: 100 slices, 1 label. M: 400 slices, 1 label. L: 400 slices, 20 labels. XL: 600 slices, 104 labels; 512 x 512 int16.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIZE = 512
SPACING_MM = 0.8
STEP_MM = 1.25


@dataclass(frozen=True, slots=True)
class Case:
    """How large a study is."""

    name: str
    planes: int
    labels: int


CASES = {case.name: case for case in (Case("S", 100, 1), Case("M", 400, 1), Case("L", 400, 20), Case("XL", 600, 104))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A study that was made.

    Attributes
    ----------
    labels
        The truth, shape (planes, rows, columns), lowest plane first.
    """

    case: Case
    study_uid: str
    image_uid: str
    mask_uid: str
    labels: npt.NDArray[np.uint8]
    seed: int

    def images(self) -> Iterator[bytes]:
        """The CT's files."""
        random = np.random.default_rng(self.seed)
        body = _body()
        for plane in range(self.case.planes):
            noise = random.normal(0, 25, (SIZE, SIZE))
            yield self._file(plane, (body + noise).astype(np.int16), self.image_uid, "CT thorax", 2)

    def masks(self) -> Iterator[bytes]:
        """The mask's files."""
        for plane in range(self.case.planes):
            yield self._file(plane, self.labels[plane].astype(np.int16), self.mask_uid, "organ mask", 900)

    def instance_uid(self, series_uid: str, plane: int) -> str:
        """SOPInstanceUID of a slice."""
        return generate_uid(entropy_srcs=[series_uid, str(plane)])

    def _file(self, plane: int, pixels: npt.NDArray[np.int16], series_uid: str, description: str, number: int) -> bytes:
        data = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.SOPInstanceUID = self.instance_uid(series_uid, plane)
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID = self.study_uid, series_uid
        data.FrameOfReferenceUID, data.PositionReferenceIndicator = f"{self.study_uid}.9", ""
        data.PatientID, data.PatientName = f"BENCH{self.seed}", f"Bench^{self.case.name}"
        data.PatientBirthDate, data.PatientSex, data.AccessionNumber, data.StudyID = "19700101", "O", "A1", "1"
        data.StudyDate = data.SeriesDate = data.ContentDate = "20260102"
        data.StudyTime = data.SeriesTime = data.ContentTime = "101112"
        data.ReferringPhysicianName = ""
        data.Modality, data.SeriesNumber, data.InstanceNumber = "CT", number, plane + 1
        data.SeriesDescription, data.ImageType = description, ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.Manufacturer, data.KVP = "Bench", "120"
        data.ImagePositionPatient = ["-204.8", "-180.4", f"{plane * STEP_MM:.2f}"]
        data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [SPACING_MM, SPACING_MM]
        data.SliceThickness = STEP_MM
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.Rows = data.Columns = SIZE
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "-1024", "1", "HU"
        data.PixelData = pixels.astype("<i2").tobytes()
        data["PixelData"].VR = "OW"
        target = io.BytesIO()
        data.save_as(target, enforce_file_format=True)
        return target.getvalue()


def make(case: Case, seed: int = 1) -> Made:
    """Make a study; the same seed gives the same one."""
    uids = [generate_uid(entropy_srcs=[case.name, str(seed), what]) for what in ("study", "image", "mask")]
    return Made(
        case=case,
        study_uid=uids[0][:60],
        image_uid=uids[1],
        mask_uid=uids[2],
        labels=_ellipsoids(case, np.random.default_rng(seed)),
        seed=seed,
    )


def _body() -> npt.NDArray[np.float64]:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    inside = ((rows - 256) / 170) ** 2 + ((columns - 256) / 220) ** 2 < 1
    lung = ((rows - 250) / 90) ** 2 + ((np.abs(columns - 256) - 100) / 70) ** 2 < 1
    return np.where(lung, 200.0, np.where(inside, 1064.0, 24.0))


def _ellipsoids(case: Case, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Organs: rough ellipsoids all over the body, each label a fifth of the planes or so; small ones are drawn last."""
    labels = np.zeros((case.planes, SIZE, SIZE), np.uint8)
    sizes = np.sort(random.uniform(0.3, 1.0, case.labels))[::-1] if case.labels > 1 else np.array([1.0])
    for label, size in enumerate(sizes, start=1):
        radii = np.array([case.planes * 0.12, 60, 60]) * size if case.labels > 1 else (case.planes * 0.35, 75, 90)
        reach = np.minimum(radii, (case.planes * 0.4, 100, 100))
        centre = [random.uniform(r, n - r) for r, n in zip(reach, labels.shape, strict=True)]
        low = [max(0, int(c - r)) for c, r in zip(centre, radii, strict=True)]
        high = [min(n, int(c + r) + 2) for c, r, n in zip(centre, radii, labels.shape, strict=True)]
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        index = np.ogrid[window]
        away = sum(((i - c) / r) ** 2 for i, c, r in zip(index, centre, radii, strict=True))
        part = labels[window]
        part[away < 1 + 0.03 * np.sin(index[1] / 4.0) * np.cos(index[2] / 5.0)] = label
    return labels
