"""What a segmentation should hold, found without the code under test.

A SEG is read by hand. A mask is read with pydicom and the formula of the standard (PS3.3 C.7.6.2.1.1); a mask on
another grid is resampled by SimpleITK. Every place is in the patient (LPS, mm).
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, FileDataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSTransferSyntaxes

from tests.frames import frames_of

PLACE_TOLERANCE_MM = 0.1
"""The pipeline may match planes and pixels that are 0.05 mm apart along each axis."""

TIE = 2e-4
"""A voxel whose label changes when it moves by this (mm) lies between two voxels: either label is right."""


@dataclass(frozen=True)
class Frame:
    """A frame of a SEG, with the image that it says it lies on."""

    segment: int
    position: np.ndarray
    sop_instance_uid: str
    frame_number: int | None


@dataclass(frozen=True)
class Seg:
    """A SEG, read by hand: places of the voxels by segment number."""

    header: Dataset
    labels: dict[int, str]
    places: dict[int, np.ndarray]
    frames: tuple[Frame, ...]


def read_seg(content: bytes) -> Seg:
    """Unpack the pixels of a SEG and carry every voxel into the patient."""
    data = dcmread(io.BytesIO(content))
    shared = data.SharedFunctionalGroupsSequence[0]
    labels = {int(s.SegmentNumber): str(s.SegmentLabel) for s in data.SegmentSequence}
    found: dict[int, list[np.ndarray]] = {number: [np.empty((0, 3))] for number in labels}
    frames = []

    def group(item: Dataset, name: str) -> Dataset:
        return (item if name in item else shared)[name].value[0]

    for item, number, frame in frames_of(data):
        position = np.array(group(item, "PlanePositionSequence").ImagePositionPatient, float)
        orientation = np.array(group(item, "PlaneOrientationSequence").ImageOrientationPatient, float)
        spacing = np.array(group(item, "PixelMeasuresSequence").PixelSpacing, float)
        reference = group(item, "DerivationImageSequence").SourceImageSequence[0]
        rows, columns = np.nonzero(frame)
        found[number].append(_places(position, orientation, spacing, rows, columns))
        named = reference.get("ReferencedFrameNumber")
        frames.append(
            Frame(number, position, str(reference.ReferencedSOPInstanceUID), None if named is None else int(named))
        )
    return Seg(data, labels, {n: np.concatenate(parts) for n, parts in found.items()}, tuple(frames))


def _places(
    position: np.ndarray, orientation: np.ndarray, spacing: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    return (
        position
        + columns[:, None] * np.asarray(orientation[:3]) * spacing[1]
        + rows[:, None] * np.asarray(orientation[3:]) * spacing[0]
    )


def same_places(a: np.ndarray, b: np.ndarray, tolerance_mm: float = PLACE_TOLERANCE_MM) -> bool:
    """Whether each place has one partner of its own within the tolerance."""
    if len(a) != len(b):
        return False
    if not len(a):
        return True
    partner = np.empty(len(a), int)
    for start in range(0, len(a), 500):
        distance = np.linalg.norm(a[start : start + 500, None] - b[None], axis=2)
        partner[start : start + 500] = distance.argmin(axis=1)
        if distance.min(axis=1).max() > tolerance_mm:
            return False
    return len(set(partner.tolist())) == len(a)


@dataclass(frozen=True)
class Plane:
    """One plane of a series as any reader of DICOM places it; `values` are stored values, packed where coloured."""

    position: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray
    values: np.ndarray
    rescale: tuple[float, float]
    sop_instance_uid: str
    frame_number: int | None
    header: Dataset

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.orientation[:3], self.orientation[3:])


PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
"""What places a plane, and of how many numbers."""


def read_planes(
    files: Sequence[bytes], *, pixels: bool = True, images: Mapping[str, Dataset] | None = None
) -> list[Plane]:
    """Planes of a series, frame by frame; raises whatever pydicom raises.

    What a file does not say of its place is, where `images` are given, that of the image with its SOPInstanceUID; a
    KeyError where there is none.
    """
    planes = []
    for content in files:
        data = _with_syntax(dcmread(io.BytesIO(content), force=True, stop_before_pixels=not pixels))
        if images is not None:
            _place(data, images[str(data.SOPInstanceUID)])
        values = _values(data) if pixels else [np.empty((0, 0))] * _frames(data)
        groups = data.get("PerFrameFunctionalGroupsSequence")
        for number, frame in enumerate(values):
            planes.append(_plane(data, groups[number] if groups else None, number + 1, frame, len(values)))
    return planes


def _with_syntax(data: FileDataset) -> FileDataset:
    """Without a transfer syntax in the file, the one in which the data set was read."""
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    if "ExtendedOffsetTable" in data and not data.file_meta.TransferSyntaxUID.is_encapsulated:
        del data.ExtendedOffsetTable  # it says nothing of pixels that are not compressed, and pydicom stumbles over it
    return data


def _place(data: Dataset, image: Dataset) -> None:
    for keyword, count in PLACE.items():
        if len(numbers_of(data, keyword)) != count:
            setattr(data, keyword, [str(v) for v in image[keyword].value])


def numbers_of(data: Dataset, keyword: str) -> list[float]:
    """The numbers of an attribute; none where it is not there or holds anything else."""
    try:
        return [float(v) for v in data.get(keyword) or ()]
    except (ValueError, TypeError):
        return []


def _frames(data: Dataset) -> int:
    try:
        return max(1, int(str(data.get("NumberOfFrames") or 1)))
    except ValueError:
        return 1


def _plane(data: Dataset, item: Dataset | None, number: int, values: np.ndarray, frames: int) -> Plane:
    def of(sequence: str, keyword: str) -> np.ndarray:
        if item is not None:
            for group in (item, (data.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]):
                if sequence in group and keyword in group[sequence].value[0]:
                    return np.array(group[sequence].value[0][keyword].value, float)
        return np.array(data[keyword].value, float)

    return Plane(
        of("PlanePositionSequence", "ImagePositionPatient"),
        of("PlaneOrientationSequence", "ImageOrientationPatient"),
        of("PixelMeasuresSequence", "PixelSpacing"),
        values,
        _rescale(data),
        str(data.SOPInstanceUID),
        number if frames > 1 or item is not None else None,
        data,
    )


def _rescale(data: Dataset) -> tuple[float, float]:
    try:
        return float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
    except (TypeError, ValueError):
        return 1.0, 0.0


def _values(data: FileDataset) -> np.ndarray:
    if data.file_meta.TransferSyntaxUID in JPEGLSTransferSyntaxes:  # the other decoder makes noise of a wrong MAXVAL
        data.pixel_array_options(decoding_plugin="pyjpegls")
    pixels = data.pixel_array
    if int(data.get("SamplesPerPixel") or 1) == 3:
        pixels = (pixels[..., 0].astype(np.int64) << 16) | (pixels[..., 1].astype(np.int64) << 8) | pixels[..., 2]
    return pixels.reshape(-1, *pixels.shape[-2:])


def places_by_value(planes: Sequence[Plane], *, rescaled: bool = False) -> dict[float, np.ndarray]:
    """Value to the places of its voxels, over all planes."""
    found: dict[float, list[np.ndarray]] = {}
    for plane in planes:
        values = plane.values.astype(np.float64)
        if rescaled:
            values = np.rint(values * plane.rescale[0] + plane.rescale[1])
        for value in np.unique(values).tolist():
            rows, columns = np.nonzero(values == value)
            found.setdefault(value, []).append(_places(plane.position, plane.orientation, plane.spacing, rows, columns))
    return {value: np.concatenate(parts) for value, parts in sorted(found.items())}


def nearest_labels(
    mask: Sequence[Plane], labels: Sequence[np.ndarray], target: Plane, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the mask on one plane of a source by SimpleITK's nearest neighbour, and where they are tied.

    Plane by plane, because a stack under a gantry tilt is no volume to SimpleITK. `shape` is (rows, columns).
    """
    normal = mask[0].normal
    distances = np.array([p.position @ normal for p in mask])
    order = np.sort(distances)
    step = float(np.diff(order).mean()) if len(order) > 1 else 1.0
    results = []
    for shift in itertools.product((-TIE, TIE), repeat=3):
        origin = target.position + np.array(shift)
        nearest = int(np.abs(distances - origin @ normal).argmin())
        plane = mask[nearest]
        image = sitk.GetImageFromArray(labels[nearest][None].astype(np.float64))
        _lay(image, plane, plane.position, step)
        reference = sitk.Image(shape[1], shape[0], 1, sitk.sitkFloat64)
        _lay(reference, target, origin, step)
        found = sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)
        results.append(sitk.GetArrayFromImage(found)[0])
    stack = np.stack(results)
    return stack[0], (stack != stack[0]).any(axis=0)


def _lay(image: sitk.Image, plane: Plane, origin: np.ndarray, step: float) -> None:
    rotation = np.stack([plane.orientation[:3], plane.orientation[3:], plane.normal], axis=1)
    left, _, right = np.linalg.svd(rotation)
    image.SetDirection((left @ right).ravel().tolist())
    image.SetSpacing((float(plane.spacing[1]), float(plane.spacing[0]), step))
    image.SetOrigin(origin.tolist())


def wrong_resampling(seg: Seg, planes: Sequence[Plane], image: Sequence[Plane], background: int) -> str:
    """What is not the nearest neighbour of the mask, or ''; its labels are its values but `background`, ascending."""
    values = sorted({float(v) for p in planes for v in np.unique(p.values)} - {float(background)})
    labels = [sum((p.values == v) * (n + 1) for n, v in enumerate(values)) for p in planes]
    counts = dict.fromkeys(seg.places, 0)
    for target in image:
        shape = int(target.header.Rows), int(target.header.Columns)
        found, tied = nearest_labels(planes, labels, target, shape)
        rows, columns = np.indices(shape)
        places = (
            target.position
            + columns[..., None] * target.orientation[:3] * target.spacing[1]
            + rows[..., None] * target.orientation[3:] * target.spacing[0]
        )
        for number in seg.places:
            here = seg.places[number]
            close = np.zeros(shape, bool)
            if len(here):
                distance = np.linalg.norm(places[..., None, :] - here, axis=-1).min(axis=-1)
                close = distance < PLACE_TOLERANCE_MM
            counts[number] += int(close.sum())
            if ((close != (found == number)) & ~tied).any():
                return f"segment {number} is not the nearest neighbour of the mask"
    if counts != {n: len(p) for n, p in seg.places.items()}:
        return "the segments hold voxels that are on no image of the source"
    return ""


def wrong_references(seg: Seg, image: Sequence[Plane]) -> str:
    """What is wrong with the images that the frames of a SEG refer to, or ''."""
    by_uid = {(p.sop_instance_uid, p.frame_number): p for p in image}
    for frame in seg.frames:
        plane = by_uid.get((frame.sop_instance_uid, frame.frame_number))
        if plane is None:
            return "a frame refers to an image that is not in the source"
        if np.linalg.norm(plane.position - frame.position) > PLACE_TOLERANCE_MM:
            return "a frame refers to an image that lies elsewhere"
    return ""
