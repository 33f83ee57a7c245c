"""Archives behind one port: Orthanc, folders of DICOM files."""
