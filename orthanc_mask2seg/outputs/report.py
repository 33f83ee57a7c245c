"""The measurements as a structured report: TID 1500 (PS3.16), Comprehensive 3D SR, one group per segment.

highdicom decides what the report contains. There is no image library, and no method at each measurement: the algorithm
and its settings stand once in each group.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom import sr
from highdicom.sr.coding import CodedConcept as HighdicomConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage

from orthanc_mask2seg.core.source_images import derived_uid
from orthanc_mask2seg.model import CodedConcept, SegmentSpec
from orthanc_mask2seg.outputs.companion import MANUFACTURER, Companion, settle, to_file
from orthanc_mask2seg.outputs.measured import Engine, Measured
from orthanc_mask2seg.outputs.measurements import SIMPLE, Feature
from orthanc_mask2seg.outputs.presets import Aggregation
from orthanc_mask2seg.outputs.regions import Region, Regions

SERIES_NUMBER_OFFSET = 1000
SIDES = {("SCT", value) for value in ("7771000", "24028007", "51440002", "66459002")} | {
    ("SRT", value) for value in ("G-A101", "G-A100", "G-A102", "G-A103")
}
"""Left, right, right and left, unilateral (CID 244)."""
LONGEST_MEANING = 64
"""CodeMeaning is a long string (LO, PS3.5 section 6.2)."""


def write_report(
    measured: Measured,
    template: Dataset,
) -> bytes:
    """Write the report: of texture the averages in 3D alone (else in 2D), so that it stays small.

    Parameters
    ----------
    template
        Full header of one instance of the source, for patient and study.
    measured
        Features without a value are left out.

    Returns
    -------
    bytes
        The DICOM file; the same for the same arguments.
    """
    regions, engine = measured.regions, measured.engine
    companion = Companion(
        kind="SR",
        seg=regions.seg,
        template=template,
        settings={"engine": engine.name, "version": engine.version, **engine.settings},
        series_number_offset=SERIES_NUMBER_OFFSET,
    )
    content = sr.MeasurementReport(
        observation_context=_observer(),
        procedure_reported=HighdicomConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[
            _group(region, regions, companion, measured.features[region.number], engine) for region in regions.regions
        ],
        title=codes.DCM.ImagingMeasurementReport,
    )
    report = sr.Comprehensive3DSR(
        evidence=[_evidence(regions.seg, template)],
        content=content[0],
        series_instance_uid=companion.uid("series"),
        series_number=companion.series_number,
        sop_instance_uid=companion.uid("instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        series_description="Measurements",
        is_complete=True,
        is_verified=False,
    )
    settle(report, companion)
    assert report.SOPClassUID == Comprehensive3DSRStorage
    return to_file(report)


IN_3D = ("3D", str(Aggregation.AVERAGED_3D))
IN_2D = ("2D", str(Aggregation.AVERAGED_2D))


def _aggregations(features: Sequence[Feature]) -> tuple[str, ...]:
    """Of texture, those that are reported: in 3D, or in 2D where the settings ask for nothing else."""
    asked = {f.aggregation for f in features}
    return next((both for both in (IN_3D, IN_2D) if asked & set(both)), ())


def _reported(features: Sequence[Feature]) -> list[Feature]:
    """What has a value and is of the whole region, nothing twice."""
    simple = {f.concept for f in features if f.family == SIMPLE}
    aggregations = {"", *_aggregations(features)}
    return [
        f
        for f in features
        if f.value is not None and (f.family == SIMPLE or f.concept not in simple) and f.aggregation in aggregations
    ]


def _evidence(seg: Dataset, template: Dataset) -> Dataset:
    """The segmentation as highdicom wants it: with all attributes of patient and study, if only empty."""
    evidence = Dataset()
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
                    "StudyDate", "StudyTime"):  # fmt: skip
        setattr(evidence, keyword, "")  # `settle` copies them to the letter: highdicom warns of them, and says them
    evidence.StudyInstanceUID = str(template.StudyInstanceUID)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"):
        setattr(evidence, keyword, str(seg[keyword].value))
    evidence.Modality = "SEG"
    return evidence


def _observer() -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid("device", MANUFACTURER), name="mask2seg", manufacturer_name=MANUFACTURER, model_name="mask2seg"
    )
    context = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    return sr.ObservationContext(observer_device_context=context)


def _group(
    region: Region, regions: Regions, companion: Companion, features: Sequence[Feature], engine: Engine
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    spec = region.spec
    source = regions.source
    segment = sr.ReferencedSegment(
        sop_class_uid=str(regions.seg.SOPClassUID),
        sop_instance_uid=str(regions.seg.SOPInstanceUID),
        segment_number=region.number,
        source_series=sr.SourceSeriesForSegmentation(source.series.series_instance_uid),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=spec.tracking_uid or companion.uid("tracking", region.number),
            identifier=spec.tracking_id or spec.label,
        ),
        referenced_segment=segment,
        finding_category=_concept(spec.category),
        finding_type=_concept(spec.property_type),
        finding_sites=_sites(spec),
        measurements=[_measurement(f) for f in _reported(features)],
        algorithm_id=_algorithm(engine, _aggregations(features)),
    )


def _algorithm(engine: Engine, aggregations: Sequence[str]) -> sr.AlgorithmIdentification:
    parameters = [f"texture reported: {', '.join(aggregations)}"] if aggregations else []
    parameters += [f"{name}: {value}" for name, value in sorted(engine.settings.items())]
    return sr.AlgorithmIdentification(name=engine.name, version=engine.version, parameters=parameters or None)


def _concept(concept: CodedConcept) -> HighdicomConcept:
    return HighdicomConcept(concept.value, concept.scheme_designator, concept.meaning[:LONGEST_MEANING])


def _sites(spec: SegmentSpec) -> list[sr.FindingSite] | None:
    """Where the finding is: the anatomic regions, with the side where the segment says one.

    An organ that has a side is its own site: nothing else in the report would tell the left kidney from the right one.
    """
    side = _side(spec.property_type_modifiers)
    places = spec.anatomic_regions or ((spec.property_type,) if side else ())
    return [
        sr.FindingSite(anatomic_location=_concept(place), laterality=_concept(side) if side else None)
        for place in places
    ] or None


def _side(modifiers: Sequence[CodedConcept]) -> CodedConcept | None:
    return next((one for one in modifiers if (one.scheme_designator, one.value) in SIDES), None)


def _measurement(feature: Feature) -> sr.Measurement:
    assert feature.value is not None
    return sr.Measurement(
        name=_concept(feature.concept),
        value=feature.value,
        unit=_concept(feature.unit),
        derivation=_concept(feature.derivation) if feature.derivation else None,
    )
