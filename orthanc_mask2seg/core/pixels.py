"""From a DICOM file to stored values: every transfer syntax that pydicom reads, decoded on our side.

Values are those before the Modality LUT: a mask that was written as a copy of a CT inherits the CT's RescaleIntercept,
which says nothing about 0 and 1.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import DataElement, Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.tag import BaseTag
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from orthanc_mask2seg.core.bounds import TooLarge, check_compressed, check_pixels, read_dicom
from orthanc_mask2seg.core.cropped import Cropped, cropped
from orthanc_mask2seg.core.wording import counted, instance_of
from orthanc_mask2seg.model import Reason, Refusal

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

_TELLING_GROUPS = frozenset({0x0020, 0x0028})
_PATIENT_ID = 0x00100020

_JPEG_LS = frozenset({JPEGLSLossless, JPEGLSNearLossless})
"""Decoded by CharLS alone: the decoder that pydicom would try next takes all memory for some damaged streams."""

_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K})
"""Transfer syntaxes that may change values. JPEG 2000 and HTJ2K may be lossless under these, too: values decide."""

PALETTE_SHIFT = 24
"""An index of a palette is written before its colour: index << 24 | 0xRRGGBB."""

StoredArray = npt.NDArray[np.integer[Any] | np.floating[Any]]

READING_ERRORS = (
    ValueError,
    RuntimeError,
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    OSError,
    struct.error,
    zlib.error,
    OverflowError,
    BytesLengthException,
    NotImplementedError,
    StopIteration,
    ArithmeticError,
)
"""What pydicom and its decoders raise for damaged data; all of it means the same to the user."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An instance with its pixels.

    Attributes
    ----------
    header
        The data set without pixel data.
    frames
        Stored values, shape (frames, rows, columns): integers, or fractions of a floating point image. Colours are
        one integer each, 0xRRGGBB, after the index (see `PALETTE_SHIFT`) where they come from a palette.
    coloured
        The values are colours.
    lossy
        They were compressed in a way that changes values.
    floating
        The pixels are in FloatPixelData or DoubleFloatPixelData, whatever their values.
    word
        The largest pixel, all allocated bits of it read as an unsigned number; None where that is not known.
    like_first
        It is written like the first file of its series, and its header says no more than who it is and what its
        pixels are.
    """

    header: Dataset
    frames: StoredArray
    coloured: bool = False
    lossy: bool = False
    floating: bool = False
    word: int | None = None
    like_first: bool = False

    @property
    def fractions(self) -> bool:
        """Whether the values are not whole numbers, as in a probability map."""
        return self.frames.dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class Kept:
    """An instance of a mask whose pixels are cropped; see `Decoded`.

    Attributes
    ----------
    planes
        Its frames.
    """

    header: Dataset
    planes: tuple[Cropped, ...]
    coloured: bool = False
    lossy: bool = False
    floating: bool = False
    word: int | None = None

    @property
    def frames(self) -> StoredArray:
        """Stored values, shape (frames, rows, columns)."""
        return np.stack([plane.whole() for plane in self.planes])

    @property
    def fractions(self) -> bool:
        """Whether the values are not whole numbers, as in a probability map."""
        return self.planes[0].values.dtype.kind == "f"


Instance = Decoded | Kept


def kept(decoded: Decoded) -> Kept:
    """The same, cropped, in the smallest type that holds its values: most masks need one byte per voxel."""
    planes = tuple(cropped(frame) for frame in decoded.frames)
    return Kept(
        decoded.header,
        _narrow(planes),
        coloured=decoded.coloured,
        lossy=decoded.lossy,
        floating=decoded.floating,
        word=decoded.word,
    )


def _narrow(planes: tuple[Cropped, ...]) -> tuple[Cropped, ...]:
    kind = planes[0].values.dtype
    if kind.itemsize == 1 or kind.kind == "f":
        return planes
    spans = [plane.span() for plane in planes]
    low, high = min(s[0] for s in spans), max(s[1] for s in spans)
    for small in (np.uint8, np.int16, np.uint16):
        if np.iinfo(small).min <= low and high <= np.iinfo(small).max:
            return tuple(replace(plane, values=plane.values.astype(small)) for plane in planes)
    return planes


def decode(content: bytes) -> Decoded | Refusal:
    """Decode a DICOM file.

    Parameters
    ----------
    content
        A PS3.10 file, or a data set without preamble.

    Returns
    -------
    Decoded, or Refusal
        `invalid_dicom`, `unsupported_pixel_data`, `corrupt_pixel_data` or `too_large`.
    """
    try:
        data = read_dicom(content)
        spoiled = [tag for tag in _drop_unreadable(data) if is_telling(tag)]
        if spoiled:
            return _invalid(content, f"{instance_of(data)}: {', '.join(map(str, spoiled))} cannot be read")
        problem = _unusable(data, content)
    except TooLarge as error:
        return _too_large(f"a file of {counted(len(content), 'byte')}", error)
    except (InvalidDicomError, *READING_ERRORS) as error:
        return _invalid(content, f"while reading: {type(error).__name__}")
    if problem is not None:
        return problem
    _assume_syntax(data)
    try:
        _check_frames(data)
        frames = _one_value_per_pixel(_pixel_array(data), data)
        floating = "PixelData" not in data
        word = None if floating else _word(data, frames)
    except TooLarge as error:
        return _too_large(f"{instance_of(data)}: {_sizes(data)}", error)
    except READING_ERRORS as error:
        return _corrupt(data, f"while decoding: {type(error).__name__}")
    if len(frames) != _frames(data):
        return _corrupt(data, f"expected {counted(_frames(data), 'frame')}, found {len(frames)}")
    for keyword in PIXEL_KEYWORDS:
        if keyword in data:
            delattr(data, keyword)
    return Decoded(data, frames, coloured=_is_coloured(data), lossy=_is_lossy(data), floating=floating, word=word)


def is_telling(tag: BaseTag) -> bool:
    """Whether an element says whose an instance is, where it lies or what its pixels are: it may not be unreadable."""
    return tag.group in _TELLING_GROUPS or tag == _PATIENT_ID


def drop_unreadable(data: Dataset) -> bool:
    """Take out the elements whose values cannot be read, so that no later look at them fails.

    pydicom converts values at first sight: "75,5" in a PatientWeight would raise wherever that happens to be.

    Returns
    -------
    bool
        Whether one of them is telling.
    """
    return any(is_telling(tag) for tag in _drop_unreadable(data))


def _drop_unreadable(data: Dataset) -> list[BaseTag]:
    dropped = []
    for element in list(data.values()):
        if isinstance(element, DataElement):  # read already
            continue
        try:
            _ = data[element.tag].value
        except READING_ERRORS:
            del data[element.tag]
            dropped.append(element.tag)
    return dropped


def _frames(data: Dataset) -> int:
    return int(data.get("NumberOfFrames") or 1)


def _unusable(data: Dataset, content: bytes) -> Refusal | None:
    """Why these pixels cannot be decoded at all, or None."""
    if not any(k in data for k in PIXEL_KEYWORDS):
        if "SOPClassUID" not in data:
            return _invalid(content, f"{instance_of(data)} without a SOPClassUID; {counted(len(data), 'element')} read")
        return Refusal(
            reason=Reason.UNSUPPORTED_PIXEL_DATA,
            detail="An instance holds no pixel data.",
            hint="Send the series again; it arrived without its images.",
            evidence=(f"{instance_of(data)}: no PixelData among its {counted(len(data), 'element')}",),
        )
    rows, columns = int(data.get("Rows") or 0), int(data.get("Columns") or 0)
    try:
        check_pixels(rows, columns, _frames(data), int(data.get("SamplesPerPixel") or 1))
    except TooLarge as error:
        return _too_large(f"{instance_of(data)}: {_matrix(rows, columns, _frames(data))}", error)
    meta = getattr(data, "file_meta", None)
    syntax = UID(str(meta.TransferSyntaxUID)) if meta is not None and "TransferSyntaxUID" in meta else None
    if syntax is not None and syntax.is_compressed and not _has_decoder(syntax):
        return Refusal(
            reason=Reason.UNSUPPORTED_PIXEL_DATA,
            detail=f"The images are compressed in a way that cannot be read here ({syntax.name}).",
            hint="Export the mask uncompressed, or with a lossless compression such as RLE or JPEG 2000.",
            evidence=(f"{instance_of(data)}: transfer syntax {syntax}",),
        )
    return None


def _check_frames(data: FileDataset) -> None:
    """Raise where compressed frames would become larger than the header says."""
    syntax = UID(str(data.file_meta.TransferSyntaxUID))
    if not syntax.is_encapsulated or "PixelData" not in data:
        return
    samples, bits = int(data.get("SamplesPerPixel") or 1), int(data.get("BitsAllocated") or 0)
    frame_bytes = int(data.get("Rows") or 0) * int(data.get("Columns") or 0) * samples * -(-bits // 8)
    check_compressed(data.PixelData, _frames(data), frame_bytes, rle=syntax == RLELossless)


def _assume_syntax(data: FileDataset) -> None:
    """Say how a data set without file meta information was encoded: pydicom has seen that while reading."""
    meta = getattr(data, "file_meta", None)
    if meta is not None and "TransferSyntaxUID" in meta:
        return
    implicit, little = data.original_encoding
    data.file_meta = FileMetaDataset() if meta is None else meta
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _word(data: Dataset, frames: StoredArray) -> int | None:
    """The largest pixel with all its bits, those above BitsStored and the sign included."""
    bits, signed = int(data.BitsAllocated), int(data.get("PixelRepresentation") or 0)
    syntax = UID(str(data.file_meta.TransferSyntaxUID))
    if _is_coloured(data) or frames.size == 0:
        return None
    if syntax.is_encapsulated:  # the codec has its own precision; only where nothing is cut off the values tell
        return int(frames.max()) if not signed and int(data.get("BitsStored") or 0) == bits else None
    if bits not in {8, 16, 32}:
        return int(frames.max())
    kind = np.dtype(f"u{bits // 8}").newbyteorder("<" if syntax.is_little_endian else ">")
    return int(np.frombuffer(data.PixelData, kind, count=frames.size).max())


def _has_decoder(syntax: UID) -> bool:
    if syntax.is_deflated:
        return True
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _pixel_array(data: FileDataset) -> npt.NDArray[Any]:
    if data.file_meta.TransferSyntaxUID in _JPEG_LS:
        data.pixel_array_options(decoding_plugin="pyjpegls")
    return data.pixel_array


def _invalid(content: bytes, what: str) -> Refusal:
    return Refusal(
        reason=Reason.INVALID_DICOM,
        detail="A file of the series is not readable as DICOM.",
        hint="Export or send the series again.",
        evidence=(f"a file of {counted(len(content), 'byte')}", what),
    )


def _too_large(what: str, error: TooLarge) -> Refusal:
    return Refusal(
        reason=Reason.TOO_LARGE,
        detail="An image is larger than any mask of a patient.",
        hint="Check Rows, Columns and NumberOfFrames of the image, and how it is compressed.",
        evidence=(what, str(error)),
    )


def _matrix(rows: int, columns: int, frames: int) -> str:
    return f"{rows} rows x {columns} columns x {counted(frames, 'frame')}"


def _corrupt(data: Dataset, what: str) -> Refusal:
    return Refusal(
        reason=Reason.CORRUPT_PIXEL_DATA,
        detail="The pixels of an image cannot be decoded: they are damaged or incomplete.",
        hint="Export or send the series again.",
        evidence=(f"{instance_of(data)}: {_sizes(data)}", what),
    )


def _sizes(data: Dataset) -> str:
    """Bytes that the header promises and bytes that are there."""
    keyword = next(k for k in PIXEL_KEYWORDS if k in data)
    value = data[keyword].value
    found = counted(len(value) if isinstance(value, bytes) else 0, "byte")
    try:
        samples, bits = int(data.get("SamplesPerPixel") or 1), int(data.get("BitsAllocated") or 0)
        rows, columns, frames = int(data.get("Rows") or 0), int(data.get("Columns") or 0), _frames(data)
        meta = getattr(data, "file_meta", None)
        compressed = meta is not None and UID(str(meta.get("TransferSyntaxUID") or "")).is_encapsulated
    except READING_ERRORS:
        return f"found {found} of pixels"
    expected = counted(-(-rows * columns * frames * samples * bits // 8), "byte")
    matrix = f"{_matrix(rows, columns, frames)}, {counted(bits, 'bit')}"
    if compressed:
        return f"expected {expected} after decompression ({matrix}), found {found} compressed"
    return f"expected {expected} of pixels ({matrix}), found {found}"


def _is_lossy(data: Dataset) -> bool:
    meta = getattr(data, "file_meta", None)
    return meta is not None and str(meta.get("TransferSyntaxUID", "")) in _LOSSY


def _is_coloured(data: Dataset) -> bool:
    return int(data.get("SamplesPerPixel") or 1) > 1 or data.get("PhotometricInterpretation") == "PALETTE COLOR"


def _one_value_per_pixel(pixels: npt.NDArray[Any], data: Dataset) -> StoredArray:
    """Shape (frames, rows, columns): colours packed into one integer, whole numbers as integers."""
    if data.get("PhotometricInterpretation") == "PALETTE COLOR":
        indices = pixels.astype(np.int64) << PALETTE_SHIFT
        channels = apply_color_lut(pixels, data)
        channels = (channels >> 8 if channels.dtype.itemsize > 1 else channels).astype(np.int64)
        pixels = indices | (channels[..., 0] << 16) | (channels[..., 1] << 8) | channels[..., 2]
    elif _is_coloured(data):
        channels = pixels.astype(np.int32)
        pixels = (channels[..., 0] << 16) | (channels[..., 1] << 8) | channels[..., 2]
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise ValueError("not a number")
        if (pixels == np.rint(pixels)).all() and np.abs(pixels).max(initial=0) < 2**31:
            pixels = pixels.astype(np.int64)
    return pixels.reshape(-1, *pixels.shape[-2:])
