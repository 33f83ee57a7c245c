"""What a SEG has in common with its source: the attributes of patient and study, value for value.

A PACS files instances by them, and a checker of entities (dcentvfy) wants them the same in every instance of a study.
"""

from __future__ import annotations

from pydicom import DataElement, Dataset

_PATIENT = (
    "BreedRegistrationSequence", "DeidentificationMethod", "DeidentificationMethodCodeSequence", "EthnicGroup",
    "EthnicGroupCodeSequence", "GeneticModificationsSequence", "GroupOfPatientsIdentificationSequence",
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDs", "OtherPatientIDsSequence",
    "OtherPatientNames", "PatientAlternativeCalendar", "PatientBirthDate", "PatientBirthDateInAlternativeCalendar",
    "PatientBirthTime", "PatientBreedCodeSequence", "PatientBreedDescription", "PatientComments",
    "PatientDeathDateInAlternativeCalendar", "PatientID", "PatientIdentityRemoved", "PatientName", "PatientSex",
    "PatientSpeciesCodeSequence", "PatientSpeciesDescription", "QualityControlSubject",
    "ReferencedPatientPhotoSequence", "ReferencedPatientSequence", "ResponsibleOrganization", "ResponsiblePerson",
    "ResponsiblePersonRole", "SourcePatientGroupIdentificationSequence", "StrainAdditionalInformation",
    "StrainCodeSequence", "StrainDescription", "StrainNomenclature", "StrainStockSequence", "TypeOfPatientID",
)  # fmt: skip
"""Patient module (PS3.3 C.7.1 and C.7.2)."""

_CLINICAL_TRIAL_SUBJECT = (
    "ClinicalTrialProtocolEthicsCommitteeApprovalNumber", "ClinicalTrialProtocolEthicsCommitteeName",
    "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName",
    "ClinicalTrialSponsorName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
    "IssuerOfClinicalTrialProtocolID", "IssuerOfClinicalTrialSiteID", "IssuerOfClinicalTrialSubjectID",
    "IssuerOfClinicalTrialSubjectReadingID", "OtherClinicalTrialProtocolIDsSequence",
)  # fmt: skip
"""Clinical Trial Subject module (PS3.3 C.7.1 and C.7.2)."""

_GENERAL_STUDY = (
    "AccessionNumber", "ConsultingPhysicianIdentificationSequence", "ConsultingPhysicianName",
    "IssuerOfAccessionNumberSequence", "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence", "PhysiciansReadingStudyIdentificationSequence",
    "ProcedureCodeSequence", "ReasonForPerformedProcedureCodeSequence", "ReferencedStudySequence",
    "ReferringPhysicianIdentificationSequence", "ReferringPhysicianName", "RequestingService",
    "RequestingServiceCodeSequence", "StudyDate", "StudyDescription", "StudyID", "StudyInstanceUID", "StudyTime",
)  # fmt: skip
"""General Study module (PS3.3 C.7.1 and C.7.2)."""

_PATIENT_STUDY = (
    "AdditionalPatientHistory", "AdmissionID", "AdmittingDiagnosesCodeSequence", "AdmittingDiagnosesDescription",
    "Allergies", "IssuerOfAdmissionID", "IssuerOfAdmissionIDSequence", "IssuerOfServiceEpisodeID",
    "IssuerOfServiceEpisodeIDSequence", "LastMenstrualDate", "MeasuredAPDimension", "MeasuredLateralDimension",
    "MedicalAlerts", "Occupation", "PatientAge", "PatientBodyMassIndex", "PatientSexNeutered", "PatientSize",
    "PatientSizeCodeSequence", "PatientState", "PatientWeight", "PregnancyStatus", "ReasonForVisit",
    "ReasonForVisitCodeSequence", "ServiceEpisodeDescription", "ServiceEpisodeID", "SmokingStatus",
)  # fmt: skip
"""Patient Study module (PS3.3 C.7.1 and C.7.2)."""

_CLINICAL_TRIAL_STUDY = (
    "ClinicalTrialTimePointDescription", "ClinicalTrialTimePointID", "ClinicalTrialTimePointTypeCodeSequence",
    "ConsentForClinicalTrialUseSequence", "IssuerOfClinicalTrialTimePointID", "LongitudinalTemporalEventType",
    "LongitudinalTemporalOffsetFromEvent",
)  # fmt: skip
"""Clinical Trial Study module (PS3.3 C.7.1 and C.7.2)."""

_SOP_COMMON = ("SpecificCharacterSet", "TimezoneOffsetFromUTC", "PositionReferenceIndicator")
"""What the text and the times above depend on, and the second attribute of the Frame of Reference module."""

INHERITED = (
    *_SOP_COMMON,
    *_PATIENT,
    *_CLINICAL_TRIAL_SUBJECT,
    *_GENERAL_STUDY,
    *_PATIENT_STUDY,
    *_CLINICAL_TRIAL_STUDY,
)
"""Keywords of everything that is copied."""

_TYPE_2 = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID",
    "PatientBirthDate", "PatientSex", "StudyID", "PositionReferenceIndicator",
)  # fmt: skip
"""Attributes that a SEG must have, if only empty."""


def inherit(target: Dataset, source: Dataset) -> None:
    """Copy patient and study, value for value; what the source does not have, the target does not keep.

    Parameters
    ----------
    target
        Changed in place.
    source
        Full header of one instance.
    """
    for keyword in INHERITED:
        if keyword in source:
            element = source[keyword]
            target.add(DataElement(element.tag, element.VR, element.value))
        elif keyword in target:
            delattr(target, keyword)
    for keyword in _TYPE_2:
        if keyword not in target:
            setattr(target, keyword, None)
    if not target.get("SpecificCharacterSet"):
        target.pop("SpecificCharacterSet", None)


def fingerprint(source: Dataset) -> list[str]:
    """Everything that `inherit` copies, as text, for a digest."""
    return [f"{keyword}={source[keyword].value}" for keyword in INHERITED if keyword in source]
