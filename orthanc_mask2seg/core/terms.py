"""What a name means: organs, findings and radiotherapy targets as codes.

A match is conservative: every word of a name must be accounted for. "liver tumour" is a neoplasm in the liver, never
the liver; "liver without vessels" is nothing that the table knows, so it gets no code at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from orthanc_mask2seg.core import findings_table, terms_table, terms_table_head
from orthanc_mask2seg.core.colours import cielab
from orthanc_mask2seg.core.terms_table import Row
from orthanc_mask2seg.core.words import (
    BOTH,
    LEFT,
    LONGEST_TEXT,
    RIGHT,
    SIDES,
    Word,
    fold,
    significant,
    without_phrases,
    words,
)
from orthanc_mask2seg.model import CodedConcept

LANGUAGES = ("English", "German", "French", "Spanish", "Chinese", "Japanese")


def _sct(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value=value, scheme_designator="SCT", meaning=meaning)


CATEGORIES = {
    "anatomical structure": _sct("91723000", "Anatomical Structure"),
    "tissue": _sct("85756007", "Tissue"),
    "morphologically abnormal structure": _sct("49755003", "Morphologically Abnormal Structure"),
    "body substance": _sct("91720002", "Body Substance"),
    "substance": _sct("105590001", "Substance"),
    "physical object": _sct("260787004", "Physical object"),
    "function": _sct("246464006", "Function"),
    "spatial and relational concept": _sct("309825002", "Spatial and Relational Concept"),
    "rt target": CodedConcept(value="130041", scheme_designator="DCM", meaning="RT Target"),
}
"""PS3.16 CID 7150, and of CID 9580 what targets of radiotherapy are."""

LATERALITY = {
    LEFT: _sct("7771000", "Left"),
    RIGHT: _sct("24028007", "Right"),
    BOTH: _sct("51440002", "Bilateral"),
}
"""PS3.16 CID 244."""

_MASS = "4147007"
_TARGET_WORDS = frozenset(fold(w) for w in ("gy", "cgy", "mass", "tumor", "tumour", "boost"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What a word of the table stands for.

    Attributes
    ----------
    name
        Canonical, English.
    kind
        See `terms_table.Row`.
    names
        Names in each of `LANGUAGES`.
    adjectives
        Words that name it only beside a finding.
    paired
        There is a left one and a right one.
    usual_colour
        The colour is nobody's choice: that of the mask itself goes before it.
    """

    name: str
    category: CodedConcept
    property_type: CodedConcept
    colour: tuple[float, float, float]
    kind: str = "organ"
    names: tuple[tuple[str, ...], ...] = ()
    adjectives: tuple[str, ...] = ()
    paired: bool = False
    modifiers: tuple[CodedConcept, ...] = ()
    regions: tuple[CodedConcept, ...] = ()
    usual_colour: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """Codes and colour of a segment; see `Term.usual_colour`."""

    category: CodedConcept
    property_type: CodedConcept
    modifiers: tuple[CodedConcept, ...] = ()
    regions: tuple[CodedConcept, ...] = ()
    colour: tuple[float, float, float] | None = None
    usual_colour: bool = False


def _split(words_of_a_language: str) -> tuple[str, ...]:
    return tuple(w.strip() for w in words_of_a_language.split(",") if w.strip())


def _term(row: Row) -> Term:
    names = tuple(_split(part) for part in row.words.split("|"))
    return Term(
        name=names[0][0],
        category=CATEGORIES[row.category],
        property_type=CodedConcept(value=row.code, scheme_designator=row.scheme, meaning=row.meaning),
        colour=cielab(row.colour),
        kind=row.kind,
        names=names,
        adjectives=_split(row.adjectives),
        paired=row.paired,
        regions=(_sct(*row.region),) if row.region else (),
    )


GROUPS: tuple[tuple[str, tuple[Term, ...]], ...] = tuple(
    (title, tuple(_term(row) for row in rows))
    for title, rows in (
        ("Abdomen", terms_table.ABDOMEN),
        ("Pelvis", terms_table.PELVIS),
        ("Thorax", terms_table.THORAX),
        ("Vessels", terms_table.VESSELS),
        ("Head and neck", terms_table_head.HEAD),
        ("Skeleton", terms_table_head.SKELETON),
        ("Tissues", terms_table_head.TISSUES),
        ("Findings", findings_table.FINDINGS),
        ("Devices", findings_table.DEVICES),
        ("Targets of radiotherapy", findings_table.TARGETS),
        ("Segments of the liver", terms_table_head.LIVER_SEGMENTS),
        ("Vertebrae", terms_table_head.VERTEBRAE),
    )
)
TERMS: tuple[Term, ...] = tuple(chain.from_iterable(terms for _, terms in GROUPS))

_Key = tuple[str, ...]


class Vocabulary:
    """Terms by their names, in any order of the words of a name; later terms go before earlier ones."""

    def __init__(self, terms: Iterable[Term]) -> None:
        terms = tuple(terms)
        self.terms = terms
        self._whole: dict[_Key, Term] = {}
        self._adjectives: dict[_Key, Term] = {}
        for term in terms:
            for name in chain.from_iterable(term.names):
                self._whole[_sorted(_keys(words(name)))] = term
            for adjective in term.adjectives:
                self._adjectives[_sorted(_keys(words(adjective)))] = term
        self.lexicon = frozenset(chain.from_iterable([*self._whole, *self._adjectives]))
        self._longest = max(map(len, self._whole), default=0)

    def words(self, text: str) -> tuple[Word, ...]:
        """Words of a name, compounds of known words cut apart."""
        return words(text, self.lexicon)

    def match(self, text: str) -> Coding | None:
        """Codes of a name; None where any word of it is not accounted for.

        Examples
        --------
        >>> vocabulary().match("liver tumour").property_type.meaning
        'Neoplasm'
        >>> vocabulary().match("liver without vessels") is None
        True
        """
        if len(text) > LONGEST_TEXT:
            return None
        keys = _keys(self.words(without_phrases(text)))
        for content in _without_numbers(keys):
            found = self._match(content)
            if found is not None:
                return found
        return None

    def _match(self, keys: _Key) -> Coding | None:
        whole = self._whole.get(_sorted(keys))
        if whole is not None:
            return _coding(whole, None, ())
        sides = _sides(keys)
        if sides is None:
            return None
        plain = tuple(k for k in keys if k not in LATERALITY)
        whole = self._whole.get(_sorted(plain))
        if whole is not None:
            lateral = whole.paired or whole.kind in {"finding", "target"}
            return _coding(whole, None, sides) if lateral or not sides else None
        for finding, others in chain(self._findings(keys), self._findings(plain)):
            left_over = tuple(k for k in others if k not in LATERALITY)
            region = self._region(others)
            if region is not None and _fits(finding, region):
                return _coding(finding, region, ())
            region = self._region(left_over)
            if not left_over or (region is not None and _fits(finding, region)):
                return _coding(finding, region, sides)
        return None

    def _findings(self, keys: _Key) -> Iterator[tuple[Term, _Key]]:
        """Each finding, part or target that some words in a row name, with the words that are left, longest first."""
        for length in range(min(len(keys), self._longest), 0, -1):
            for start in range(len(keys) - length + 1):
                term = self._whole.get(_sorted(keys[start : start + length]))
                if term is None or term.kind not in {"finding", "part", "target"}:
                    continue
                others = keys[:start] + keys[start + length :]
                if term.kind == "target":
                    others = tuple(k for k in others if k not in _TARGET_WORDS)
                yield term, others

    def _region(self, keys: _Key) -> Term | None:
        term = self._whole.get(_sorted(keys)) or self._adjectives.get(_sorted(keys))
        return term if term is not None and term.kind in {"organ", "part"} else None


def _fits(finding: Term, region: Term) -> bool:
    """Whether it is in the place, and not of it: "muscle mass" is no mass in a muscle."""
    if finding.kind == "part" and region.kind == "part":
        return False
    return finding.property_type.value != _MASS or region.category == CATEGORIES["anatomical structure"]


def _coding(term: Term, region: Term | None, sides: Sequence[CodedConcept]) -> Coding:
    regions = term.regions
    if region is not None:
        regions = (*regions, *(region.regions or (region.property_type,)))
    return Coding(
        category=term.category,
        property_type=term.property_type,
        modifiers=(*term.modifiers, *sides),
        regions=regions,
        colour=term.colour,
        usual_colour=term.usual_colour,
    )


def _keys(found: Iterable[Word]) -> _Key:
    return tuple(SIDES.get(w.key, w.key) for w in significant(tuple(found)))


def _sorted(keys: Iterable[str]) -> _Key:
    return tuple(sorted(keys))


def _sides(keys: _Key) -> tuple[CodedConcept, ...] | None:
    """Laterality that is named: nothing, one side or both; None where it is contradictory."""
    named = {k for k in keys if k in LATERALITY}
    if named in ({LEFT, RIGHT}, {LEFT, RIGHT, BOTH}):
        named = {BOTH}
    if len(named) > 1:
        return None
    return tuple(LATERALITY[side] for side in named)


def _without_numbers(keys: _Key) -> Iterator[_Key]:
    yield keys
    if any(k.isdigit() for k in keys):
        yield tuple(k for k in keys if not k.isdigit())


@lru_cache(maxsize=8)
def vocabulary(extra: tuple[Term, ...] = ()) -> Vocabulary:
    """The table's terms and a site's own, which go before them."""
    return Vocabulary((*TERMS, *extra))
