"""Small DICOM series in the style of the real ones: a CT, and a mask that is its copy with other pixels."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS = 12, 10


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A study with a CT and its mask: one file per slice."""

    study_uid: str
    ct_uid: str
    mask_uid: str
    ct: tuple[bytes, ...]
    mask: tuple[bytes, ...]

    @property
    def files(self) -> tuple[bytes, ...]:
        return self.ct + self.mask


def sample(slices: int = 5, *, patient_id: str | None = None) -> Sample:
    """Build a study with new UIDs; the mask shares the SOPInstanceUIDs of the CT."""
    study, ct, mask = generate_uid(), generate_uid(), generate_uid()
    frame_of_reference = generate_uid()
    sop_uids = [generate_uid() for _ in range(slices)]
    patient = patient_id if patient_id is not None else f"P{study[-8:]}"

    def series(uid: str, description: str, number: int, peak: int) -> tuple[bytes, ...]:
        files = []
        for index, sop_uid in enumerate(sop_uids):
            header = _header(patient, study, frame_of_reference)
            header.SeriesInstanceUID, header.SOPInstanceUID = uid, sop_uid
            header.SeriesDescription, header.SeriesNumber = description, number
            header.InstanceNumber = slices - index
            header.ImagePositionPatient = ["-1.2345678901234", "+7.10", f"{index * 1.5 - 3:.3f}"]
            files.append(encoded(header, np.full((ROWS, COLUMNS), index * peak, np.uint16)))
        return tuple(files)

    return Sample(
        study_uid=study,
        ct_uid=ct,
        mask_uid=mask,
        ct=series(ct, "Thorax ünd Abdomen", 4, 100),
        mask=series(mask, "Tumour mask", 77, 1),
    )


def _header(patient: str, study: str, frame_of_reference: str) -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.SOPClassUID = CTImageStorage
    header.StudyDate, header.StudyTime, header.AccessionNumber = "20200102", "101112", ""
    header.Modality, header.Manufacturer, header.StationName = "CT", "Maker", "CT01"
    header.PatientName, header.PatientID = "Müller^Jörg", patient
    header.PatientBirthDate, header.PatientSex = "", "O"
    header.StudyInstanceUID, header.StudyID = study, "1"
    header.FrameOfReferenceUID = frame_of_reference
    header.ImageOrientationPatient = ["1.00000000000000", "0", "0", "0", "1", "-0.0"]
    header.PixelSpacing = ["0.97656200000000", "0.976562"]
    header.SliceThickness = "3"
    header.RescaleIntercept, header.RescaleSlope = "-1024", "1"
    header.PixelPaddingValue = 63
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "Übersicht"
    header.ProcedureCodeSequence = Sequence([code])
    header.add_new(0x00189345, "FD", 0.1)
    header.add_new(0x00290010, "LO", "MAKER")
    header.add_new(0x00291001, "LO", "private")
    return header


def encoded(header: Dataset, pixels: np.ndarray) -> bytes:
    """Write a header and one plane of 16 bit pixels as a DICOM file."""
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    header.PixelData = pixels.tobytes()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    header.file_meta = meta
    return written(header)


def written(dataset: Dataset) -> bytes:
    """Write a data set with its file meta information as a DICOM file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def changed(content: bytes, **values: object) -> bytes:
    """Write a DICOM file again with other values of the named elements; None removes one."""
    dataset = dcmread(io.BytesIO(content))
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return written(dataset)
