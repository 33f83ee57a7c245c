"""Inputs without coverage guidance: seeds that are changed as files get changed, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_WORDS = (
    b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0", b"SQ\0\0", b"UN\0\0", b"OB\0\0", b"DS", b"IS", b"nan", b"inf", b"1e999", b"-1", b"\\", b"\0",
    b"\x28\x00\x08\x00", b"\x28\x00\x10\x00", b"\xe0\x7f\x10\x00", b"null", b"[]", b"{}", b'""', b"--", b"\r\n\r\n",
    b"true", b"1.5", b"[[[[", b"\xff", b"\x1b[31m", b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.1.99",
)  # fmt: skip


def changed(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """One to several changes."""
    body = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at, kind = dice.randrange(len(body) + 1), dice.randrange(7)
        if kind == 0 and body:
            body[at % len(body)] ^= 1 << dice.randrange(8)
        elif kind == 1:
            word = dice.choice(_WORDS)
            body[at : at + len(word)] = word
        elif kind == 2:
            body[at:at] = dice.choice(_WORDS)
        elif kind == 3:
            del body[at : at + dice.choice((1, 2, 4, 8, 64))]
        elif kind == 4:
            del body[at:]
        elif kind == 5 and body:
            body[at % len(body)] = dice.randrange(256)
        else:
            other = dice.choice(others)
            start = dice.randrange(len(other) + 1)
            piece = other[start : start + dice.choice((4, 16, 256))]
            body[at : at + dice.choice((0, len(piece)))] = piece
    return bytes(body)


def inputs(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many inputs."""
    dice = random.Random(seed)
    for _ in range(count):
        yield changed(dice.choice(seeds), seeds, dice)
