"""A state folder that release 0.1.0 wrote (state_0_1_0.sql): an upgrade forgets nothing and converts nothing again."""

import sqlite3
import time
from pathlib import Path

from builders import study, to_bytes
from unit_service import segs, serving, wait_for

from orthanc_mask2seg.jobs.database import database_file
from orthanc_mask2seg.jobs.port import JobState
from orthanc_mask2seg.jobs.reader import JobReader
from orthanc_mask2seg.pacs.memory import MemoryArchive

STATE = Path(__file__).parent / "state_0_1_0.sql"
CONVERTED, WITHOUT_CT, PARTIAL = "73a7fb6b3dbf83a740a76f8b", "8d9e6151539a96b05cc3ce38", "edf233a7409db39f833e7660"
