-- Orthanc's index and our jobs share a server and nothing else.
CREATE DATABASE mask2seg;
