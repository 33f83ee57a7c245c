"""Colours in which segments are shown: CIELab under D50, as PS3.3 C.10.7.1.1 has them."""

from __future__ import annotations

from collections.abc import Iterable

Cielab = tuple[float, float, float]

PALETTE: tuple[Cielab, ...] = (
    (63.2, 59.6, 46.0), (65.7, -41.3, 31.0), (60.3, -9.4, -41.5), (84.0, 3.7, 77.9), (58.5, 58.5, -36.3),
    (78.9, -34.8, -10.2), (71.4, 27.9, 62.6), (51.0, 34.7, -66.0), (86.6, -42.9, 64.9), (74.6, 37.2, 6.0),
    (47.4, -20.8, 12.4), (55.3, 17.5, 30.6), (69.3, 20.9, -28.0), (62.1, -1.8, 37.0), (79.7, -8.0, -18.9),
)  # fmt: skip
"""Colours that are told apart on grey images; after the last, they begin again, darker."""

_STEP = 9.0
_DARKEST, _LIGHTEST = 25.0, 95.0
_XYZ_OF_RGB = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
_WHITE = (0.96422, 1.0, 0.82521)


def of_palette(index: int) -> Cielab:
    """Colour of the index-th segment, counted from 0."""
    lightness, a, b = PALETTE[index % len(PALETTE)]
    rounds = index // len(PALETTE)
    return (max(_DARKEST, lightness - 12.0 * rounds), a, b)


def cielab(rgb: str) -> Cielab:
    """CIELab of a colour of the screen.

    Parameters
    ----------
    rgb
        sRGB, six hexadecimal digits.

    Examples
    --------
    >>> cielab("ffffff")
    (100.0, 0.0, 0.0)
    """
    linear = [_linear(int(rgb[i : i + 2], 16) / 255) for i in (0, 2, 4)]
    x, y, z = (
        _cube_root(sum(factor * part for factor, part in zip(row, linear, strict=True)) / white)
        for row, white in zip(_XYZ_OF_RGB, _WHITE, strict=True)
    )
    return (round(116 * y - 16, 1) + 0.0, round(500 * (x - y), 1) + 0.0, round(200 * (y - z), 1) + 0.0)


def _linear(part: float) -> float:
    return float(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)


def _cube_root(value: float) -> float:
    return float(value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116)


def told_apart(colours: Iterable[Cielab]) -> tuple[Cielab, ...]:
    """The same colours, except that one that came before is made lighter or darker: neighbouring ribs, two cysts."""
    result: list[Cielab] = []
    for lightness, a, b in colours:
        shifted = (lightness, a, b)
        for step in range(1, 20):
            if shifted not in result:
                break
            away = _STEP * ((step + 1) // 2) * (-1 if step % 2 else 1)
            shifted = (min(_LIGHTEST, max(_DARKEST, lightness + away)), a, b)
        result.append(shifted)
    return tuple(result)
