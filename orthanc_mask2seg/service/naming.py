"""From the settings to how segments are named: the only place that opens a label table."""

from __future__ import annotations

from pathlib import Path

from orthanc_mask2seg.config import BUILT_IN_TABLE, Settings
from orthanc_mask2seg.core import totalsegmentator
from orthanc_mask2seg.core.dcmqi_labels import parse
from orthanc_mask2seg.core.labels import LabelTable
from orthanc_mask2seg.core.segments import Naming
from orthanc_mask2seg.errors import ConfigurationError


def naming_of(settings: Settings) -> Naming:
    """How the site names its segments; the table is read anew, so that a correction needs no restart.

    Raises
    ------
    ConfigurationError
        The label table cannot be read, or a row of it is wrong.
    """
    return Naming(
        table=_table(settings.label_table),
        algorithm_type=settings.algorithm_type,
        algorithm_name=settings.algorithm_name,
        patient_name_rule=settings.name_from_patient_name,
        content_creator_name=settings.content_creator_name,
    )


def _table(where: str) -> LabelTable | None:
    if not where:
        return None
    if where == BUILT_IN_TABLE:
        return totalsegmentator.table()
    path = Path(where)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"LabelTable {path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"LabelTable {path.name} is not UTF-8 text") from error
    return parse(text, path.name)
