"""A synthetic chest CT with a tumour and its mask series, to try everything without patient data."""
