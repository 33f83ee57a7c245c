"""Styles: how tools write what was segmented into the pixels and headers of a copy of the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from tests.builders import mask_series, set_pixels

Ending = tuple[str, str]
"""Outcome and reason."""

EMPTY: Ending = ("skipped", "empty_mask")
NOT_A_MASK: Ending = ("skipped", "not_a_mask")


def refused(reason: str) -> Ending:
    """Refused for that reason."""
    return ("refused", reason)


@dataclass(frozen=True, kw_only=True)
class Style:
    """A way to write labels.

    Attributes
    ----------
    stored
        Labels (planes, rows, columns) to stored values of the same shape.
    segments
        Labels to the voxels of each expected segment, in order, shape (planes, rows, columns) each.
    finish
        Called with the slices and the labels: what `stored` and `tags` cannot say.
    named, automatic
        How it ends if not with those segments: where a person named it as a mask, and where nobody did.
    """

    stored: Callable[[np.ndarray], np.ndarray] = lambda labels: (labels > 0).astype(np.uint16)
    segments: Callable[[np.ndarray], list[np.ndarray]] = lambda labels: [labels > 0]
    finish: Callable[[list[Dataset], np.ndarray], None] = lambda _mask, _labels: None
    tags: Mapping[str, object] = field(default_factory=dict)
    own_uids: bool = True
    settings: Mapping[str, object] = field(default_factory=dict)
    named: Ending | None = None
    automatic: Ending | None = None

    def write(self, image: Sequence[Dataset], labels: np.ndarray) -> list[Dataset]:
        """Write the mask series."""
        mask = mask_series(image, self.stored(labels), own_uids=self.own_uids, **self.tags)  # type: ignore[arg-type]
        self.finish(mask, labels)
        return mask


def binary(value: int, kind: type, background: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Foreground and background values of a type."""
    return lambda labels: np.where(labels > 0, value, background).astype(kind)


def mapped(values: Sequence[int], kind: type) -> Callable[[np.ndarray], np.ndarray]:
    """Label n is written as the n-th value."""
    return lambda labels: np.array(values, dtype=kind)[labels]


def each(labels: np.ndarray) -> list[np.ndarray]:
    """One segment for each label."""
    return [labels == value for value in np.unique(labels[labels > 0])]


def each_and_background(labels: np.ndarray) -> list[np.ndarray]:
    """One segment for each label, and one for what is usually background."""
    return [labels == value for value in np.unique(labels)]


def _one_bit(mask: list[Dataset], labels: np.ndarray) -> None:
    for data, plane in zip(mask, labels, strict=True):
        raw = np.packbits((plane > 0).ravel(), bitorder="little").tobytes()
        data.BitsAllocated = data.BitsStored = 1
        data.HighBit, data.PixelRepresentation = 0, 0
        data.PixelData = raw + b"\0" * (len(raw) % 2)
        data["PixelData"].VR = "OW"


def _colours(mask: list[Dataset], labels: np.ndarray) -> None:
    table = np.array([[0, 0, 0], [0, 0, 255], [0, 200, 0], [255, 0, 0]], np.uint8)
    for data, plane in zip(mask, labels, strict=True):
        raw = table[plane].tobytes()
        set_pixels(data, plane.astype(np.uint8))
        data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
        data.PixelData = raw + b"\0" * (len(raw) % 2)


def _planar_colours(mask: list[Dataset], labels: np.ndarray) -> None:
    _colours(mask, labels)
    for data in mask:
        size = int(data.Rows) * int(data.Columns) * 3
        raw = np.frombuffer(data.PixelData[:size], np.uint8).reshape(-1, 3).T.tobytes()
        data.PlanarConfiguration = 1
        data.PixelData = raw + b"\0" * (len(raw) % 2)


def _palette(mask: list[Dataset], _labels: np.ndarray) -> None:
    colours = {"Red": (0, 0, 0, 255), "Green": (0, 0, 200, 0), "Blue": (0, 255, 0, 0)}
    for data in mask:
        data.PhotometricInterpretation = "PALETTE COLOR"
        for name, values in colours.items():
            table = np.array(values, np.uint16) * 257
            data.add_new(tag_for_keyword(f"{name}PaletteColorLookupTableDescriptor"), "US", [4, 0, 16])
            data.add_new(tag_for_keyword(f"{name}PaletteColorLookupTableData"), "OW", table.astype("<u2").tobytes())


def _float(values: Callable[[np.ndarray], np.ndarray]) -> Callable[[list[Dataset], np.ndarray], None]:
    def finish(mask: list[Dataset], labels: np.ndarray) -> None:
        for data, plane in zip(mask, values(labels), strict=True):
            for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
                del data[keyword]
            data.BitsAllocated = 32
            data.FloatPixelData = plane.astype("<f4").tobytes()
            data.RescaleIntercept, data.RescaleSlope = "0", "1"

    return finish


def probability(labels: np.ndarray) -> np.ndarray:
    """Ramps that are at least 0.5 exactly where there is a label, shape of the labels, 0 to 1."""
    inside = (labels > 0).astype(float)
    for axis in (1, 2):
        inside = (inside + np.roll(inside, 1, axis) + np.roll(inside, -1, axis)) / 3
    random = np.random.default_rng(5)
    noise = random.uniform(0, 0.2, labels.shape) * (inside > 0)
    ramp = np.where(labels > 0, 0.55 + 0.25 * inside + noise, 0.35 * inside + 0.5 * noise)
    return np.round(ramp, 4)


def _slopes(mask: list[Dataset], labels: np.ndarray) -> None:
    """PET: every slice has a slope of its own, and only the rescaled values are the labels."""
    factors = [100, 50, 200, 125, 250, 400]
    for number, (data, plane) in enumerate(zip(mask, labels, strict=True)):
        factor = factors[number % len(factors)]
        set_pixels(data, (plane.astype(np.int64) * factor).astype(np.int16))
        data.RescaleSlope, data.RescaleIntercept = str(1 / factor), "0"


def _without_geometry(mask: list[Dataset], _labels: np.ndarray) -> None:
    for data in mask:
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        data.Modality, data.ConversionType = "OT", "WSD"
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID"):
            del data[keyword]


def _numbered_twice(mask: list[Dataset], labels: np.ndarray) -> None:
    _without_geometry(mask, labels)
    mask[-1].InstanceNumber = mask[0].InstanceNumber


def _numbered_otherwise(mask: list[Dataset], labels: np.ndarray) -> None:
    _without_geometry(mask, labels)
    for data in mask:
        data.InstanceNumber = int(data.InstanceNumber) - 1


def _padding(value: int, kind: str) -> Callable[[list[Dataset], np.ndarray], None]:
    def finish(mask: list[Dataset], _labels: np.ndarray) -> None:
        for data in mask:
            data.add_new(tag_for_keyword("PixelPaddingValue"), kind, value)

    return finish


def _padding_around(labels: np.ndarray) -> np.ndarray:
    stored = (labels > 0).astype(np.int16)
    stored[:, :2, :2] = -2000
    return stored


def _delete(*keywords: str) -> Callable[[list[Dataset], np.ndarray], None]:
    def finish(mask: list[Dataset], _labels: np.ndarray) -> None:
        for data in mask:
            for keyword in keywords:
                del data[keyword]

    return finish


def _bits(stored: int) -> dict[str, object]:
    return {"BitsStored": stored, "HighBit": stored - 1}


STYLES: dict[str, Style] = {
    "seed": Style(own_uids=False),
    "own": Style(),
    "0_255": Style(stored=binary(255, np.uint8), tags={"ImageType": ["DERIVED", "SECONDARY"]}),
    "0_7": Style(stored=binary(7, np.uint16)),
    "0_65535": Style(stored=binary(65535, np.uint16)),
    "gaps": Style(stored=mapped((0, 1, 300, 65535), np.uint16), segments=each),
    "gaps_u8": Style(stored=mapped((0, 3, 104, 255), np.uint8), segments=each),
    "no_zero": Style(stored=mapped((1, 2, 3, 9), np.uint16), segments=each),
    "1_2_rescaled": Style(stored=binary(2, np.uint16, 1), tags={"RescaleIntercept": "-1"}),
    "negative": Style(stored=binary(-1, np.int16)),
    "minus_5": Style(stored=binary(-5, np.int16, -9)),
    "hu_intercept_0": Style(stored=binary(-1023, np.int16, -1024), tags={"RescaleIntercept": "0"}),
    "hu_intercept": Style(stored=binary(-1023, np.int16, -1024), tags={"RescaleIntercept": "-1024"}),
    "hu_labels": Style(
        stored=mapped((-1024, -1023, -1022, -1020), np.int16), segments=each, tags={"RescaleIntercept": "0"}
    ),
    "hu_positive_labels": Style(stored=mapped((-1000, 40, 60, 300), np.int16), segments=each),
    "hu_air_and_water": Style(stored=binary(0, np.int16, -1000)),
    "intercept_1000": Style(tags={"RescaleIntercept": "-1000"}),
    "intercept_8192": Style(stored=mapped((0, 1, 2, 3), np.uint16), segments=each, tags={"RescaleIntercept": "-8192"}),
    "offset_1024": Style(stored=binary(1025, np.uint16, 1024)),
    "offset_labels": Style(stored=mapped((1024, 1025, 1026, 1029), np.uint16), segments=each),
    "slope_2": Style(tags={"RescaleSlope": "2", "RescaleIntercept": "-1024"}),
    "slope_fraction": Style(
        stored=binary(255, np.uint8), tags={"RescaleSlope": "0.003921568627", "RescaleIntercept": "0"}
    ),
    "no_rescale": Style(finish=_delete("RescaleSlope", "RescaleIntercept", "RescaleType")),
    "slopes_per_slice": Style(finish=_slopes, segments=each),
    "u8": Style(stored=binary(1, np.uint8)),
    "i8": Style(stored=binary(1, np.int8)),
    "i16": Style(stored=binary(1, np.int16)),
    "u32": Style(stored=mapped((0, 1, 70000, 2**31), np.uint32), segments=each),
    "one_bit": Style(finish=_one_bit),
    "stored_12": Style(stored=mapped((0, 1, 2, 4095), np.uint16), segments=each, tags=_bits(12)),
    "stored_1_of_8": Style(stored=binary(1, np.uint8), tags=_bits(1)),
    "stored_12_signed": Style(stored=binary(2047, np.int16), tags=_bits(12)),
    "mono1_inverted": Style(stored=binary(0, np.uint8, 1), tags={"PhotometricInterpretation": "MONOCHROME1"}),
    "mono1_inverted_255": Style(stored=binary(0, np.uint8, 255), tags={"PhotometricInterpretation": "MONOCHROME1"}),
    "mono1_upright": Style(tags={"PhotometricInterpretation": "MONOCHROME1"}),
    "mono2_inverted": Style(
        stored=binary(0, np.uint8, 1),
        named=refused("unsupported_pixel_data"),
        automatic=refused("unsupported_pixel_data"),
    ),
    "palette": Style(stored=mapped((0, 1, 2, 3), np.uint8), segments=each, finish=_palette),
    "rgb": Style(segments=each, finish=_colours),
    "rgb_planar": Style(segments=each, finish=_planar_colours),
    "float_whole": Style(finish=_float(lambda labels: labels.astype(float)), segments=each),
    "float_probability": Style(
        finish=_float(probability), named=refused("not_discrete"), automatic=refused("not_discrete")
    ),
    "float_threshold": Style(finish=_float(probability), settings={"threshold": 0.5}),
    "u8_probability": Style(
        stored=lambda labels: np.rint(probability(labels) * 255).astype(np.uint8),
        named=refused("not_discrete"),
        automatic=NOT_A_MASK,
    ),
    "u8_threshold": Style(
        stored=lambda labels: np.rint(probability(labels) * 255).astype(np.uint8),
        tags={"RescaleSlope": "1", "RescaleIntercept": "0"},
        settings={"threshold": 127.5},
    ),
    "u16_threshold_rescaled": Style(
        stored=lambda labels: np.rint(probability(labels) * 10000).astype(np.uint16),
        tags={"RescaleSlope": "0.0001", "RescaleIntercept": "0"},
        settings={"threshold": 0.5},
    ),
    "threshold_unused": Style(settings={"threshold": 0.5}),
    "padding_inherited": Style(stored=binary(1, np.int16), finish=_padding(-2000, "SS")),
    "padding_used": Style(stored=_padding_around, finish=_padding(-2000, "SS")),
    "padding_zero": Style(finish=_padding(0, "US")),
    "empty": Style(stored=binary(0, np.uint16), named=EMPTY, automatic=EMPTY),
    "empty_air": Style(stored=binary(-1024, np.int16, -1024), named=EMPTY, automatic=EMPTY),
    "full": Style(stored=binary(1, np.uint16, 1), named=NOT_A_MASK, automatic=NOT_A_MASK),
    "no_geometry": Style(finish=_without_geometry, named=refused("no_geometry"), automatic=refused("no_geometry")),
    "trusted": Style(finish=_without_geometry, settings={"trust_order": True}),
    "trusted_twice": Style(
        finish=_numbered_twice,
        settings={"trust_order": True},
        named=refused("no_geometry"),
        automatic=refused("no_geometry"),
    ),
    "trusted_otherwise": Style(
        finish=_numbered_otherwise,
        settings={"trust_order": True},
        named=refused("no_geometry"),
        automatic=refused("no_geometry"),
    ),
    "another_patient": Style(
        tags={"PatientID": "someone else"},
        named=refused("patient_mismatch"),
        automatic=refused("patient_mismatch"),
    ),
    "no_patient": Style(tags={"PatientID": ""}),
    "no_frame_of_reference": Style(finish=_delete("FrameOfReferenceUID")),
    "another_frame_of_reference": Style(
        tags={"FrameOfReferenceUID": "1.2.3.4"},
        named=refused("geometry_mismatch"),
        automatic=refused("geometry_mismatch"),
    ),
}  # fmt: skip
"""Every style by name."""
