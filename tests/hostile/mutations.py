"""Seeded damage to the bytes of a file."""

import random
import struct
import zlib

_NUMBERS = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\xff\xff")


def mutate(random_: random.Random, content: bytes) -> bytes:
    """Bytes near `content`: bits flipped, cut, filled, doubled, or numbers in it made extreme."""
    kind = random_.choice((_flip, _flip, _cut, _fill, _double, _number, _number, _nothing))
    return kind(random_, content)


def png(width: int, height: int, rows: int, colour: int = 2, text: bytes = b"") -> bytes:
    """A PNG of 8 bits a channel that announces any size, with so many rows of black in it.

    Args:
        width: announced.
        height: announced.
        rows: how many there are.
        colour: the header's colour type; 2 is RGB.
        text: a comment, which is compressed too.
    """
    compressor = zlib.compressobj(9)
    row = bytes(1 + 3 * min(width, 2**20))
    data = b"".join(compressor.compress(row) for _ in range(rows)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    comment = b"Comment\0\0" + zlib.compress(text)
    chunks = ((b"IHDR", header), (b"zTXt", comment), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def _flip(random_, content):
    changed = bytearray(content)
    for _ in range(random_.choice((1, 3, 30))):
        changed[random_.randrange(len(changed))] ^= 1 << random_.randrange(8)
    return bytes(changed)


def _cut(random_, content):
    start = random_.choice((0, 0, random_.randrange(len(content))))
    return content[start : start + random_.randrange(len(content))]


def _fill(random_, content):
    start = random_.randrange(len(content))
    end = min(len(content), start + random_.randrange(1, 200))
    filling = random_.choice((b"\x00", b"\xff", random_.randbytes(1)))
    return content[:start] + filling * (end - start) + content[end:]


def _double(random_, content):
    start = random_.randrange(len(content))
    piece = content[start : start + random_.randrange(1, 300)]
    return content[:start] + piece * random_.randrange(2, 5) + content[start:]


def _number(random_, content):
    start = random_.randrange(min(len(content), 200))  # where formats keep their sizes
    number = random_.choice(_NUMBERS)[: random_.choice((2, 4))]
    return content[:start] + number + content[start + len(number) :]


def _nothing(random_, content):
    return random_.choice((b"", random_.randbytes(100), b"GIF89a" + content, content[:8]))
