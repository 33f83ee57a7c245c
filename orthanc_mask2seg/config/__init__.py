"""Settings: one table, one frozen value.

The "Mask2Seg" section of Orthanc's own configuration file (comments allowed) is overridden by the environment: the
setting `SettleSeconds` is `MASK2SEG_SETTLE_SECONDS` there. An unknown key is an error. Secrets may come from a file
(`OrthancPasswordFile`).
"""

from orthanc_mask2seg.config.reading import load, of_document
from orthanc_mask2seg.config.table import (
    BUILT_IN_TABLE,
    EMBEDDED_STATE,
    ENVIRONMENT_PREFIX,
    SECRET,
    SECTION,
    SETTINGS,
    Setting,
    Settings,
)

__all__ = [
    "BUILT_IN_TABLE",
    "EMBEDDED_STATE",
    "ENVIRONMENT_PREFIX",
    "SECRET",
    "SECTION",
    "SETTINGS",
    "Setting",
    "Settings",
    "load",
    "of_document",
]
