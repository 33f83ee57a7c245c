"""Codes of units, quantities and derivations that reports use (PS3.16 CID 7181, 7464, 7469)."""

from __future__ import annotations

from orthanc_mask2seg.model import CodedConcept


def coded(scheme_designator: str, value: str, meaning: str) -> CodedConcept:
    """A code of a coding scheme."""
    return CodedConcept(value=value, scheme_designator=scheme_designator, meaning=meaning)


HU = coded("UCUM", "[hnsf'U]", "Hounsfield unit")
SUV = coded("UCUM", "g/ml{SUVbw}", "Standardized Uptake Value body weight")
ARBITRARY = coded("UCUM", "[arb'U]", "arbitrary unit")
NO_UNITS = coded("UCUM", "1", "no units")
CUBIC_MM = coded("UCUM", "mm3", "cubic millimeter")
SQUARE_MM = coded("UCUM", "mm2", "square millimeter")
MM = coded("UCUM", "mm", "mm")
PER_MM = coded("UCUM", "/mm", "per millimeter")

ATTENUATION = coded("DCM", "112031", "Attenuation Coefficient")
SUV_BODY_WEIGHT = coded("DCM", "126401", "SUVbw")
MR_SIGNAL = coded("DCM", "110852", "MR signal intensity")
INTENSITY = coded("99MASK2SEG", "intensity", "Intensity")
"""DICOM has no word for that of any modality."""

VOLUME = coded("SCT", "118565006", "Volume")
DIAMETER_3D = coded("IBSI", "L0JK", "Maximum 3D Diameter of a Mesh")
LONG_AXIS = coded("SCT", "103339001", "Long axis")

MEAN = coded("SCT", "373098007", "Mean")
STANDARD_DEVIATION = coded("SCT", "386136009", "Standard Deviation")
MINIMUM = coded("SCT", "255605001", "Minimum")
MAXIMUM = coded("SCT", "56851009", "Maximum")
