"""Plain copies of the source's slices: what highdicom needs to know of them, and nothing that it could stumble over."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from orthanc_mask2seg.core.geometry import plane_heights
from orthanc_mask2seg.model import ImageSeries, Plane, Uid

SCHEME = "mask2seg/1"
"""Part of every derived UID; changes only when old and new output must not be taken for the same."""


def derived_uid(*parts: object) -> Uid:
    """UID that depends on nothing but its parts, under the root 2.25 (PS3.5 section B.2)."""
    digest = hashlib.sha256("\n".join(str(p) for p in (SCHEME, *parts)).encode()).digest()
    value = bytearray(digest[:16])
    value[6] = (value[6] & 0x0F) | 0x80  # a UUID of version 8, as RFC 9562 has it for derived ones
    value[8] = (value[8] & 0x3F) | 0x80
    return Uid(f"2.25.{int.from_bytes(value, 'big')}")


def stand_in_uid(plane: Plane) -> str:
    """UID by which highdicom knows a plane, as a slice of a CT: it takes neither all classes nor single frames."""
    return derived_uid("frame", plane.sop_instance_uid, plane.frame_number)


def plain_image(source: ImageSeries, template: Dataset, plane: Plane) -> Dataset:
    """What highdicom needs to know of one slice, and nothing that it could stumble over."""
    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = stand_in_uid(plane)
    image.StudyInstanceUID = str(template.StudyInstanceUID)
    image.SeriesInstanceUID = source.series.series_instance_uid
    image.FrameOfReferenceUID = _frame_of_reference_uid(source, template)
    image.Modality = str(template.get("Modality") or "OT")
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
                    "StudyDate", "StudyTime"):  # fmt: skip
        setattr(image, keyword, "")
    image.ImagePositionPatient = exact_position(source, plane)
    first = source.volume.planes[0]
    common, geometry = source.header(first), first.geometry  # planes of one stack differ in nothing else
    image.Rows, image.Columns = geometry.rows, geometry.columns
    image.ImageOrientationPatient = _exact(
        common, "ImageOrientationPatient", (*geometry.row_cosines, *geometry.column_cosines)
    )
    image.PixelSpacing = _exact(common, "PixelSpacing", geometry.pixel_spacing)
    image.SliceThickness = _slice_thickness(source, template)
    if "LossyImageCompression" in template:
        image.LossyImageCompression = template.LossyImageCompression
    return image


def exact_position(source: ImageSeries, plane: Plane) -> list[str]:
    """ImagePositionPatient of a plane, as it is written."""
    return _exact(source.header(plane), "ImagePositionPatient", plane.geometry.position)


def _exact(header: Dataset, keyword: str, computed: Sequence[float]) -> list[str]:
    """Decimal strings of the source itself where it has them: viewers compare them as they are."""
    if keyword in header and len(header[keyword].value or ()) == len(computed):
        texts = [str(getattr(v, "original_string", v)).strip() for v in header[keyword].value]
        if all(len(t) <= 16 for t in texts) and _near(texts, computed):
            return texts
    return [decimal_string(v) for v in computed]


def _near(texts: Sequence[str], computed: Sequence[float]) -> bool:
    """Whether the strings say what we compute with: cosines that are not of length 1 are not written on."""
    return all(abs(float(t) - c) <= 1e-4 for t, c in zip(texts, computed, strict=True))


def decimal_string(value: float) -> str:
    """DS of at most 16 characters that is nearest to a number (PS3.5 section 6.2)."""
    text = repr(float(value))
    for digits in range(16, 0, -1):
        if len(text) <= 16:
            break
        text = f"{value:.{digits}g}"
    return text


def _frame_of_reference_uid(source: ImageSeries, template: Dataset) -> str:
    return str(template.get("FrameOfReferenceUID") or derived_uid("frame", source.series.series_instance_uid))


def pixel_measures(source: ImageSeries, template: Dataset) -> hd.PixelMeasuresSequence:
    """Spacing of the pixels and planes (PS3.3 C.7.6.16.2.1): between planes only where it is the same for all."""
    first = source.volume.planes[0]
    return hd.PixelMeasuresSequence(
        pixel_spacing=[float(v) for v in _exact(source.header(first), "PixelSpacing", first.geometry.pixel_spacing)],
        slice_thickness=float(_slice_thickness(source, template)),
        spacing_between_slices=(
            float(decimal_string(source.volume.spacing)) if source.volume.spacing is not None else None
        ),
    )


def _slice_thickness(source: ImageSeries, template: Dataset) -> str:
    """SliceThickness of the source; else the distance between its planes; else, for a lone plane, 1."""
    thickness = positive_number(template.get("SliceThickness"))
    if thickness:
        return decimal_string(thickness)
    heights = [h for h in plane_heights(source.volume, None) if math.isfinite(h)]
    return decimal_string(min(heights, default=1.0))


def positive_number(value: object) -> float | None:
    """A positive finite number, or None."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
