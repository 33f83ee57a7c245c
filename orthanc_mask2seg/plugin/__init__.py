"""What runs inside Orthanc, in Orthanc's own interpreter: standard library alone (Python 3.11 or later)."""
