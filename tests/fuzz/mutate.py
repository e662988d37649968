"""Mutations of octets: what turns up where a file is damaged, and what somebody would write who looks for a fault."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.test_hostile import PIECES

TOKENS = (
    *(piece.encode("utf-8", "surrogateescape") for piece in PIECES.values()),
    *(
        b"\x00",
        b"\xff",
        b"\x80",
        b"\r",
        b"\r\n\r\n",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xae",
        b"=?x?B?",
        b"--",
        b"\\x",
        b"%00",
    ),
    *(str(number).encode() for number in (-1, 0, 255, 256, 65_536, 2**31, 2**32, 2**63, 2**64, 10**30)),
)
LONGEST = 100_000


def mutated(seeds: Sequence[bytes], random: Random) -> bytes:
    """One of the seeds with one to eight changes, or two of them put together."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 2, 4, 8))):
        start = random.randrange(len(data) + 1)
        end = min(len(data), start + random.choice((1, 1, 2, 4, 16, 64, 1000)))
        match random.randrange(8):
            case 0:
                data[start:end] = b""
            case 1:
                data[start:start] = random.choice(TOKENS)
            case 2:
                data[start:end] = random.choice(TOKENS)
            case 3:
                data[start:start] = random.choice(TOKENS) * random.choice((2, 10, 100, 1000))
            case 4:
                data[start:start] = data[start:end] * random.choice((1, 2, 30))
            case 5 if start < len(data):
                data[start] ^= 1 << random.randrange(8)
            case 6:
                data[start:end] = random.randbytes(end - start)
            case _:
                other = random.choice(seeds)
                cut = random.randrange(len(other) + 1)
                data[start:] = other[cut : cut + LONGEST]
    return bytes(data[:LONGEST])
