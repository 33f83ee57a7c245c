"""A site's own table: what the label values of its masks mean, and the codes of its own names.

A table is JSON or CSV text; this module never opens a file. A row with a value names that label of a mask; a row
without one teaches the vocabulary a name. dcmqi's meta-information is read as it is (see `dcmqi_labels`).
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orthanc_mask2seg.core.colours import Cielab, cielab
from orthanc_mask2seg.core.terms import CATEGORIES, LATERALITY, TERMS, Coding, Term, Vocabulary, vocabulary
from orthanc_mask2seg.core.words import SIDES, fold
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import CodedConcept

LARGEST_VALUE = 65535
ALGORITHM_TYPES = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
COLUMNS = {
    "value": "value", "id": "value", "labelid": "value", "index": "value",
    "name": "name", "label": "name", "segmentlabel": "name", "structure": "name",
    "code": "code", "codevalue": "code",
    "scheme": "scheme", "codingscheme": "scheme", "codingschemedesignator": "scheme",
    "meaning": "meaning", "codemeaning": "meaning",
    "category": "category",
    "laterality": "laterality", "side": "laterality",
    "colour": "colour", "color": "colour", "rgb": "colour",
}  # fmt: skip
"""What a column or key may be called, and what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """What one label value means; without `coding` the name is not in any table.

    Attributes
    ----------
    colour
        That the table gives, where there is no coding to hold it.
    """

    name: str
    coding: Coding | None = None
    colour: Cielab | None = None
    algorithm_type: str = ""
    algorithm_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """What label values mean.

    Attributes
    ----------
    rows
        By label value.
    terms
        Names that go before those of the built-in table.
    """

    name: str
    rows: Mapping[int, LabelRow] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A row as it was read; `where` is how errors name it."""

    where: str
    cells: Mapping[str, Any]

    def text(self, column: str) -> str:
        """Cell as text; '' where it is not there."""
        value = self.cells.get(column)
        return "" if value is None else str(value).strip()

    def wrong(self, what: str) -> ConfigurationError:
        """The fault to raise."""
        return ConfigurationError(f"{self.where}: {what}")


def parse_rows(text: str, source: str) -> LabelTable:
    """Read a table of rows, JSON or CSV.

    Parameters
    ----------
    text
        JSON: an object from value or name to name or row, or a list of rows. CSV: with a line of column names, or
        two columns, value and name; separated by comma, semicolon or tab.
    source
        Name of the file, for errors.

    Raises
    ------
    ConfigurationError
        Names the row and what is wrong with it.
    """
    text = text.removeprefix("\ufeff")
    records = _from_json(json_of(text, source), source) if is_json(text) else _from_csv(text, source)
    terms = tuple(_term(r) for r in records if not r.text("value"))
    known = vocabulary(terms)
    rows: dict[int, LabelRow] = {}
    for record in records:
        if record.text("value"):
            row = LabelRow(name=_name(record), coding=_coding(record, known), colour=_colour(record))
            add_row(rows, record, label_value(record), row)
    if not records:
        raise ConfigurationError(f"{source}: the table has no rows")
    return LabelTable(name=source, rows=rows, terms=terms)


def is_json(text: str) -> bool:
    """Whether a text is meant to be JSON."""
    return text.lstrip()[:1] in {"{", "["}


def json_of(text: str, source: str) -> Any:
    """JSON document of a text."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{source} is not valid JSON: {error}") from error


def add_row(rows: dict[int, LabelRow], record: Record, value: int, row: LabelRow) -> None:
    """Put a row into a table that has no other one for its value."""
    if value in rows:
        raise record.wrong(f"value {value} is named twice, as {rows[value].name!r} and as {row.name!r}")
    rows[value] = row


def label_value(record: Record) -> int:
    """Label value of a row."""
    text = record.text("value")
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= LARGEST_VALUE:
        raise record.wrong(f"the value must be a whole number from 1 to {LARGEST_VALUE}, not {text!r}")
    return int(text)


def _from_json(document: Any, source: str) -> list[Record]:
    if isinstance(document, dict):
        items = [(str(key), _keyed(str(key), row)) for key, row in document.items()]
    elif isinstance(document, list):
        items = [(f"row {number}", row) for number, row in enumerate(document, start=1)]
    else:
        raise ConfigurationError(f"{source}: a table is a JSON object or a list of rows")
    records = []
    for place, row in items:
        where = f"{source}, {place}"
        if not isinstance(row, dict):
            raise ConfigurationError(f"{where}: a row is a JSON object")
        records.append(Record(where, {_column(key, where): value for key, value in row.items()}))
    return records


def _keyed(key: str, row: Any) -> Any:
    """Row of an object whose keys are values or names: `"5": "liver"`, `"Leber-OP": {"code": ...}`."""
    own = {"value" if key.strip().isdigit() else "name": key}
    if isinstance(row, str):
        return {**own, "name": row} if "value" in own else {**own, "code": row}
    return {**own, **row} if isinstance(row, dict) else row


def _column(name: str, where: str) -> str:
    column = COLUMNS.get(re.sub(r"[\s_-]", "", name).casefold())
    if column is None:
        close = difflib.get_close_matches(name.casefold(), COLUMNS, n=1)
        raise ConfigurationError(
            f"{where}: {name!r} is not a column" + (f"; did you mean {close[0]!r}?" if close else "")
        )
    return column


def _from_csv(text: str, source: str) -> list[Record]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return []
    separator = max(",;\t", key=lines[0].count)
    try:
        cells = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ConfigurationError(f"{source} is not valid CSV: {error}") from error
    columns = ["value", "name"]
    if not cells[0][0].strip().isdigit():
        columns = [_column(cell, f"{source}, first line") for cell in cells.pop(0)]
    records = []
    for number, row in enumerate(cells, start=1):
        where = f"{source}, row {number}"
        if len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
            raise ConfigurationError(f"{where}: {len(row)} cells for {len(columns)} columns ({', '.join(columns)})")
        records.append(Record(where, dict(zip(columns, row, strict=False))))
    return records


def _name(record: Record) -> str:
    name = record.text("name")
    if not name:
        raise record.wrong("the row has no name")
    return name


def _coding(record: Record, known: Vocabulary) -> Coding | None:
    """Codes of a row: its own, or those that its name has."""
    colour = _colour(record)
    sides = _laterality(record)
    if record.text("code"):
        return _own_coding(record, sides, colour)
    for column in ("scheme", "meaning", "category"):
        if record.text(column):
            raise record.wrong(f"a {column} needs a code beside it")
    found = known.match(_name(record))
    if found is None:
        return None
    modifiers = found.modifiers if not sides or set(sides) <= set(found.modifiers) else (*found.modifiers, *sides)
    return replace(
        found,
        modifiers=modifiers,
        colour=colour or found.colour,
        usual_colour=found.usual_colour and colour is None,
    )


def _own_coding(record: Record, sides: tuple[CodedConcept, ...], colour: Cielab | None) -> Coding:
    code, scheme = record.text("code"), record.text("scheme")
    if ":" in code and not scheme:
        scheme, code = (part.strip() for part in code.split(":", 1))
    scheme = scheme or "SCT"
    if not re.fullmatch(r"\d{6,18}" if scheme == "SCT" else r"[!-~]{1,64}", code):
        raise record.wrong(f"{code!r} is not a code of {scheme}")
    like = next(
        (t for t in TERMS if (t.property_type.scheme_designator, t.property_type.value) == (scheme, code)), None
    )
    meaning = record.text("meaning") or (like.property_type.meaning if like else "")
    if not meaning or len(meaning) > 64:  # LO, PS3.5 section 6.2
        raise record.wrong(f"the code {code} needs a meaning of at most 64 characters")
    category = _category(record) or (like.category if like else None)
    if category is None:
        raise record.wrong(f"the code {code} needs a category: {', '.join(CATEGORIES)}")
    concept = CodedConcept(value=code, scheme_designator=scheme, meaning=meaning)
    return Coding(
        category=category,
        property_type=concept,
        modifiers=sides,
        colour=colour or (like.colour if like else None),
        usual_colour=colour is None,
    )


def _category(record: Record) -> CodedConcept | None:
    text = record.text("category")
    if not text:
        return None
    for name, concept in CATEGORIES.items():
        if fold(text) == fold(name) or text == concept.value:
            return concept
    raise record.wrong(f"{text!r} is not a category; there are: {', '.join(CATEGORIES)}")


def _laterality(record: Record) -> tuple[CodedConcept, ...]:
    text = record.text("laterality")
    side = SIDES.get(fold(text))
    if text and side is None:
        raise record.wrong(f"{text!r} is not a laterality; there are: left, right, both")
    return (LATERALITY[side],) if side else ()


def _colour(record: Record) -> Cielab | None:
    value = record.cells.get("colour")
    if value is None or value == "":
        return None
    colour = rgb_colour(value)
    if colour is None:
        raise record.wrong(f"{value!r} is not a colour; write #rrggbb or three numbers from 0 to 255")
    return colour


def rgb_colour(value: Any) -> Cielab | None:
    """CIELab of "#rrggbb", "r g b" or [r, g, b]; None where it is none of these."""
    if isinstance(value, str) and re.fullmatch(r"#?[0-9a-fA-F]{6}", value.strip()):
        return cielab(value.strip().removeprefix("#"))
    parts: Sequence[Any] = re.split(r"[\s,;/]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) != 3:
        return None
    if not all(re.fullmatch(r"\d{1,3}", str(p)) and int(p) <= 255 for p in parts):
        return None
    return cielab("".join(f"{int(p):02x}" for p in parts))


def _term(record: Record) -> Term:
    """A name of the site's own."""
    name = _name(record)
    coding = _coding(record, vocabulary())
    if coding is None or not record.text("code"):
        raise record.wrong(f"{name!r} has neither a value nor a code")
    terms: Iterable[Term] = (t for t in TERMS if t.property_type == coding.property_type)
    like = next(iter(terms), None)
    return Term(
        name=name,
        category=coding.category,
        property_type=coding.property_type,
        colour=coding.colour or cielab("b0a090"),
        kind=like.kind if like else "organ",
        names=((name,),),
        paired=not coding.modifiers and bool(like and like.paired),
        modifiers=coding.modifiers,
        usual_colour=coding.usual_colour,
    )
