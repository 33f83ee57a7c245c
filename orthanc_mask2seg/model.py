"""The nouns that walk through the house: frozen values, named in the words of the DICOM standard.

Lengths are in mm and positions in the patient-based coordinate system of PS3.3 C.7.6.2.1.1 (LPS: x to the left,
y to the posterior, z to the head). A volume is indexed (plane, row, column).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NewType

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

Uid = NewType("Uid", str)
"""A DICOM unique identifier (PS3.5 section 9)."""

ArchiveKey = NewType("ArchiveKey", str)
"""How one archive addresses a series or an instance: an Orthanc id, a path. Opaque outside `pacs`."""

Vector = tuple[float, float, float]
LabelArray = npt.NDArray[np.unsignedinteger[Any]]


class Reason(StrEnum):
    """Why a series was not converted. Stable: scripts and sites rely on these words."""

    NOT_A_MASK = "not_a_mask"
    NOT_DISCRETE = "not_discrete"
    EMPTY_MASK = "empty_mask"
    NO_SOURCE_IN_STUDY = "no_source_in_study"
    AMBIGUOUS_SOURCE = "ambiguous_source"
    GEOMETRY_MISMATCH = "geometry_mismatch"
    DUPLICATE_POSITIONS = "duplicate_positions"
    NO_GEOMETRY = "no_geometry"
    PATIENT_MISMATCH = "patient_mismatch"
    INCOMPLETE_SERIES = "incomplete_series"
    UNSUPPORTED_PIXEL_DATA = "unsupported_pixel_data"
    CORRUPT_PIXEL_DATA = "corrupt_pixel_data"
    INVALID_DICOM = "invalid_dicom"
    TOO_LARGE = "too_large"
    IRREGULAR_SLICES = "irregular_slices"
    UNKNOWN_UNITS = "unknown_units"
    REGION_TOO_SMALL = "region_too_small"
    TOO_MANY_LEVELS = "too_many_levels"
    ONE_GREY_LEVEL = "one_grey_level"
    NOTHING_IN_RANGE = "nothing_in_range"
    NOT_INSTALLED = "not_installed"
    NOT_IN_ENGINE = "not_in_engine"


class Outcome(StrEnum):
    """How the work on one mask series ended."""

    CONVERTED = "converted"
    REFUSED = "refused"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An expected "no": a value, not an exception.

    Attributes
    ----------
    reason
        Stable code.
    detail
        One sentence that a radiographer understands.
    hint
        What to do about it.
    evidence
        Observations with their numbers, in the order in which they were made.
    candidates
        What was weighed, when it got that far.
    """

    reason: Reason
    detail: str
    hint: str = ""
    evidence: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of an archive's journal: a doorbell, not the truth."""

    sequence: int
    kind: str
    key: ArchiveKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What an archive's index says of a series, without opening any instance.

    Attributes
    ----------
    key
        The archive's address of the series.
    instance_keys
        The archive's addresses of the instances, in no particular order.
    last_update
        The archive's own mark of the last arrival in this series; only compared for equality.
    instance_count
        How many instances the archive counts, where that is its only mark of an arrival. `instance_keys` may then be
        empty in a scan of all series.
    folder_names
        Of the folders that hold it, the nearest first, where a person named these; an archive has none.
    """

    key: ArchiveKey
    series_instance_uid: Uid
    study_instance_uid: Uid
    study_key: ArchiveKey = ArchiveKey("")
    modality: str = ""
    series_description: str = ""
    series_number: str = ""
    manufacturer: str = ""
    station_name: str = ""
    instance_keys: tuple[ArchiveKey, ...] = ()
    last_update: str = ""
    instance_count: int | None = None
    folder_names: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Digest of what would change if an instance came, went or was replaced (32 hexadecimal digits)."""
        known = sorted(self.instance_keys) if self.instance_count is None else [str(self.instance_count)]
        text = "\n".join([self.key, self.last_update, *known])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneGeometry:
    """Where one image plane lies in the patient (PS3.3 C.7.6.2).

    Attributes
    ----------
    position
        Centre of the first voxel, LPS mm (ImagePositionPatient).
    row_cosines
        Unit vector along increasing column index (first half of ImageOrientationPatient).
    column_cosines
        Unit vector along increasing row index (second half of ImageOrientationPatient).
    pixel_spacing
        (between rows, between columns) in mm, in the order of PixelSpacing.
    """

    position: Vector
    row_cosines: Vector
    column_cosines: Vector
    pixel_spacing: tuple[float, float]
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One plane of a series: an instance, or one frame of a multi-frame instance.

    Attributes
    ----------
    index
        Position of the instance in the sequence of headers that the planes were read from.
    frame_number
        1-based number inside a multi-frame instance, None in a single-frame one.
    """

    geometry: PlaneGeometry
    sop_class_uid: Uid
    sop_instance_uid: Uid
    index: int
    instance_number: int | None = None
    frame_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeGeometry:
    """Planes stacked along their common normal, lowest first.

    Attributes
    ----------
    normal
        Cross product of row and column cosines: the direction in which the planes are ordered.
    distances
        Position of each plane along `normal`, mm, strictly increasing.
    spacing
        Distance between neighbouring planes, mm, where it is the same for all; None where it is not (gaps, gantry
        tilt) or where there is one plane.
    """

    planes: tuple[Plane, ...]
    normal: Vector
    distances: tuple[float, ...]
    spacing: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSeries:
    """A series whose headers were read and whose planes are known.

    Attributes
    ----------
    headers
        One data set per instance, without pixel data; `Plane.index` points into it.
    phase
        What tells this stack from other stacks of the same series; '' where it is the only one.
    trusted
        The positions are not its own: they were taken from a source by InstanceNumber.
    """

    series: Series
    headers: tuple[Dataset, ...]
    volume: VolumeGeometry
    phase: str = ""
    trusted: bool = False

    def header(self, plane: Plane) -> Dataset:
        """Header of the instance that holds a plane."""
        return self.headers[plane.index]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One observation for (positive weight) or against (negative weight) a decision."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A series that was weighed as the source of a mask: score from 0 (certainly not) to 1 (certainly)."""

    series_instance_uid: Uid
    score: float
    evidence: tuple[Evidence, ...]
    series_description: str = ""
    series_number: str = ""
    modality: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedConcept:
    """A code of a coding scheme (PS3.3 section 8)."""

    value: str
    scheme_designator: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSpec:
    """What one label value means (PS3.3 C.8.20.4).

    Attributes
    ----------
    anatomic_regions
        Where it lies, if the type does not say so: the liver of a cyst in it.
    recommended_display_cielab
        (L*, a*, b*): L* from 0 to 100, a* and b* from -128 to 127.
    needs_coding
        The name was not found in any table, so category and type are generic.
    """

    label: str
    category: CodedConcept
    property_type: CodedConcept
    property_type_modifiers: tuple[CodedConcept, ...] = ()
    anatomic_regions: tuple[CodedConcept, ...] = ()
    recommended_display_cielab: tuple[float, float, float] = (50.0, 0.0, 0.0)
    algorithm_type: str = "SEMIAUTOMATIC"
    algorithm_name: str = "unspecified"
    tracking_id: str = ""
    tracking_uid: Uid = Uid("")
    needs_coding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelVolume:
    """Labels on the grid of a source.

    Attributes
    ----------
    planes
        Plane of the source (its place in `VolumeGeometry.planes`) to labels, shape (rows, columns); planes without
        any label are left out. 0 is background.
    specs
        Label value to what it means, in the order of the segments.
    """

    planes: Mapping[int, LabelArray]
    specs: Mapping[int, SegmentSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """An encoded DICOM Segmentation (PS3.3 A.51).

    Attributes
    ----------
    content
        The DICOM file (PS3.10).
    """

    content: bytes
    sop_instance_uid: Uid
    series_instance_uid: Uid
    segments: tuple[SegmentReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentReport:
    """A segment as the result document shows it.

    Attributes
    ----------
    needs_coding
        No code is known for its name, so that its category and type are general ones.
    """

    number: int
    label: str
    voxels: int
    volume_mm3: float | None
    type_code: str
    needs_coding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputReport:
    """Something that was written: into a folder (`path`), Orthanc (`orthanc_id`) or DICOMweb (`resource`).

    Attributes
    ----------
    sha256
        Digest of the file.
    attachment
        Path below Orthanc's address of a file that is kept beside a series, and goes with it.
    """

    kind: str
    sop_instance_uid: Uid
    series_uid: Uid
    path: str | None = None
    orthanc_id: str | None = None
    sha256: str | None = None
    resource: str | None = None
    attachment: str | None = None

    @property
    def key(self) -> ArchiveKey | None:
        """Where an archive holds it; None in a folder."""
        address = self.orthanc_id or self.resource
        return ArchiveKey(address) if address else None

    def document(self) -> dict[str, Any]:
        """JSON form, without the address that does not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierOutput:
    """What became of something that was stored for the same mask before.

    Attributes
    ----------
    state
        "deleted", "superseded" (it is there, and marked), "edited" (somebody else has changed it, so it was left alone)
        or "standing" (it is there, and nothing has replaced it).
    """

    kind: str
    sop_instance_uid: Uid
    series_uid: Uid
    source_series_uid: Uid
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """An archive's proven answer to a store: it holds these bytes (`created` is False if it did before).

    Attributes
    ----------
    path, resource
        The key, where it is a path of a file or one below the root of a DICOMweb service.
    """

    key: ArchiveKey
    sop_instance_uid: Uid
    series_instance_uid: Uid
    created: bool
    path: str | None = None
    resource: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How the work on one mask series (or on several that were merged) ended, for people and for machines."""

    outcome: Outcome
    reason: str | None = None
    detail: str = ""
    hint: str = ""
    source_series_uid: Uid | None = None
    mask_series_uids: tuple[Uid, ...] = ()
    mask_sha256: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    evidence: tuple[str, ...] = ()
    segments: tuple[SegmentReport, ...] = ()
    outputs: tuple[OutputReport, ...] = ()
    earlier: tuple[EarlierOutput, ...] = ()
    complete: bool = True
    seconds: Mapping[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """JSON document of the public interface (docs/result.md)."""
        return {
            "outcome": str(self.outcome),
            "reason": str(self.reason) if self.reason is not None else None,
            "detail": self.detail,
            "hint": self.hint,
            "source_series_uid": self.source_series_uid,
            "mask_series_uids": list(self.mask_series_uids),
            "mask_sha256": list(self.mask_sha256),
            "candidates": [_candidate_document(c) for c in self.candidates],
            "evidence": list(self.evidence),
            "segments": [asdict(s) for s in self.segments],
            "outputs": [o.document() for o in self.outputs],
            "earlier": [asdict(e) for e in self.earlier],
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
        }


def _candidate_document(candidate: Candidate) -> dict[str, Any]:
    return {
        "series_uid": candidate.series_instance_uid,
        "series_description": candidate.series_description,
        "series_number": candidate.series_number,
        "modality": candidate.modality,
        "score": round(candidate.score, 4),
        "evidence": [f"{e.text} ({e.weight:+.2f})" for e in candidate.evidence],
    }


_WORST = (Outcome.FAILED, Outcome.REFUSED, Outcome.CONVERTED, Outcome.SKIPPED)


def worst(results: Sequence[Result]) -> Outcome:
    """The outcome of several results: the worst of them; skipped only where all are."""
    return min((result.outcome for result in results), key=_WORST.index)


def results_document(results: Sequence[Result]) -> dict[str, Any]:
    """One document for one result, `{"results": [...]}` for several."""
    documents = [result.document() for result in results]
    return documents[0] if len(documents) == 1 else {"results": documents}
