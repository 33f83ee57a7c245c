"""Inputs that a fuzzer starts from: one of each kind that a reader knows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from orthanc_mask2seg.pacs.multipart import packed
from tests.builders import Grid, study, to_bytes

_COMPRESSED = (RLELossless, JPEG2000Lossless, JPEGLSLossless)
_SYNTAXES = (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)


def _files() -> Iterator[bytes]:
    made = study(Grid(rows=32, columns=32, planes=3))
    one = made.mask[1]
    yield to_bytes(one)
    yield to_bytes(made.image[1]) + b"I"
    for syntax in _COMPRESSED:
        data = dcmread(io.BytesIO(to_bytes(one)))
        data.compress(syntax, generate_instance_uid=False)
        yield to_bytes(data)
    for syntax in _SYNTAXES:
        data = dcmread(io.BytesIO(to_bytes(one)))
        if syntax == ExplicitVRBigEndian:
            data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
        data.file_meta.TransferSyntaxUID = syntax
        buffer = io.BytesIO()
        dcmwrite(buffer, data, enforce_file_format=True)
        yield buffer.getvalue()
    data = dcmread(io.BytesIO(to_bytes(one)))
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    data.SourceImageSequence = [item]
    data.add_new(0x00091001, "UN", b"private")
    yield to_bytes(data)[132:]


def _answers() -> Iterator[bytes]:
    made = study(Grid(rows=32, columns=32, planes=3))
    yield json.dumps([data.to_json_dict(bulk_data_threshold=64) for data in made.mask]).encode()
    uids = {"0020000D": "1.2", "0020000E": "1.2.3"}
    record = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
    yield json.dumps([record | {"00201209": {"vr": "IS", "Value": [3]}}]).encode()


def _orthanc() -> Iterator[bytes]:
    made = study(Grid(rows=32, columns=32, planes=3))

    def value(element):
        if element.VR == "SQ":
            return [tags(item) for item in element.value]
        return "\\".join(map(str, element.value)) if element.VM > 1 else str(element.value)

    def tags(data):
        return {f"{e.tag.group:04x},{e.tag.element:04x}": value(e) for e in data if e.VR not in {"OB", "OW"}}

    series = {
        "ID": "k", "ParentStudy": "s", "Instances": ["a", "b", "c"],
        "MainDicomTags": {"SeriesInstanceUID": "1.2.3", "Modality": "CT"},
    }  # fmt: skip
    instances = {str(n): tags(data) for n, data in enumerate(made.mask)}
    yield json.dumps({"series": series, "instances": instances}).encode()


def _multiparts() -> Iterator[bytes]:
    body, kind = packed(b"DICOM file")
    yield kind.encode() + b"\n" + body
    yield b"application/dicom\nfile"


def _configurations() -> Iterator[bytes]:
    yield b'// x\n{"HttpPort": 8042, "Mask2Seg": {"SettleSeconds": 2, "Rules": [{"SeriesDescription": "a*"}]}}'
    destination = {"Kind": "dicomweb", "Url": "https://a/b", "TokenFile": "x"}
    section = {"Destinations": [destination], "Viewers": ["ohif>=3.11"], "OrthancUrl": "http://${A:-b}", "Workers": 2}
    yield json.dumps({"SslEnabled": True, "RegisteredUsers": {"a": "b"}, "Mask2Seg": section}).encode()


def seeds(target: str) -> list[bytes]:
    """Where a target starts."""
    made = {"multipart": _multiparts, "dicomweb": _answers, "orthanc": _orthanc, "configuration": _configurations}
    return list(made.get(target, _files)())
