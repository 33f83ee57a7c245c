"""A demo study: a CT series as a scanner writes it, and a mask series as many tools write it.

The mask series is a copy of the CT, SOPInstanceUIDs included, in which only the description, the number and the UID of
the series and the pixels differ: the case that this project exists for.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import BytesIO

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from orthanc_mask2seg.demo.phantom import SPACING_MM, Phantom, make_phantom
from orthanc_mask2seg.model import Uid

MASK_DESCRIPTION = "tumour mask"
MASK_SERIES_NUMBER = 901
INTERCEPT = -1024
SLICE_THICKNESS_MM = 4.0
PRIVATE_CREATOR = "ORTHANC-MASK2SEG DEMO"
IMPLEMENTATION = generate_uid(entropy_srcs=["orthanc-mask2seg demo"])


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStudy:
    """A CT series and its mask.

    Attributes
    ----------
    ct, mask
        Instances in the order of the scanner, the plane nearest to the head first.
    labels
        True inside the tumour, indexed (plane, row, column), the plane nearest to the feet first.
    tumour_volume_mm3
        Voxels of the tumour times their volume.
    """

    ct: tuple[Dataset, ...]
    mask: tuple[Dataset, ...]
    labels: npt.NDArray[np.bool_]
    study_instance_uid: Uid
    ct_series_instance_uid: Uid
    mask_series_instance_uid: Uid
    tumour_volume_mm3: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """What all instances share."""

    seed: int
    slices: int
    size: int
    moment: datetime

    def uid(self, *what: object) -> Uid:
        """Identifier that is the same for the same seed and size."""
        words = ["orthanc-mask2seg demo", self.seed, self.slices, self.size, *what]
        return Uid(generate_uid(entropy_srcs=[str(word) for word in words]))

    def number(self, what: str, below: int) -> int:
        """Number that is the same for the same seed."""
        return int.from_bytes(hashlib.sha256(f"{what} {self.seed}".encode()).digest()[:6], "big") % below


def study_instance_uid(seed: int, slices: int = 48, size: int = 512) -> Uid:
    """Identifier of the study that `make_study` makes."""
    return _scan(seed, slices, size, datetime.min).uid("study")  # noqa: DTZ901 - not used


def make_study(seed: int = 0, slices: int = 48, size: int = 512, *, moment: datetime) -> DemoStudy:
    """Make a synthetic chest CT and the mask of its tumour.

    Parameters
    ----------
    seed
        The same seed gives the same patient, voxels and identifiers.
    slices
        Number of slices, 3 mm apart (1 to 60).
    size
        Rows and columns over 380 mm.
    moment
        When the study began, in the local time of the scanner; fractions of a second are dropped.
    """
    scan = _scan(seed, slices, size, moment)
    phantom = make_phantom(seed, slices, size)
    ct = tuple(_ct_image(scan, phantom, number) for number in range(1, slices + 1))
    mask = tuple(_mask_image(scan, phantom, image) for image in ct)
    rows, columns = (float(v) for v in ct[0].PixelSpacing)
    return DemoStudy(
        ct=ct,
        mask=mask,
        labels=phantom.tumour,
        study_instance_uid=scan.uid("study"),
        ct_series_instance_uid=scan.uid("series", "ct"),
        mask_series_instance_uid=scan.uid("series", "mask"),
        tumour_volume_mm3=float(np.count_nonzero(phantom.tumour)) * rows * columns * SPACING_MM,
    )


def to_bytes(ds: Dataset) -> bytes:
    """The data set as a DICOM file (PS3.10)."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _scan(seed: int, slices: int, size: int, moment: datetime) -> _Scan:
    return _Scan(seed=seed, slices=slices, size=size, moment=moment.replace(microsecond=0, tzinfo=None))


def _ct_image(scan: _Scan, phantom: Phantom, number: int) -> FileDataset:
    """Image `number`, from 1 at the head."""
    uid = UID(scan.uid("instance", number))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "M2S_DEMO"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, uid
    _add_patient_and_study(ds, scan)
    _add_series(ds, scan)
    _add_times(ds, scan, number)
    _add_acquisition(ds, number)
    _add_plane(ds, scan, phantom, number)
    _add_pixels(ds, phantom.hu[len(phantom.hu) - number])
    _add_private(ds, scan, number)
    return ds


def _add_patient_and_study(ds: Dataset, scan: _Scan) -> None:
    born = date(
        scan.moment.year - 52 - scan.number("age", 25), 1 + scan.number("month", 12), 1 + scan.number("day", 28)
    )
    had_birthday = (scan.moment.month, scan.moment.day) >= (born.month, born.day)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName = "Demo^Chest"
    ds.PatientID = f"DEMO-{scan.number('patient', 10**6):06d}"
    ds.PatientBirthDate = f"{born:%Y%m%d}"
    ds.PatientSex = "M"
    ds.PatientAge = f"{scan.moment.year - born.year - (not had_birthday):03d}Y"
    ds.PatientSize = f"{1.68 + scan.number('height', 20) / 100:.2f}"
    ds.PatientWeight = str(70 + scan.number("weight", 22))
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "Synthetic data: there is no such patient"
    ds.StudyInstanceUID = scan.uid("study")
    ds.StudyDate, ds.StudyTime = _date_and_time(scan.moment)
    ds.StudyID = str(1 + scan.number("study", 9000))
    ds.AccessionNumber = f"DEMO{scan.number('accession', 10**8):08d}"
    ds.ReferringPhysicianName = "Referrer^Demo"
    ds.StudyDescription = "CT Thorax with contrast"


def _add_series(ds: Dataset, scan: _Scan) -> None:
    ds.Modality = "CT"
    ds.SeriesInstanceUID = scan.uid("series", "ct")
    ds.SeriesNumber = 3
    ds.SeriesDescription = "Thorax 4.0 soft tissue"
    ds.ProtocolName = "Thorax staging venous"
    ds.BodyPartExamined = "CHEST"
    ds.AnatomicRegionSequence = [_code("51185008", "SCT", "Thorax")]
    ds.PatientPosition = "HFS"
    ds.FrameOfReferenceUID = scan.uid("frame of reference")
    ds.PositionReferenceIndicator = None
    ds.Manufacturer = "Synthetic Imaging"
    ds.ManufacturerModelName = "Phantom CT 64"
    ds.InstitutionName = "Demo Hospital"
    ds.StationName = "CTDEMO1"
    ds.DeviceSerialNumber = "000001"
    ds.SoftwareVersions = "phantom 1"


def _add_times(ds: Dataset, scan: _Scan, number: int) -> None:
    begin = scan.moment + timedelta(minutes=6)
    acquired = begin + timedelta(seconds=20, milliseconds=75 * number)
    made = begin + timedelta(seconds=45, milliseconds=140 * number)
    ds.SeriesDate, ds.SeriesTime = _date_and_time(begin)
    ds.AcquisitionDate, ds.AcquisitionTime = _date_and_time(acquired)
    ds.ContentDate, ds.ContentTime = _date_and_time(made)
    ds.InstanceCreationDate, ds.InstanceCreationTime = _date_and_time(made)


def _date_and_time(moment: datetime) -> tuple[str, str]:
    fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
    return f"{moment:%Y%m%d}", f"{moment:%H%M%S}{fraction}"


def _add_acquisition(ds: Dataset, number: int) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionNumber = 2
    ds.InstanceNumber = number
    ds.ScanOptions = "HELICAL MODE"
    ds.KVP = "120"
    ds.XRayTubeCurrent = 185 + round(60 * np.cos(number / 9))
    ds.ExposureTime = 500
    ds.Exposure = round(ds.XRayTubeCurrent * 0.5)
    ds.DataCollectionDiameter = "500"
    ds.ReconstructionDiameter = "380"
    ds.DistanceSourceToDetector = "1085.6"
    ds.DistanceSourceToPatient = "595"
    ds.GantryDetectorTilt = "0"
    ds.TableHeight = "152"
    ds.RotationDirection = "CW"
    ds.FilterType = "BODY FILTER"
    ds.GeneratorPower = "32"
    ds.FocalSpots = "1.2"
    ds.ConvolutionKernel = "SOFT"
    ds.RevolutionTime = 0.5
    ds.SingleCollimationWidth, ds.TotalCollimationWidth = 0.6, 38.4
    ds.TableSpeed, ds.TableFeedPerRotation, ds.SpiralPitchFactor = 76.8, 38.4, 1.0
    ds.CTDIvol = 6.8
    ds.CTDIPhantomTypeCodeSequence = [_code("113691", "DCM", "IEC Body Dosimetry Phantom")]
    ds.ExposureModulationType = "XYZ_EC"
    ds.ContrastBolusAgent = "Iodinated contrast medium 350 mg/ml"
    ds.ContrastBolusVolume = "85"
    ds.ContrastBolusRoute = "IV"


def _add_plane(ds: Dataset, scan: _Scan, phantom: Phantom, number: int) -> None:
    grid = phantom.grid
    pixel = _decimal(380 / scan.size)
    z = float(grid.z[len(grid.z) - number])
    ds.SliceThickness = f"{SLICE_THICKNESS_MM:g}"
    ds.ImagePositionPatient = [_decimal(float(grid.x[0])), _decimal(float(grid.y[0])), _decimal(z)]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.SliceLocation = _decimal(z)
    ds.PixelSpacing = [pixel, pixel]


def _decimal(value: float) -> str:
    """Decimal string of at most 16 characters."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _add_pixels(ds: Dataset, hu: npt.NDArray[np.int16]) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.WindowCenter, ds.WindowWidth = ["40", "-600"], ["400", "1500"]
    ds.WindowCenterWidthExplanation = ["SOFT TISSUE", "LUNG"]
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(INTERCEPT), "1", "HU"
    _set_pixels(ds, (hu.astype(np.int32) - INTERCEPT).astype("<u2"))


def _set_pixels(ds: Dataset, stored: npt.NDArray[np.uint16]) -> None:
    ds.add_new("PixelData", "OW", stored.tobytes())


def _add_private(ds: Dataset, scan: _Scan, number: int) -> None:
    """Private elements, as every vendor has them; among them the position of the table, mm."""
    block = ds.private_block(0x0029, PRIVATE_CREATOR, create=True)
    block.add_new(0x01, "LO", "SYNTHETIC")
    block.add_new(0x02, "UL", scan.seed % 2**32)
    block.add_new(0x10, "OB", hashlib.sha256(f"{scan.seed} {number}".encode()).digest())
    block.add_new(0x11, "DS", _decimal(900 - float(ds.SliceLocation)))


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _mask_image(scan: _Scan, phantom: Phantom, image: FileDataset) -> FileDataset:
    """Copy of a CT image, SOPInstanceUID included, with the mask as its pixels."""
    ds = copy.deepcopy(image)
    ds.SeriesInstanceUID = scan.uid("series", "mask")
    ds.SeriesNumber = MASK_SERIES_NUMBER
    ds.SeriesDescription = MASK_DESCRIPTION
    _set_pixels(ds, phantom.tumour[len(phantom.tumour) - int(ds.InstanceNumber)].astype("<u2"))
    return ds
