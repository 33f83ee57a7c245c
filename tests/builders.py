"""Image and mask series made up for tests, with the truth in patient space beside them.

The truth is a set of labelled points in the patient (LPS, mm). It comes from the arrays that a series was built from,
by the formula of the standard, and never from the code under test.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from orthanc_mask2seg.pacs.memory import MemoryArchive
from tests.frames import frames_of

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the voxels of a made-up series lie: `step` leads from one plane to the next (not always the normal)."""

    rows: int = 24
    columns: int = 20
    planes: int = 6
    spacing: tuple[float, float] = (0.8, 0.7)
    step_mm: float = 2.5
    axes: tuple[Sequence[float], Sequence[float]] = AXIAL
    origin: tuple[float, float, float] = (-120.5, -95.25, 40.0)
    gaps: tuple[float, ...] = ()
    shear: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.axes[0], self.axes[1])

    def position(self, plane: int) -> np.ndarray:
        along = float(sum(self.gaps[:plane])) if self.gaps else plane * self.step_mm
        return np.array(self.origin) + along * self.normal + plane * np.array(self.shear)

    def points(self, labels: np.ndarray) -> dict[int, np.ndarray]:
        """Label to positions of its voxels, shape (n, 3), LPS mm."""
        planes, rows, columns = np.nonzero(labels)
        origins = np.array([self.position(p) for p in range(self.planes)])
        places = (
            origins[planes]
            + columns[:, None] * np.array(self.axes[0]) * self.spacing[1]
            + rows[:, None] * np.array(self.axes[1]) * self.spacing[0]
        )
        values = labels[planes, rows, columns]
        return {int(v): places[values == v] for v in np.unique(values)}


@dataclass(kw_only=True)
class Study:
    """An image series, its mask series, and the truth."""

    grid: Grid
    image: list[Dataset]
    mask: list[Dataset]
    labels: np.ndarray
    others: list[list[Dataset]] = field(default_factory=list)

    def archive(self) -> MemoryArchive:
        archive = MemoryArchive()
        for series in (self.image, self.mask, *self.others):
            for instance in series:
                archive.add(to_bytes(instance))
        return archive


def to_bytes(data: Dataset) -> bytes:
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def image_series(
    grid: Grid, *, seed: int = 0, modality: str = "CT", values: np.ndarray | None = None, **tags: object
) -> list[Dataset]:
    """Slices with noise on a smooth structure, as a scanner writes them; tags override."""
    random = np.random.default_rng(seed)
    if values is None:
        values = random.normal(1000, 40, (grid.planes, grid.rows, grid.columns)).clip(0, 4095).astype(np.uint16)
    series_uid = generate_uid(entropy_srcs=["series", str(seed), modality, str(grid)])
    study_uid = generate_uid(entropy_srcs=["study", str(seed)])
    frame_uid = generate_uid(entropy_srcs=["frame", str(seed)])
    return [
        _slice(grid, plane, values[plane], modality, (study_uid, series_uid, frame_uid), seed, tags)
        for plane in range(grid.planes)
    ]


def _slice(
    grid: Grid,
    plane: int,
    pixels: np.ndarray,
    modality: str,
    uids: tuple[str, str, str],
    seed: int,
    tags: dict[str, object],
) -> Dataset:
    sop_class = MRImageStorage if modality == "MR" else CTImageStorage
    data = FileDataset(None, {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = sop_class
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = generate_uid(entropy_srcs=[*uids, str(plane)])
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = uids
    data.PatientID, data.PatientName = f"P{seed}", f"Test^{seed}"
    data.PatientBirthDate, data.PatientSex, data.AccessionNumber = "19700101", "O", "A1"
    data.StudyID, data.StudyDate, data.StudyTime = "1", "20260102", "101112"
    data.SeriesDate, data.SeriesTime, data.ContentDate, data.ContentTime = "20260102", "101500", "20260102", "101600"
    data.ReferringPhysicianName = ""
    data.Modality, data.SeriesNumber, data.InstanceNumber = modality, 3, plane + 1
    data.SeriesDescription, data.ImageType = f"{modality} thorax", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Manufacturer, data.PositionReferenceIndicator = "Maker", ""
    data.ImagePositionPatient = [_ds(v) for v in grid.position(plane)]
    data.ImageOrientationPatient = [_ds(v) for axis in grid.axes for v in axis]
    data.PixelSpacing = [_ds(v) for v in grid.spacing]
    data.SliceThickness = _ds(grid.step_mm)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    if modality == "CT":
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "-1024", "1", "HU"
    set_pixels(data, pixels)
    for name, value in tags.items():
        setattr(data, name, value)
    return data


def set_pixels(data: Dataset, pixels: np.ndarray) -> None:
    """Uncompressed pixels with the attributes that describe them."""
    bits = pixels.dtype.itemsize * 8
    data.Rows, data.Columns = pixels.shape[-2:]
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    raw = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OB" if bits == 8 else "OW"


def _ds(value: float) -> str:
    """Decimal string of at most 16 characters."""
    for digits in range(10, 0, -1):
        text = f"{float(value):.{digits}f}".rstrip("0").rstrip(".")
        if len(text) <= 16:
            return "0" if text == "-0" else text
    return str(round(value))


def mask_series(
    image: Sequence[Dataset],
    stored: np.ndarray,
    *,
    own_uids: bool = False,
    description: str = "tumour mask",
    number: int = 901,
    **tags: object,
) -> list[Dataset]:
    """Seed-style mask: every slice a copy of its image, the pixels and three tags replaced; tags override."""
    uid = generate_uid(entropy_srcs=["mask", str(image[0].SeriesInstanceUID), description, str(number)])
    result = []
    for source, pixels in zip(image, stored, strict=True):
        data = dcmread(io.BytesIO(to_bytes(source)))
        data.SeriesDescription, data.SeriesNumber, data.SeriesInstanceUID = description, number, uid
        if own_uids:
            data.SOPInstanceUID = generate_uid(entropy_srcs=[uid, str(source.SOPInstanceUID)])
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        set_pixels(data, pixels)
        for name, value in tags.items():
            setattr(data, name, value)
        result.append(data)
    return result


def blob(grid: Grid, label: int = 1, *, centre: tuple[float, float, float] = (0.5, 0.4, 0.6)) -> np.ndarray:
    """An off-centre ellipsoid that no flip or swap of axes maps onto itself, shape (planes, rows, columns)."""
    size = np.array([grid.planes, grid.rows, grid.columns])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), -1)
    middle = np.array(centre) * (size - 1)
    inside = (((index - middle) / np.maximum(size * (0.3, 0.2, 0.15), 0.6)) ** 2).sum(-1) <= 1
    inside[:, : grid.rows // 2, : grid.columns // 3] &= False
    return inside.astype(np.uint8) * label


def study(
    grid: Grid | None = None,
    *,
    labels: np.ndarray | None = None,
    stored: Callable[[np.ndarray], np.ndarray] = lambda labels: labels.astype(np.uint16),
    seed: int = 0,
    modality: str = "CT",
    **mask_tags: object,
) -> Study:
    """A study with one image series and one mask series."""
    grid = grid or Grid()
    labels = blob(grid) if labels is None else labels
    image = image_series(grid, seed=seed, modality=modality)
    mask = mask_series(image, stored(labels), **mask_tags)  # type: ignore[arg-type]
    return Study(grid=grid, image=image, mask=mask, labels=labels)


def segments_of(content: bytes) -> dict[str, np.ndarray]:
    """Segment label to sorted voxel positions (n, 3) of a SEG, read by hand."""
    data = dcmread(io.BytesIO(content))
    shared = data.SharedFunctionalGroupsSequence[0]
    names = {int(s.SegmentNumber): str(s.SegmentLabel) for s in data.SegmentSequence}
    found: dict[str, list[np.ndarray]] = {name: [] for name in names.values()}

    def group(item: Dataset, name: str) -> Dataset:
        return (item if name in item else shared)[name].value[0]

    for item, number, frame in frames_of(data):
        position = np.array(group(item, "PlanePositionSequence").ImagePositionPatient, float)
        cosines = np.array(group(item, "PlaneOrientationSequence").ImageOrientationPatient, float)
        spacing = np.array(group(item, "PixelMeasuresSequence").PixelSpacing, float)
        rows, columns = np.nonzero(frame)
        places = position + columns[:, None] * cosines[:3] * spacing[1] + rows[:, None] * cosines[3:] * spacing[0]
        found[names[number]].append(places)
    return {name: sorted_points(np.concatenate([np.empty((0, 3)), *parts])) for name, parts in found.items()}


def sorted_points(points: np.ndarray) -> np.ndarray:
    """Points in an order that does not depend on how they were found."""
    rounded = np.round(points, 2) + 0.0
    return points[np.lexsort(rounded.T)]


def same_points(a: np.ndarray, b: np.ndarray, tolerance_mm: float = 0.02) -> bool:
    """Whether two sets of positions are the same, each point with a partner of its own."""
    if len(a) != len(b):
        return False
    keys = [{tuple(k) for k in np.round(p / 0.1).astype(int)} for p in (a, b)]
    return keys[0] == keys[1] or bool(np.abs(sorted_points(a) - sorted_points(b)).max(initial=0) <= tolerance_mm)


__all__ = [
    "AXIAL",
    "Grid",
    "Study",
    "blob",
    "image_series",
    "mask_series",
    "replace",
    "same_points",
    "segments_of",
    "set_pixels",
    "study",
    "to_bytes",
]
