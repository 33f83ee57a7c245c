"""What the site has decided about its series: rules that force or forbid, by what headers and the archive say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from pydicom import Dataset
from pydicom.tag import Tag

from orthanc_mask2seg.model import Series


class Verdict(StrEnum):
    """What a rule says of the series that it fits."""

    MASK = "mask"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Fits a series if every pattern that is not empty is found in its value, in any case.

    Attributes
    ----------
    then
        `mask`: the series is a mask, whatever it looks like. `ignore`: it is passed over.
    tag, value
        An attribute of an instance, "gggg,eeee", private ones included, and a pattern for its value.
    """

    then: Verdict
    description: str = ""
    modality: str = ""
    station: str = ""
    manufacturer: str = ""
    calling_aet: str = ""
    tag: str = ""
    value: str = ""

    @property
    def needs_header(self) -> bool:
        """Whether an instance has to be read."""
        return bool(self.tag)


_NAMES = {
    "Then": "then",
    "Description": "description",
    "Modality": "modality",
    "Station": "station",
    "Manufacturer": "manufacturer",
    "CallingAet": "calling_aet",
    "Tag": "tag",
    "Value": "value",
}


def parse_rule(document: object) -> Rule:
    """Read a rule from the configuration.

    Parameters
    ----------
    document
        A JSON object such as ``{"Description": "^AI mask", "Then": "mask"}``.

    Raises
    ------
    ValueError
        It is not a rule; the message says why.
    """
    if not isinstance(document, Mapping):
        raise ValueError("a rule is an object")  # noqa: TRY004 - the caller shows one kind of error
    unknown = [str(name) for name in document if name not in _NAMES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not part of a rule; there are {', '.join(_NAMES)}")
    values = {_NAMES[name]: str(value) for name, value in document.items()}
    then = values.pop("then", "")
    if then not in set(Verdict):
        raise ValueError(f'"Then" must be one of {", ".join(Verdict)}')
    if not any(values.values()):
        raise ValueError("a rule without a pattern would fit every series")
    rule = Rule(then=Verdict(then), **values)
    _check(rule)
    return rule


def _check(rule: Rule) -> None:
    for field in fields(rule):
        if field.name not in {"then", "tag"}:
            try:
                re.compile(getattr(rule, field.name))
            except re.error as error:
                raise ValueError(f"{getattr(rule, field.name)!r} is not a regular expression: {error}") from error
    if rule.tag and not re.fullmatch(r"[0-9A-Fa-f]{4},[0-9A-Fa-f]{4}", rule.tag):
        raise ValueError(f'"Tag" must be "gggg,eeee", not {rule.tag!r}')
    if bool(rule.tag) != bool(rule.value):
        raise ValueError('"Tag" and "Value" go together')


def judge(rules: Sequence[Rule], series: Series, calling_aet: str = "", header: Dataset | None = None) -> Rule | None:
    """First rule that fits, or None.

    Parameters
    ----------
    calling_aet
        Who sent the series, where a rule asks for it.
    header
        Of one instance, private elements included, where a rule asks for a tag.
    """
    return next((rule for rule in rules if _fits(rule, series, calling_aet, header)), None)


def _fits(rule: Rule, series: Series, calling_aet: str, header: Dataset | None) -> bool:
    pairs = [
        (rule.description, series.series_description),
        (rule.modality, series.modality),
        (rule.station, series.station_name),
        (rule.manufacturer, series.manufacturer),
        (rule.calling_aet, calling_aet),
        (rule.value, _value(header, rule.tag) if rule.tag else ""),
    ]
    return all(not pattern or re.search(pattern, text, re.IGNORECASE) for pattern, text in pairs)


def _value(header: Dataset | None, tag: str) -> str:
    if header is None:
        return ""
    element = header.get(Tag(tag.replace(",", "")))
    value = "" if element is None else element.value
    return value.decode("latin-1").rstrip("\0 ") if isinstance(value, bytes) else str(value)
