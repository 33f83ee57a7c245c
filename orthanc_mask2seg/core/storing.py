"""Whether the images of a series store their values alike, so that one value means the same in all of them.

Bits and sign may differ where no value of any image would read differently under the header of any other: a slice with
BitsStored 12 among others with 16, all of them 0 and 1. Where they differ, 1 in some slices and 255 in the others may
be one label, written in two ways: that is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from orthanc_mask2seg.core.pixels import Instance
from orthanc_mask2seg.core.wording import counted, instance_of
from orthanc_mask2seg.model import Reason, Refusal

MOST_COMPARED = 4096
"""Ways of storing are compared by their values up to this many; images have more, and no labels."""

Way = tuple[int, int, int]
"""BitsAllocated, BitsStored and PixelRepresentation."""


def stored_alike(instances: Sequence[Instance]) -> Refusal | None:
    """`corrupt_pixel_data` or `unsupported_pixel_data` where values cannot be compared between images.

    Parameters
    ----------
    instances
        Of one series, or a few of them.
    """
    ways = {_way(i.header) for i in instances}
    if len({_kind(i) for i in instances}) > 1 or (len(ways) > 1 and not all(_reads_alike(i, ways) for i in instances)):
        return Refusal(
            reason=Reason.CORRUPT_PIXEL_DATA,
            detail="The images of the series store their values in different ways, so they cannot be compared.",
            hint="Export the series again, with the same bits and sign in all images.",
            evidence=_kinds(instances),
        )
    return _scaled_apart(instances, ways) if len(ways) > 1 else None


def _kind(instance: Instance) -> tuple[object, ...]:
    """What must be the same in all images, whatever their values."""
    photometric = instance.header.get("PhotometricInterpretation")
    return (instance.coloured, instance.floating, photometric in {"MONOCHROME1", "PALETTE COLOR"} and photometric)


def _way(header: Dataset) -> Way:
    bits = int(header.get("BitsAllocated") or 0)
    return bits, int(header.get("BitsStored") or bits), int(header.get("PixelRepresentation") or 0)


def _reads_alike(instance: Instance, ways: set[Way]) -> bool:
    """Whether every pixel of an image is the same number under the headers of all others."""
    own = _way(instance.header)
    for way in ways - {own}:
        bits = (way[1] if way[0] == own[0] else own[1]) - way[2]
        if bits == own[1] and not way[2] and not own[2]:
            continue  # only BitsAllocated differs, which the number of bytes proves
        if instance.word is None or instance.word >= 2**bits:
            return False
    return True


def _scaled_apart(instances: Sequence[Instance], ways: set[Way]) -> Refusal | None:
    """Refusal where what is stored in different ways shares background at most: the same label may have two values."""
    values: dict[Way, set[float]] = {way: set() for way in ways}
    for instance in instances:
        values[_way(instance.header)] |= set(np.unique(instance.frames).tolist())
    if any(len(found) > MOST_COMPARED for found in values.values()):
        return None
    for way, own in values.items():
        for other_way, others in values.items():
            if way < other_way and len(own & others) <= 1 and own - others and others - own:
                return Refusal(
                    reason=Reason.UNSUPPORTED_PIXEL_DATA,
                    detail="Some images of the series store other values than the rest, and with other bits, so the "
                    "same label may have two values.",
                    hint="Export the series again, with the same bits and values in all images.",
                    evidence=(
                        *_kinds(instances),
                        _values_of(way, own),
                        _values_of(other_way, others),
                    ),
                )
    return None


def _values_of(way: Way, values: set[float]) -> str:
    shown = [f"{v:g}" for v in sorted(values)]
    some = ", ".join(shown if len(shown) <= 6 else [*shown[:3], "...", *shown[-3:]])
    return f"values in {way[1]} of {way[0]} bits, {'signed' if way[2] else 'unsigned'}: {some}"


def _kinds(instances: Sequence[Instance]) -> tuple[str, ...]:
    """How the values are stored, most frequent first, with an instance that is an example."""
    found: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for instance in instances:
        header = instance.header
        kind = (
            f"{header.get('BitsStored')} of {header.get('BitsAllocated')} bits, PixelRepresentation "
            f"{header.get('PixelRepresentation')}, {header.get('PhotometricInterpretation')}"
            + (", floating point" if instance.floating else "")
        )
        found[kind] += 1
        examples.setdefault(kind, instance_of(header))
    return tuple(f"{counted(n, 'image')} with {kind}, as {examples[kind]}" for kind, n in found.most_common())
