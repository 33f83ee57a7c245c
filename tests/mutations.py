"""Random mutations of valid pairs of a mask and its source: the result is right in the patient, or a refusal.

The truth is read from the mutated files as they now are (see `generator.oracle`), never from what they were before.

    python -m tests.mutations --count 10000 --seed 1
"""

from __future__ import annotations

import argparse
import io
import random
import re
import struct
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import generate_uid

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import Mask2SegError
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, blob, image_series, mask_series
from tests.generator.containers import enhanced
from tests.generator.encodings import ENCODINGS, plain
from tests.generator.oracle import (
    PLACE,
    Plane,
    Seg,
    places_by_value,
    read_planes,
    read_seg,
    same_places,
    wrong_references,
    wrong_resampling,
)
from tests.generator.part10 import split, value_of, with_element

SMALL = Grid(rows=12, columns=10, planes=5)


@dataclass
class Pair:
    """Files of a study, as they are being mutated."""

    name: str
    image: list[bytes]
    mask: list[bytes]
    background: int
    others: list[bytes] = field(default_factory=list)
    uids: tuple[str, str] = ("", "")
    joined: set[int] = field(default_factory=set)
    """Backgrounds of the masks of which slices have joined this one."""

    @property
    def mask_uid(self) -> str:
        return self.uids[0]

    @property
    def image_uid(self) -> str:
        return self.uids[1]

    def copy(self) -> Pair:
        return replace(self, image=list(self.image), mask=list(self.mask), others=list(self.others), joined=set())


# ---------------------------------------------------------------- valid pairs


def _pair(
    name: str,
    grid: Grid = SMALL,
    *,
    stored: Callable[[np.ndarray], np.ndarray] = lambda labels: labels.astype(np.uint16),
    background: int = 0,
    encoding: str = "explicit",
    modality: str = "CT",
    labels: np.ndarray | None = None,
    keep: slice = slice(None),
    shuffle: bool = False,
    others: Sequence[bytes] = (),
    multi_frame: bool = False,
    **tags: object,
) -> Pair:
    labels = _labels(grid) if labels is None else labels
    image = image_series(grid, modality=modality)
    mask = mask_series(image, stored(labels), **tags)  # type: ignore[arg-type]
    uids = str(mask[0].SeriesInstanceUID), str(image[0].SeriesInstanceUID)
    for number, data in enumerate(mask if shuffle else ()):
        data.InstanceNumber = (number * 7) % 11
    files = [plain(enhanced(mask))] if multi_frame else [ENCODINGS[encoding](data) for data in mask[keep]]
    return Pair(name, [plain(i) for i in image], files, background, list(others), uids)


def _labels(grid: Grid) -> np.ndarray:
    labels = blob(grid)
    labels[:, grid.rows // 2, grid.columns // 2] = 1
    return labels


def _several(labels: np.ndarray) -> np.ndarray:
    result = labels.astype(np.uint16)
    result[:, -4:-1, 1:4] = 7
    result[:, 1:3, 5:8] = 40000
    return result


def _on_another_grid() -> Pair:
    fine = Grid(rows=24, columns=20, planes=6, spacing=(0.8, 0.7), step_mm=2.5)
    coarse = Grid(rows=12, columns=10, planes=6, spacing=(1.6, 1.4), step_mm=2.5, origin=(-120.15, -94.85, 40.0))
    pair = _pair("another grid", coarse, own_uids=True)
    image = image_series(fine)
    pair.image = [plain(i) for i in image]
    pair.uids = pair.uids[0], str(image[0].SeriesInstanceUID)
    return pair


def _decoy(**tags: object) -> list[bytes]:
    series = image_series(SMALL, ConvolutionKernel="B70f", SeriesTime="112233", **tags)
    for number, data in enumerate(series):
        data.SeriesInstanceUID = "1.2.3.77"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.77.{number}"
    return [plain(d) for d in series]


OBLIQUE = (
    tuple(np.round([0.8, 0.36, -0.48], 6).tolist()),
    tuple(np.round([0.0, 0.8, 0.6], 6).tolist()),
)


@cache
def pairs() -> tuple[Pair, ...]:
    """Valid pairs: each of them converts exactly as it is."""
    big = Grid(rows=35, columns=33, planes=3)
    return (
        _pair("seed copy"),
        _pair("own UIDs, 0/255", stored=lambda x: x.astype(np.uint8) * 255, own_uids=True),
        _pair("labels", stored=_several, own_uids=True),
        _pair("-1024/-1023", stored=lambda x: x.astype(np.int16) - 1024, background=-1024, own_uids=True),
        _pair("negative", stored=lambda x: -x.astype(np.int16), own_uids=True),
        _pair("oblique, shuffled", Grid(rows=12, columns=10, planes=5, axes=OBLIQUE), own_uids=True, shuffle=True),
        _pair("tilt", Grid(rows=12, columns=10, planes=4, gaps=(4, 1.08, 7), shear=(0, 0.4, 0)), own_uids=True),
        _pair("tumour slices", keep=slice(1, 4), own_uids=True),
        _pair("RLE", encoding="rle", own_uids=True),
        _pair("JPEG-LS", encoding="jpeg_ls", own_uids=True),
        _pair("JPEG lossless", encoding="jpeg_lossless", own_uids=True),
        _pair("JPEG 2000", big, encoding="jpeg_2000", own_uids=True, labels=_labels(big)),
        _pair("implicit", encoding="implicit", own_uids=True),
        _pair("deflated", encoding="deflated", own_uids=True),
        _pair("big endian", encoding="big_endian", own_uids=True),
        _pair("MR", modality="MR", own_uids=True),
        _pair("enhanced", multi_frame=True, own_uids=True),
        _pair("two kernels", others=_decoy(), own_uids=True),
        _on_another_grid(),
    )


# ---------------------------------------------------------------- mutations


Mutation = Callable[[random.Random, Pair, list[bytes]], None]


def _some(rng: random.Random, files: Sequence[bytes]) -> list[int]:
    """One, all, or some of the files."""
    if not files:
        return []
    kind = rng.random()
    if kind < 0.5:
        return [rng.randrange(len(files))]
    if kind < 0.85:
        return list(range(len(files)))
    return rng.sample(range(len(files)), rng.randint(1, len(files)))


def drop(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """Slices are lost."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if len(files) > 1:
            files.pop(rng.randrange(len(files)))


def duplicate(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """A slice is there twice under two UIDs, perhaps with other pixels, perhaps a little off."""
    data = dcmread(io.BytesIO(rng.choice(files)), force=True)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(rng.random())])
    if rng.random() < 0.3 and "ImagePositionPatient" in data:
        position = [float(v) for v in data.ImagePositionPatient]
        position[2] += rng.choice([0.01, 0.049, 0.051, 0.2])
        data.ImagePositionPatient = position
    if rng.random() < 0.3:
        data.InstanceNumber = 99
    files.append(plain(data))


SHIFTS = [0.004, 0.02, 0.04, 0.06, 0.3, 0.35, 0.4, 0.5, 0.7, 0.8, 1.0, 1.25, 1.4, 1.6, 2.5, 5.0, 12.3, 100.0]


def shift(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """Slices say that they lie elsewhere."""
    axis, by = rng.randrange(3), rng.choice(SHIFTS) * rng.choice([1, -1])
    for index in _some(rng, files):
        position = _numbers(files[index], "ImagePositionPatient")
        if len(position) == 3:
            position[axis] += by
            files[index] = _with_numbers(files[index], "ImagePositionPatient", position)


def reorient(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """Direction cosines are negated, swapped, turned, or not quite at right angles."""
    kind = rng.randrange(6)
    angle = rng.choice([0.0002, 0.001, 0.003, 0.02, 0.3, np.pi / 2])
    for index in _some(rng, files):
        now = np.array(_numbers(files[index], "ImageOrientationPatient"))
        if len(now) != 6:
            continue
        row, column = now[:3], now[3:]
        if kind == 0:
            row = -row
        elif kind == 1:
            column = -column
        elif kind == 2:
            row, column = column, row
        elif kind == 3:
            row, column = np.cos(angle) * row + np.sin(angle) * column, np.cos(angle) * column - np.sin(angle) * row
        elif kind == 4:
            normal = np.cross(row, column)
            row = np.cos(angle) * row + np.sin(angle) * normal
        else:
            column = column + angle * row
        files[index] = _with_numbers(files[index], "ImageOrientationPatient", [*row, *column])


def rescale_pixels(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """PixelSpacing says other sizes."""
    factors = rng.choice(
        [(1, 2), (2, 1), (2, 2), (0.5, 0.5), (1.001, 1.001), (1.01, 1.01), (1.03, 1), (0.875, 1.14286)]
    )
    for index in _some(rng, files):
        now = _numbers(files[index], "PixelSpacing")
        if len(now) == 2:
            files[index] = _with_numbers(files[index], "PixelSpacing", [now[0] * factors[0], now[1] * factors[1]])


def swap_values(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """Two slices exchange an attribute or their pixels."""
    keyword = rng.choice(["ImagePositionPatient", "SOPInstanceUID", "InstanceNumber", "PixelData", "SliceLocation"])
    if len(files) < 2:
        return
    a, b = rng.sample(range(len(files)), 2)
    tag = int(tag_for_keyword(keyword))
    (_, left), (start, right) = split(files[a]), split(files[b])
    if tag in left and tag in right:
        first, second = files[a], files[b]
        left[tag], right[tag] = right[tag], left[tag]
        files[a] = first[: split(first)[0]] + b"".join(left[t] for t in sorted(left))
        files[b] = second[:start] + b"".join(right[t] for t in sorted(right))


def swap_files(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """Another order of arrival."""
    rng.shuffle(files)


TAGS: dict[str, Sequence[bytes]] = {
    "ImagePositionPatient": [b"0\\0\\0", b"1\\2", b"nan\\0\\0", b"-120.5\\-95.25\\1e9", b"", b"a\\b\\c", b"-120.5"],
    "ImageOrientationPatient": [b"1\\0\\0\\0\\1", b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0", b"2\\0\\0\\0\\2\\0", b""],
    "PixelSpacing": [b"0\\0", b"-0.8\\0.7", b"0.7\\0.8", b"1", b"", b"0.8\\0.7\\1", b"1e-9\\1", b"inf\\1"],
    "Rows": [b"\x0a\0", b"\x0b\0", b"\x0d\0", b"\0\0", b"\xff\xff", b"\x14\0", b"\x06\0"],
    "Columns": [b"\x0c\0", b"\x09\0", b"\x0b\0", b"\0\0", b"\xff\xff", b"\x05\0", b"\x14\0"],
    "BitsAllocated": [b"\x08\0", b"\x10\0", b"\x20\0", b"\x01\0", b"\x0c\0", b"\0\0"],
    "BitsStored": [b"\x01\0", b"\x08\0", b"\x0c\0", b"\x10\0", b"\x07\0", b"\0\0", b"\x20\0"],
    "HighBit": [b"\x07\0", b"\x0b\0", b"\x0f\0", b"\0\0", b"\x1f\0"],
    "PixelRepresentation": [b"\0\0", b"\x01\0", b"\x02\0"],
    "PhotometricInterpretation": [b"MONOCHROME1", b"MONOCHROME2", b"PALETTE COLOR", b"RGB", b"YBR_FULL", b"", b"X"],
    "SamplesPerPixel": [b"\x01\0", b"\x03\0", b"\x02\0", b"\0\0"],
    "PlanarConfiguration": [b"\0\0", b"\x01\0"],
    "NumberOfFrames": [b"1", b"2", b"0", b"5", b"-1", b"x"],
    "RescaleSlope": [b"1", b"2", b"0", b"-1", b"0.5", b"1e-5", b"x", b""],
    "RescaleIntercept": [b"0", b"-1024", b"-1000", b"1", b"-1", b"x", b""],
    "PixelPaddingValue": [b"\0\0", b"\x01\0", b"\x30\xf8", b"\xff\xff", b"\x07\0"],
    "SliceThickness": [b"0", b"3", b"-1", b"", b"x", b"1e6"],
    "SpacingBetweenSlices": [b"0", b"3", b"-2.5", b""],
    "SliceLocation": [b"0", b"-40", b"x"],
    "InstanceNumber": [b"0", b"1", b"3", b"-5", b"x", b"", b"99999999999"],
    "FrameOfReferenceUID": [b"1.2.3.4", b"", b"1.2.3.5"],
    "PatientID": [b"P0", b"P1", b"", b"p0", b"someone else"],
    "StudyInstanceUID": [b"1.2.3.6", b""],
    "SeriesInstanceUID": [b"1.2.3.7", b""],
    "SOPInstanceUID": [b"1.2.3.8", b"", b"x"],
    "SOPClassUID": [b"1.2.840.10008.5.1.4.1.1.7", b"1.2.840.10008.5.1.4.1.1.66.4", b"", b"1.2"],
    "Modality": [b"SEG", b"CT", b"MR", b"OT", b"SC", b"", b"RTDOSE", b"PT"],
    "ImageType": [b"DERIVED\\SECONDARY", b"ORIGINAL\\PRIMARY\\LOCALIZER", b""],
    "GantryDetectorTilt": [b"15", b"-20"],
    "PatientPosition": [b"HFS", b"FFP"],
    "AcquisitionNumber": [b"1", b"2"],
    "TemporalPositionIdentifier": [b"1", b"2"],
    "EchoTime": [b"1", b"2"],
    "AcquisitionTime": [b"101010", b"111111"],
    "ContentTime": [b"101010", b"111111", b"x"],
    "SpecificCharacterSet": [b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"nonsense", b"ISO 2022 IR 87"],
    "SeriesDescription": [b"liver", b"\xff\xfe", b"", b"thorax"],
    "SeriesNumber": [b"-1", b"x", b"", b"2147483647"],
    "StudyDate": [b"20260131", b"x", b"99999999"],
    "LossyImageCompression": [b"01", b"00"],
    "BurnedInAnnotation": [b"YES"],
    "PixelAspectRatio": [b"1\\1", b"2\\1"],
    "ImagerPixelSpacing": [b"1\\1"],
    "RescaleType": [b"HU", b"US"],
    "PresentationLUTShape": [b"INVERSE", b"IDENTITY"],
    "ConvolutionKernel": [b"B30f", b"B70f"],
    "ExtendedOffsetTable": [b"\0" * 8],
}
"""Attributes that say where pixels lie or what they are, and values that they might get."""


def retag(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """An attribute is rewritten or deleted, on one slice or on all."""
    keyword = rng.choice(list(TAGS))
    tag = int(tag_for_keyword(keyword))
    vr = dictionary_VR(tag)[:2]
    if rng.random() < 0.03:
        vr = rng.choice(["LO", "UN", "DS", "US", "FD", "SQ"])
    value = None if rng.random() < 0.15 else rng.choice(TAGS[keyword])
    for index in _some(rng, files):
        files[index] = with_element(files[index], tag, vr, value)


def change_syntax(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """The file says another transfer syntax than it is written in."""
    names = [
        "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.100", "1.2.3",
    ]  # fmt: skip
    name = rng.choice(names)
    for index in _some(rng, files):
        files[index] = _with_syntax(files[index], name)


def _with_syntax(content: bytes, name: str) -> bytes:
    found = re.search(rb"\x02\0\x10\0UI(..)", content[:400], re.DOTALL)
    if found is None:
        return content
    length = struct.unpack("<H", found[1])[0]
    value = name.encode() + b"\0" * (len(name) % 2)
    grown = len(value) - length
    content = content[: found.start() + 6] + struct.pack("<H", len(value)) + value + content[found.end() + length :]
    group_length = struct.unpack("<L", content[140:144])[0]
    return content[:140] + struct.pack("<L", group_length + grown) + content[144:]


def reencode(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """A slice is stored in another transfer syntax, rightly."""
    encode = ENCODINGS[rng.choice([name for name in ENCODINGS if name != "jpeg_2000"])]
    for index in _some(rng, files):
        data = dcmread(io.BytesIO(files[index]), force=True)
        if data.file_meta.TransferSyntaxUID.is_encapsulated:
            data.decompress(generate_instance_uid=False)
        elif data.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.2":
            return
        files[index] = encode(data)


def corrupt(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """Bytes anywhere in a file are other bytes."""
    index = rng.randrange(len(files))
    content = bytearray(files[index])
    low = 0 if rng.random() < 0.7 else min(len(content) - 1, max(0, len(content) - 200))
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        content[rng.randrange(low, len(content))] = rng.randrange(256)
    files[index] = bytes(content)


def truncate(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """A file ends too early."""
    index = rng.randrange(len(files))
    size = len(files[index])
    keep = rng.choice([size - 1, size - 2, size - 8, rng.randrange(size), rng.randrange(size)])
    files[index] = files[index][: max(0, keep)]


def insert(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """Bytes that do not belong there are inserted."""
    index = rng.randrange(len(files))
    at = rng.randrange(len(files[index]))
    files[index] = files[index][:at] + bytes(rng.choice([1, 2, 16])) + files[index][at:]


def foreign(rng: random.Random, pair: Pair, files: list[bytes]) -> None:
    """A slice of another series joins this one."""
    other = rng.choice(pairs())
    content = rng.choice(other.mask if rng.random() < 0.5 else other.image)
    pair.joined.add(other.background)
    uid = pair.mask_uid if files is pair.mask else pair.image_uid
    content = with_element(content, 0x0020000E, "UI", uid.encode())
    if rng.random() < 0.5:
        content = with_element(content, 0x00080018, "UI", f"1.2.3.{rng.randrange(10**6)}".encode())
    if rng.random() < 0.5 and len(files) > 1:
        files[rng.randrange(len(files))] = content
    else:
        files.append(content)


def paint(rng: random.Random, _pair: Pair, files: list[bytes]) -> None:
    """Other values in the pixels: one voxel, a row, the complement, or noise."""
    kind = rng.randrange(5)
    value = rng.choice([0, 1, 2, 255, 57, 1024])
    for index in _some(rng, files):
        raw = bytearray(value_of(files[index], 0x7FE00010))
        vr = split(files[index])[1].get(0x7FE00010, b"")[4:6].decode()
        if len(raw) < 32:
            continue
        if kind == 0:
            raw[rng.randrange(len(raw) // 2) * 2] = value & 255
        elif kind == 1:
            raw[0:20] = bytes([value & 255, value >> 8]) * 10
        elif kind == 2:
            raw = bytearray(1 - b if b < 2 else 255 - b for b in raw)
        elif kind == 3:
            raw = bytearray(rng.randbytes(len(raw)))
        else:
            raw = bytearray(len(raw))
        files[index] = with_element(files[index], 0x7FE00010, vr, bytes(raw))


def lose_source(rng: random.Random, pair: Pair, _files: list[bytes]) -> None:
    """The source is not there, or another one is there as well."""
    if rng.random() < 0.4:
        pair.image.clear()
    else:
        pair.others += _decoy()


MUTATIONS: dict[Mutation, int] = {
    drop: 2, duplicate: 3, shift: 5, reorient: 3, rescale_pixels: 3, swap_values: 3, swap_files: 1, retag: 14,
    change_syntax: 2, reencode: 2, corrupt: 6, truncate: 2, insert: 1, foreign: 3, paint: 3, lose_source: 1,
}  # fmt: skip
"""Mutation to its weight."""


def _numbers(content: bytes, keyword: str) -> list[float]:
    try:
        data = dcmread(io.BytesIO(content), force=True, stop_before_pixels=True)
        return [float(v) for v in data.get(keyword) or ()]
    except Exception:  # noqa: BLE001 - mutated before
        return []


def _with_numbers(content: bytes, keyword: str, values: Sequence[float]) -> bytes:
    text = "\\".join(f"{v:.9g}"[:16] for v in values).encode()
    return with_element(content, int(tag_for_keyword(keyword)), "DS", text)


def mutated(rng: random.Random) -> tuple[Pair, tuple[str, ...]]:
    """A pair with one to three mutations, and what they were."""
    pair = rng.choice(pairs()).copy()
    told = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        (mutation,) = rng.choices(list(MUTATIONS), list(MUTATIONS.values()))
        files = pair.mask if rng.random() < 0.75 or not pair.image else pair.image
        if not files:
            continue
        try:
            mutation(rng, pair, files)
        except Exception:  # noqa: BLE001 - what was mutated before cannot be read for the next mutation
            mutation = corrupt
            corrupt(rng, pair, files)
        told.append(f"{mutation.__name__} {'mask' if files is pair.mask else 'source'}")
    return pair, tuple(told)


# ---------------------------------------------------------------- the oracle


@dataclass(frozen=True)
class Verdict:
    """How one mutation ended: `kind` is exact, resampled, refused, fault, or wrong."""

    kind: str
    detail: str


WRONG = "wrong"


def judge(pair: Pair, *, named: bool = True, settings: Settings | None = None) -> Verdict:
    """Convert a mutated pair, and compare the result with the truth of its files."""
    archive = MemoryArchive()
    try:
        for content in (*pair.image, *pair.mask, *pair.others):
            try:
                archive.add(content)
            except Mask2SegError:
                continue  # the PACS does not take it in
        try:
            mask = archive.find_series(pair.mask_uid)
        except Mask2SegError as error:
            return Verdict("fault", error.code)
        ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=named), settings or Settings())
    except Mask2SegError as error:
        return Verdict("fault", error.code)
    except Exception:  # noqa: BLE001 - the very thing that must not happen
        return Verdict(WRONG, "bare exception: " + _where())
    if isinstance(ended, pipeline.NotYet):
        return Verdict(WRONG, "waits for more although it has rested")
    result = ended[0]
    held = [s for s in archive.all_series() if s.modality == "SEG" and s.series_instance_uid != pair.mask_uid]
    if result.outcome is not Outcome.CONVERTED:
        return Verdict("refused" if result.reason else WRONG, f"{result.reason}")
    if not held and not result.outputs:
        return Verdict(WRONG, "converted, and nothing stored")
    try:
        return _compare(pair, archive, mask.instance_keys, result)
    except Exception:  # noqa: BLE001 - converted, although a plain reader cannot make sense of it
        return Verdict(WRONG, "converted, but a plain reader fails: " + _where())


def _where() -> str:
    """The exception, and the innermost places in this project that it came through."""
    lines = traceback.format_exc().strip().splitlines()
    places = [line.strip() for line in lines if line.strip().startswith("File") and "site-packages" not in line]
    return f"{lines[-1][:200]} <- " + " <- ".join(re.sub(r'File ".*/(\w+\.py)", ', r"\1 ", p) for p in places[:-6:-1])


def _compare(pair: Pair, archive: MemoryArchive, keys: tuple, result: Result) -> Verdict:
    planes = _mask_planes(archive, keys, result)
    assert result.outputs[0].orthanc_id is not None
    seg = read_seg(archive.content(result.outputs[0].orthanc_id))
    image = _source(archive, result, seg)
    problem = wrong_references(seg, image) or _wrong_identity(seg, planes, image)
    if problem:
        return Verdict(WRONG, problem)
    if "resampled" in result.detail:
        if _same_grid(planes, image):
            return Verdict(WRONG, "resampled, although the voxels are those of the source")
        problem = wrong_resampling(seg, planes, image, pair.background)
        return Verdict(WRONG, problem) if problem else Verdict("resampled", "")
    for rescaled in (False, True):
        truth = places_by_value(planes, rescaled=rescaled)
        background = _backgrounds(truth, planes[0], _background(pair, planes), rescaled=rescaled)
        wanted = [places for value, places in truth.items() if value not in background]
        if len(wanted) == len(seg.places) and all(
            same_places(a, b) for a, b in zip(seg.places.values(), wanted, strict=True)
        ):
            return Verdict("exact", "")
    counts = [len(p) for p in seg.places.values()]
    truth = places_by_value(planes)
    return Verdict(WRONG, f"segments of {counts} voxels, files hold { {v: len(p) for v, p in truth.items()} }")


def _mask_planes(archive: MemoryArchive, keys: tuple, result: Result) -> list[Plane]:
    """Planes of the mask; what slices do not say of their place is that of the source image with their SOPInstanceUID.

    Only where each slice shares its SOPInstanceUID with an image of the source: else a KeyError.
    """
    files = [archive.content(key) for key in keys]
    try:
        planes = read_planes(files)
    except Exception:  # noqa: BLE001 - whatever pydicom or numpy says to attributes that are not there
        planes = []
    if not planes or not all(map(_placed, planes)):
        source = [s for s in archive.all_series() if s.series_instance_uid == result.source_series_uid]
        held = (archive.content(key) for series in source for key in series.instance_keys)
        images = [dcmread(io.BytesIO(content), force=True, stop_before_pixels=True) for content in held]
        return read_planes(files, images={str(image.SOPInstanceUID): image for image in images})
    return planes


def _placed(plane: Plane) -> bool:
    """Whether a plane says where it lies; what is empty is read as one NaN."""
    said = zip((plane.position, plane.orientation, plane.spacing), PLACE.values(), strict=True)
    return all(numbers.shape == (count,) and bool(np.isfinite(numbers).all()) for numbers, count in said)


def _proven_by_instances(mask: Sequence[Plane], image: Sequence[Plane]) -> bool:
    """Whether every mask plane lies on the image with its own SOPInstanceUID, and all images have one frame."""
    held = {p.sop_instance_uid: p for p in image}
    if len({str(p.header.get("FrameOfReferenceUID") or "") for p in image}) > 1:
        return False
    return all(
        m.sop_instance_uid in held
        and np.abs(np.cross(m.normal, held[m.sop_instance_uid].normal)).max() < 1e-2
        and abs((m.position - held[m.sop_instance_uid].position) @ m.normal) < 0.1
        for m in mask
    )


def _source(archive: MemoryArchive, result: Result, seg: Seg) -> list[Plane]:
    """Planes of the source: of several series with its UID (torn apart by a mutation), the one that the SEG names."""
    named = {frame.sop_instance_uid for frame in seg.frames}
    for series in archive.all_series():
        if series.series_instance_uid == result.source_series_uid:
            try:
                planes = read_planes([archive.content(key) for key in series.instance_keys], pixels=False)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            if named <= {plane.sop_instance_uid for plane in planes}:
                return planes
    raise LookupError("no series holds all images that the SEG refers to")


def _same_grid(mask: Sequence[Plane], image: Sequence[Plane]) -> bool:
    """Whether the voxels of both have the same size and direction: then nothing may be resampled."""
    if not all(np.allclose(m.orientation, image[0].orientation, atol=1e-3) for m in mask):
        return False
    if not all(np.allclose(m.spacing, image[0].spacing, rtol=1e-2) for m in mask):
        return False
    steps = [np.diff(np.sort([p.position @ image[0].normal for p in planes])) for planes in (mask, image)]
    return all(len(s) for s in steps) and bool(abs(np.median(steps[0]) - np.median(steps[1])) < 0.01)


def _background(pair: Pair, planes: Sequence[Plane]) -> int:
    """That of the mask; that of another one, where slices of that one, of two values, are all that is left.

    0 where nothing is left of the mask's own, and 0 is there.
    """
    values = {int(v) for plane in planes for v in np.unique(plane.values)}
    for other in pair.joined - {pair.background}:
        if other in values and values <= {other, other + 1}:
            return other
    if 0 in values and not any((v - pair.background) % 2 ** _bits_read(planes[0].header) == 0 for v in values):
        return 0
    return pair.background


def _backgrounds(truth: dict, plane: Plane, background: int, *, rescaled: bool) -> set[float]:
    """The stored background, also where its bits are now read as signed or unsigned, or fewer of them are read."""
    if rescaled:
        return {round(background * plane.rescale[0] + plane.rescale[1])}
    return {v for v in truth if (int(v) - background) % 2 ** _bits_read(plane.header) == 0}


def _bits_read(header: Dataset) -> int:
    """BitsStored of an image of one sample, 16 where it says nothing of use."""
    bits = header.get("BitsStored")
    return bits if isinstance(bits, int) and 1 <= bits <= 16 and header.get("SamplesPerPixel") == 1 else 16


def _wrong_identity(seg: Seg, mask: Sequence[Plane], image: Sequence[Plane]) -> str:
    frames = {str(p.header.get("FrameOfReferenceUID") or "") for p in mask} - {""}
    foreign = len(frames) > 1 or (
        frames
        and str(image[0].header.get("FrameOfReferenceUID") or "")
        and frames != {str(seg.header.FrameOfReferenceUID)}
    )
    if foreign and not _proven_by_instances(mask, image):
        return "another frame of reference than the mask's"
    patients = {str(p.header.get("PatientID") or "").strip() for p in (*mask, *image)} - {""}
    if len(patients) > 1:
        return "patients were mixed"
    if str(seg.header.get("StudyInstanceUID")) != str(image[0].header.StudyInstanceUID):
        return "another study than the source's"
    return ""


# ---------------------------------------------------------------- many of them


def one(seed: int) -> tuple[Pair, tuple[str, ...], bool, Verdict]:
    """Mutation number `seed`: the pair, what was done, whether it was named as a mask, how it ended."""
    rng = random.Random(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair, told = mutated(rng)
        named = rng.random() < 0.7
        return pair, told, named, judge(pair, named=named)


def main() -> int:
    """Run many and print the numbers; 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the mutations are number seed*1000000 and on")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    started = time.monotonic()
    for number in range(arguments.count):
        seed = arguments.seed * 1_000_000 + number
        pair, told, named, verdict = one(seed)
        key = verdict.kind if verdict.kind in {"exact", "resampled", WRONG} else f"{verdict.kind}: {verdict.detail}"
        counts[key] += 1
        if verdict.kind == WRONG or verdict.detail == "verification_failed":
            print(f"{verdict.kind.upper()} {seed} {pair.name!r} {told} named={named}: {verdict.detail}", flush=True)
        if (number + 1) % 1000 == 0:
            print(f"{number + 1}: {counts[WRONG]} wrong", flush=True)
    print(f"{arguments.count} mutations, seed {arguments.seed}, {time.monotonic() - started:.0f} s")
    for name, number in counts.most_common():
        print(f"{number:7d}  {name}")
    return int(counts[WRONG] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
