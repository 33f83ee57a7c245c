"""Words of names: how a description is cut into words, and which words say nothing of what is marked.

English, German, French, Spanish, Chinese and Japanese; without regard to case, accents and width of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass

LEFT, RIGHT, BOTH = "<left>", "<right>", "<both>"
"""What the words for sides are replaced by."""

_SIDES = {
    LEFT: "left l lt li links linke linker linkes linken gauche izquierdo izquierda izq izdo izda 左 左侧 左側",
    RIGHT: "right r rt re rechts rechte rechter rechtes rechten droit droite derecho derecha dcho dcha 右 右侧 右側",
    BOTH: "both bilateral beide beider beidseits bds bilatéral bilatérale ambos ambas 双 双侧 両 両側",
}
_MASK = """
    mask masks maske masken masque masques máscara máscaras binary binär binärmaske binaire binario binaria
    seg segs segm segmentation segmentations segmentierung segmentierungen segmentación segmentaciones
    label labels labelmap labelmaps multilabel étiquette étiquettes etiqueta etiquetas
    掩码 掩膜 蒙版 遮罩 分割 标签 二值 标注 分割图 マスク セグメンテーション ラベル 二値 分割像
"""
_NOT_OF_MASKS_ALONE = "masked segmented segmentiert segmentée segmentado labelled bin"
"""Images are called so too: defaced heads, cine MR, red cells with technetium, the bins of a breathing cycle."""
_OUTLINES = "roi rois gtv ctv ptv itv contour contours kontur konturen annotation annotations"
_NEUTRAL = """
    ct mr mri pet cbct spect axial ax coronal cor sagittal sag roi rois voi contour contours kontur volume vol structure
    structures organ whole entire total complete ganze ganzer gesamt gesamte entier entière completo 3d manual manuell
    auto automatic automatisch ai ki final new corrected edited reviewed expert gt ground truth reader rater observer
    series img image segmentator totalsegmentator nnunet monai 全体 領域 区域 手動 自動 自动
"""
_ENDINGS = "mask masks maske masken segmentation segmentations segmentierung segmentierungen labelmap labelmaps"
_TARGET = re.compile(r"[gcpi]tv[a-z]?")
_NOT_MEANT = re.compile(
    r"(?<![^\W_])(?:(?:with|without|w|wo|no|mit|ohne|avec|sans|con|sin|unsharp|face|oxygen)[\W_]+m[aá]s(?:ks?|ken?|ques?|caras?)"
    r"|(?:kopf|gesichts|atem|bestrahlungs|lagerungs|fixierungs)-?masken?|(?:spin|asl|off)[\W_]+labels?)(?![^\W_])"
    r"|マスク固定|分割(?:照射|線量|撮影|撮像)",
    re.IGNORECASE,
)
"""Masks that a patient wears, filters, labelled spins and fractions of a dose: words of images."""
_SEGMENT_NUMBER = re.compile(r"segs?|segm")
_DIVIDED = re.compile(r"liver|leber|foie|hepat|higad|lung|poumon|pulmon|lobe|couinaud|肝|肺")
"""Organs whose parts are numbered: "seg 4" of a liver is a place."""
_FUNCTION = "the a of in im de du des la le les der die das dem del el los las von vom nr 的 の 第"
_SMALL_NUMBER = re.compile(r"[1-8]|i{1,3}|iv[ab]?|vi{0,3}")
_VERSION = re.compile(r"v\d{1,3}")
_PHRASES = re.compile(
    r"\(?\b(?:(?:tumou?r|lesion|foreground)\s+)?slices?\s+only\b\)?"
    r"|(?<![\w.])\(?0\s*(?:[-/–]|to)\s*(?:1|255|65535)\b\)?",  # noqa: RUF001
    re.IGNORECASE,
)
_PHASE = re.compile(r"\b(?:(?:portal[- ]?)?venous|arterial|late|delayed|native)[ _-]phase\b", re.IGNORECASE)
_ELISION = re.compile(r"(?<!\w)[ld]['’](?=\w)", re.IGNORECASE)  # noqa: RUF001
_CJK = r"\u3005-\u30ff\u3400-\u9fff\uff66-\uff9f"
_CHUNK = re.compile(r"[^\W_]+|[^\w\s]")
_SCRIPTS = re.compile(rf"[{_CJK}]+|[^{_CJK}]+")
_HUMP = re.compile(r"(?<=[a-zà-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])")
_SEPARATORS = frozenset("-.,:;/()[]{}|\\'\"’‐‑–—・、，：（）")  # noqa: RUF001
_LINKS = ("", "n", "s", "es", "en")
MINIMUM_PART = 4
"""Shortest word that is looked for inside a compound, except words like "mask" and "seg"."""


def fold(text: str) -> str:
    """Spelling that does not depend on case, accents, width and on how umlauts are written.

    Examples
    --------
    >>> fold("Gefäße") == fold("GEFAESSE")
    True
    >>> fold("œsophage"), fold("oesophagus")
    ('osophage', 'osophagus')
    """
    kept: list[str] = []
    for character in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()):
        if not unicodedata.combining(character) or (kept and "\u3040" <= kept[-1] <= "\u30ff"):
            kept.append(character)
    folded = unicodedata.normalize("NFC", "".join(kept)).replace("œ", "oe").replace("æ", "ae").replace("ø", "o")
    return folded.replace("ae", "a").replace("oe", "o").replace("ue", "u")


def _set(words: str) -> frozenset[str]:
    return frozenset(fold(word) for word in words.split())


MASK = _set(_MASK)
"""Words by which people call their masks."""
NOISE = MASK | _set(_NOT_OF_MASKS_ALONE)
"""Words that say nothing but that this is a mask: dropped from names."""
OUTLINES = _set(_OUTLINES)
"""Words that name a mask by what it outlines: they stay in the name."""
NEUTRAL = _set(_NEUTRAL)
"""Words that say nothing of what is marked, but stay in the name."""
FUNCTION = _set(_FUNCTION)
SIDES = {word: side for side, words in _SIDES.items() for word in _set(words)}


MINIMUM_STEM = 3
"""Shortest word that "mask" may be written together with: "unmask" and "damask" are none."""
LONGEST_TEXT = 256
"""What follows is not read."""
LONGEST_COMPOUND = 64
_Part = tuple[str, str]
"""Part of a compound as it was written, and folded."""


_COMPOUND_ENDINGS = _set(_ENDINGS)
_CJK_MASK = tuple(word for word in MASK if not word.isascii() and word[0] >= "\u3040")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a name.

    Attributes
    ----------
    text
        As it was written.
    key
        Folded.
    piece
        Number of the run of characters that it was cut from: parts of a compound are written together.
    """

    text: str
    key: str
    piece: int

    @property
    def noise(self) -> bool:
        """Whether the word says only that this is a mask."""
        return self.key in NOISE


def mask_word(text: str) -> str:
    """Word by which a description calls its series a mask, as it is written; '' where there is none.

    Examples
    --------
    >>> mask_word("Lebermaske links"), mask_word("masque du foie"), mask_word("肝臓マスク")
    ('Lebermaske', 'masque', '肝臓マスク')
    >>> mask_word("unmasked"), mask_word("Segmental"), mask_word("liver seg 4 dynamic"), mask_word("CT mit Maske")
    ('', '', '', '')
    """
    text = _NOT_MEANT.sub(" ", unicodedata.normalize("NFKC", text[:LONGEST_TEXT]))
    pieces = list(_pieces(text))
    numbered = _DIVIDED.search(fold(text)) is not None
    for piece, after in zip(pieces, [*pieces[1:], ""], strict=False):
        key = fold(piece).strip("0123456789")
        number = fold(piece).removeprefix(key) or fold(after)
        if numbered and _SEGMENT_NUMBER.fullmatch(key) and _SMALL_NUMBER.fullmatch(number):
            continue
        if _names_mask(key):
            return piece
    return ""


def _names_mask(key: str) -> bool:
    """Whether a folded run of characters is a word for a mask, or a compound that ends with one."""
    if key in MASK or key in OUTLINES or _TARGET.fullmatch(key):
        return True
    if any(word in key for word in _CJK_MASK):
        return True
    for start in range(1, len(key) - 2):
        stem, ending = key[:start], key[start:]
        if ending in MASK and (stem in NEUTRAL or (len(stem) >= MINIMUM_STEM and ending in _COMPOUND_ENDINGS)):
            return True
    return False


def without_phrases(text: str) -> str:
    """Text in which "(tumour slices only)" and "0-255" are replaced by a word that is dropped."""
    return _PHRASES.sub(" mask ", text)


def words(text: str, lexicon: Collection[str] = frozenset()) -> tuple[Word, ...]:
    """Cut a name into words.

    Parameters
    ----------
    lexicon
        Known words, folded: compounds of them are cut apart ("Lebermaske"), others are left as they are.

    Examples
    --------
    >>> [w.text for w in words("seg_LeftKidney-v2")]
    ['seg', 'Left', 'Kidney', 'v2']
    >>> [w.text for w in words("Lebermaske", {"leber"})]
    ['Leber', 'maske']
    """
    text = _ELISION.sub(" ", _PHASE.sub(" ", unicodedata.normalize("NFKC", text[:LONGEST_TEXT])))
    return tuple(
        Word(text=written, key=key, piece=piece)
        for piece, part in enumerate(_pieces(text))
        for written, key in _parts(part, lexicon)
    )


def _pieces(text: str) -> Iterator[str]:
    for chunk in _CHUNK.findall(text):
        if chunk in _SEPARATORS:
            continue
        for script in _SCRIPTS.findall(chunk):
            yield from _HUMP.split(script)


def known(key: str, lexicon: Collection[str]) -> bool:
    """Whether a folded word is known, as a name or as one that says nothing."""
    return key in lexicon or key in NOISE or key in SIDES or key in NEUTRAL or key in FUNCTION


def _parts(piece: str, lexicon: Collection[str]) -> list[_Part]:
    key = fold(piece)
    if known(key, lexicon) or key.isdigit():
        return [(piece, key)]
    for ending in ("s", "n"):
        if key.endswith(ending) and len(key) > MINIMUM_PART and key[:-1] in lexicon:
            return [(piece, key[:-1])]
    number = re.match(r"\d+(?=\D)", piece)
    if number:
        return [(number[0], number[0]), *_parts(piece[number.end() :], lexicon)]
    digits = re.search(r"\d+$", piece)
    if digits and digits.start() and not _VERSION.fullmatch(key):
        stem = _parts(piece[: digits.start()], lexicon)
        if all(known(k, lexicon) for _, k in stem):
            return [*stem, (digits[0], digits[0])]
    return _compound(piece, lexicon)


def _compound(piece: str, lexicon: Collection[str]) -> list[_Part]:
    """Fewest known words that make up a run of characters; the run itself where there are none."""
    cjk = re.fullmatch(rf"[{_CJK}]+", piece) is not None
    best: dict[int, list[_Part]] = {0: []}
    for end in range(1, min(len(piece), LONGEST_COMPOUND) + 1):
        for start in range(end):
            if start not in best:
                continue
            link, key = _part(piece[start:end], lexicon, cjk=cjk, first=start == 0)
            if key and (end not in best or len(best[start]) + 1 < len(best[end])):
                before = best[start][:-1] + [(text + link, k) for text, k in best[start][-1:]]
                best[end] = [*before, (piece[start + len(link) : end], key)]
    return best.get(len(piece), [(piece, fold(piece))])


def _part(text: str, lexicon: Collection[str], *, cjk: bool, first: bool) -> tuple[str, str]:
    """What links a part of a compound to the part before, and the known word in it, folded; '' if there is none."""
    if cjk:
        key = fold(text)
        return "", key if known(key, lexicon) else ""
    for link in ("",) if first else _LINKS:
        key = fold(text[len(link) :])
        if not text.casefold().startswith(link) or len(key) < MINIMUM_PART - 1:
            continue
        if key in NOISE or (len(key) >= MINIMUM_PART and (key in lexicon or key in SIDES)):
            return link, key
    return "", ""


def significant(found: Collection[Word]) -> tuple[Word, ...]:
    """Words that say what is marked; numbers and sides count only beside others."""
    kept = tuple(w for w in _readings(tuple(found)) if w.key not in NEUTRAL and w.key not in FUNCTION)
    return tuple(w for w in kept if not _VERSION.fullmatch(w.key))


def _readings(found: tuple[Word, ...]) -> Iterator[Word]:
    """Words without noise; "seg 4" stays, since it may be the fourth segment of a liver or a lung."""
    following = [*(after.key for after in found[1:]), ""][: len(found)]
    for word, after in zip(found, following, strict=True):
        if not word.noise or (word.key == "seg" and _SMALL_NUMBER.fullmatch(after)):
            yield word


def rest(found: Collection[Word]) -> str:
    """Words without those that say that this is a mask, as they were written, with one blank between them."""
    kept = [w for w in found if not w.noise and not _VERSION.fullmatch(w.key)]
    text = ""
    for before, word in zip([None, *kept], kept, strict=False):
        joined = before is None or before.piece == word.piece
        text += word.text if joined else f" {word.text}"
    return text
