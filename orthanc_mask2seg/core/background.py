"""Which stored values are background: by their order, by what surrounds the others, and by what the header says.

Background is what lies around. Three witnesses say what does: the value itself (0, or what is 0 after rescale), the
rim of the planes, and the header (PixelPaddingValue, PhotometricInterpretation). Foreground is never silently the
complement of what was drawn, so what they contradict each other in is refused:

* Of two values with a 0 the lower one is background, unless the higher one surrounds it.
* In MONOCHROME1 high values are black. There background is the value that fills the rim of (nearly) every plane,
  however much or little of the inside it fills: the higher one where the mask was inverted to be seen white on black,
  so that the rim and the photometric interpretation agree; the lower one where the attribute was inherited from a
  source. A value that fills a part of the rim proves nothing.
* Of more values 0 is background, unless another one surrounds everything.
* Where no value is 0, the lowest is background if it fills the rim of (nearly) every plane. If another one does, it may
  be the rest of the body or a background of 255. If the lowest holds less than half of the rim all values are labels;
  in between nobody can tell. Negative values are no labels.
* PixelPaddingValue is background where it holds corners of the planes and all of it reaches the rim in straight lines,
  as what lies outside of a field of view does. Where it lies inside it is a label; where it does both, nobody can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from orthanc_mask2seg.core.census import FEW_VALUES, Census


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """Which values are background.

    Attributes
    ----------
    values
        None where it cannot be told.
    why
        The reason, or what is contradictory.
    """

    values: frozenset[int] | None
    why: str


def background(census: Census, header: Dataset, *, coloured: bool = False, black: int | None = None) -> Background:
    """Decide which values are background.

    Parameters
    ----------
    census
        Of all planes of the mask series.
    header
        Of one of its instances.
    coloured
        The values are colours.
    black
        Of a palette, the only index that is black.
    """
    padding, told = _padding(header, census)
    if padding is _UNDECIDED:
        return Background(values=None, why=told)
    values = [v for v in census.values if v != padding]
    outside = frozenset() if padding is None else frozenset({padding})
    told = f"; {told}" if told else ""
    if len(values) == 1:
        all_there_is = outside | {values[0]} if values[0] == 0 else outside
        return Background(values=all_there_is, why=f"{values[0]} is all there is{told}")
    photometric = str(header.get("PhotometricInterpretation", ""))
    zero = 0 if 0 in values else next((v for v in values if rescaled(v, header) == 0), None)
    if black is not None and black in values:
        found, why = _black(census, values, black)
    elif len(values) == FEW_VALUES and (photometric == "MONOCHROME1" or zero == values[1]):
        found, why = _at_the_rim(census, values, photometric)
    elif zero is None:
        found, why = _without_zero(census, values, coloured=coloured)
    elif len(values) == FEW_VALUES:
        found, why = _lower(census, values[0], values[1])
    else:
        found, why = _zero(census, values, zero, photometric)
    return Background(values=None if found is None else found | outside, why=why + told)


def rescaled(value: int, header: Dataset) -> float:
    """A value after the Modality LUT."""
    try:
        return value * float(header.get("RescaleSlope") or 1) + float(header.get("RescaleIntercept") or 0)
    except (TypeError, ValueError):
        return float(value)


_UNDECIDED = -(2**63)
"""In place of a PixelPaddingValue that may be background and may be a label."""

Found = tuple[frozenset[int] | None, str]


def _padding(header: Dataset, census: Census) -> tuple[int | None, str]:
    """PixelPaddingValue where it is background, and what is to be said of it.

    It may be written as if unsigned. Beside a single other value it says nothing.
    """
    if "PixelPaddingValue" not in header or len(census.counts) <= FEW_VALUES:
        return None, ""
    try:
        value, span = int(header["PixelPaddingValue"].value), 2 ** int(header.get("BitsAllocated") or 16)
    except (TypeError, ValueError):
        return None, ""
    outermost = {census.values[0], census.values[-1]}
    found = next((v for v in (value, value - span, value + span) if v in outermost and v != 0), None)
    if found is None:
        return None, ""
    name, reached = f"{found} is PixelPaddingValue", census.reached.get(found, 0)
    if found < 0:
        return found, f"{name}, and negative: no label"
    if reached == census.counts[found] or (0 not in census.counts and census.frames(found)):
        return found, f"{name} and lies at the corners and the rim: background"
    if not census.edge.get(found):
        return None, f"{name}, but lies inside, away from the rim: a label"
    where = "at the corners and inside" if reached else "at the rim, but not at the corners"
    return _UNDECIDED, f"{name}, and lies {where}, as padding does and a label may"


def _at_the_rim(census: Census, values: list[int], photometric: str) -> Found:
    """Of two values whose order tells nothing the one around; see above."""
    around = next((v for v in values if census.frames(v)), None)
    if around is None:
        return None, f"{values[0]} and {values[1]} in {photometric}, and neither surrounds the other in every slice"
    shown = ""
    if photometric == "MONOCHROME1":
        shown = ", and MONOCHROME1 shows it black" if around == values[1] else ", although MONOCHROME1 shows it white"
    return frozenset({around}), f"{around} is background: {_rim(census, around)}{shown}"


def _rim(census: Census, value: int) -> str:
    return f"{census.edge_share(value):.0%} of the outermost pixels"


def _lower(census: Census, low: int, high: int) -> Found:
    inside = 1 - census.edge.get(low, 0) / census.counts[low]
    if census.surrounds(high) and inside > 1 / 2:  # else a small image that its mask fills, with background at the rim
        return None, f"{high} surrounds {low}, as if the mask were inverted"
    return frozenset({low}), f"{low} is background: the lower of two values"


def _zero(census: Census, values: list[int], zero: int, photometric: str) -> Found:
    """Among three or more values 0, stored or rescaled, unless another value surrounds everything."""
    around = next((v for v in values if census.surrounds(v)), None)
    if photometric == "MONOCHROME1" and around not in {None, zero}:
        return None, f"{around} surrounds the others in MONOCHROME1, as if the mask were inverted"
    if values[0] < 0 and (around is None or any(v < 0 for v in census.around)):
        return None, f"{values[0]} is there beside {zero}, and it cannot be told which of them is background"
    if around in {None, zero}:
        return frozenset({zero}), f"{zero} is background" + ("" if zero == 0 else ": 0 after rescale")
    return None, f"{around} surrounds the others although {zero} is there"


def _without_zero(census: Census, values: list[int], *, coloured: bool) -> Found:
    """Where no value is 0 what surrounds all others is background, if it is the lowest or grey."""
    around = next((v for v in values if census.frames(v) or census.surrounds(v)), None)
    low = values[0]
    if around is not None:
        if around == low or (coloured and _is_grey(around)):
            return frozenset({around}), f"{around} is background: no value is 0, and it has {_rim(census, around)}"
        return None, f"no value is 0, and {around} surrounds the others, as if the mask were inverted"
    if low < 0:
        if len(values) == FEW_VALUES:
            return frozenset({low}), f"{low} is background: the lower of two values, and negative"
        return None, "none of the values is 0, and none surrounds the others as background does"
    likely = max(values, key=census.edge_share) if coloured else low
    if census.edge_share(likely) > 1 / 2:
        return None, f"no value is 0, and {likely}, with {_rim(census, likely)}, may be background or a label"
    return (
        frozenset(),
        f"no value is background: 0 is absent, and {likely} has only {_rim(census, likely)}: all are labels",
    )


def _is_grey(colour: int) -> bool:
    return colour >> 16 == (colour >> 8 & 255) == (colour & 255)


def _black(census: Census, values: list[int], black: int) -> Found:
    """Of a palette the index that is black, unless 0 is there, too, and surrounds the others."""
    if 0 not in values or census.frames(black):
        return frozenset({black}), f"{black} is background: the only index that is black"
    if census.frames(0):
        return frozenset({0}), "0 is background: it surrounds the others"
    return None, f"0 is there, but {black} is black in the palette, and neither surrounds the others"
