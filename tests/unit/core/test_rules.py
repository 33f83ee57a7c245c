"""What the site has decided about its series."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.rules import Rule, Verdict, judge, parse_rule
from orthanc_mask2seg.model import ArchiveKey, Series, Uid
from orthanc_mask2seg.service import pipeline
from orthanc_mask2seg.service.sieve import passes_over
from tests.builders import study

SERIES = Series(
    key=ArchiveKey("a"),
    series_instance_uid=Uid("1.2"),
    study_instance_uid=Uid("1"),
    modality="CT",
    series_description="AI Mask liver",
    station_name="CT01",
)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"Description": "^ai mask"}, True),
        ({"Description": "^liver"}, False),
        ({"Description": "liver", "Modality": "MR"}, False),
        ({"Description": "liver", "Modality": "CT", "Station": "ct0"}, True),
        ({"CallingAet": "TEACHING"}, True),
        ({"CallingAet": "^OTHER$"}, False),
        ({"Tag": "0011,1010", "Value": "SEGM"}, True),
        ({"Tag": "0011,1011", "Value": "SEGM"}, False),
    ],
)
def test_all_parts_have_to_fit(rule: dict[str, str], fits: bool) -> None:
    """Patterns are found anywhere, in any case."""
    header = Dataset()
    header.add_new(0x00111010, "LO", "A SEGMENTATION")
    found = judge([parse_rule({**rule, "Then": "mask"})], SERIES, "TEACHING", header)
    assert (found is not None) == fits


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "object"),
        ({"Then": "mask"}, "every series"),
        ({"Description": "x"}, "Then"),
        ({"Description": "x", "Then": "delete"}, "Then"),
        ({"Descripton": "x", "Then": "mask"}, "Descripton"),
        ({"Description": "(", "Then": "mask"}, "regular expression"),
        ({"Tag": "0011", "Value": "x", "Then": "mask"}, "gggg,eeee"),
        ({"Tag": "0011,1010", "Then": "mask"}, "go together"),
    ],
)
def test_what_is_no_rule_is_said(document: object, message: str) -> None:
    """A site's mistake is named."""
    with pytest.raises(ValueError, match=message):
        parse_rule(document)


def test_rules_decide_in_the_service() -> None:
    """`ignore` passes a mask over; `mask` takes what does not look like one, and its values still decide."""
    made = study(own_uids=True)
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    image = archive.find_series(str(made.image[0].SeriesInstanceUID))
    ignore = Settings(rules=(Rule(then=Verdict.IGNORE, description="tumour"),))
    force = Settings(rules=(Rule(then=Verdict.MASK, description="thorax"),))
    assert passes_over(archive, mask, ignore) == "rule"
    assert passes_over(archive, image, force) is None
    ended = pipeline.convert_series(archive, (image,), force)
    assert not isinstance(ended, pipeline.NotYet)
    assert ended.reason == "not_discrete"
