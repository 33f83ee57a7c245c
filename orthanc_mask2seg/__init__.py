"""Turn mask series in an Orthanc PACS into standard DICOM Segmentations."""

__version__ = "0.1.0"
