"""`python -m orthanc_mask2seg` and the command `mask2seg`."""

from orthanc_mask2seg.cli import main

if __name__ == "__main__":
    main()
