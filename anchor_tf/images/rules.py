"""What training and serving make of an encoded image alike; needs no TensorFlow.

Images are JPEG or PNG. Colours of 16 bits keep their upper 8, transparent pixels lie over white, a
picture is turned as its Exif orientation says, and only then, where grey is needed, colours become
grey. Colour profiles and gamma are ignored.
"""

import typing

LARGEST = 2**25  # pixels of an image, 5,792 x 5,792; each thread decodes one at a time
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
GREY_PNG, PALETTE_PNG = (0, 4), 3  # colour types
ORIENTATION_TAG = 0x0112
MOST_SEGMENTS, MOST_ENTRIES = 16, 64  # of a JPEG and of its Exif IFD0, that are looked at


def over_white(colour, alpha):
    """Lays colours over white.

    Args:
        colour: integers in 0..255 of at least 32 bits, [H, W, C]; NumPy or TensorFlow.
        alpha: the same, [H, W, 1]; 255 is opaque.
    """
    return (colour * alpha + 255 * (255 - alpha) + 127) // 255


def grey(colour):
    """The luma of ITU-R 601, rounded: [H, W, 3] -> [H, W, 1], integers as in `over_white`."""
    red, green, blue = (colour[..., channel : channel + 1] for channel in range(3))
    return (19595 * red + 38470 * green + 7471 * blue + 32768) // 65536


def orientation(stream: typing.BinaryIO) -> int:
    """The Exif orientation of a JPEG, 1 to 8; 1 is upright.

    It is tag 0x0112 of IFD0 in the first Exif segment among the first `MOST_SEGMENTS`, before any
    that is neither APPn nor a comment. Whatever is missing, malformed or no JPEG counts as 1.
    `decode.orientation` is the same in a TensorFlow graph.

    Args:
        stream: the encoded image; it is read wherever needed.
    """
    stream.seek(0)
    if stream.read(len(JPEG)) != JPEG:
        return 1
    place = 2
    for _ in range(MOST_SEGMENTS):
        stream.seek(place)
        header = stream.read(10)
        if len(header) < 10 or header[0] != 0xFF:
            return 1
        if not (0xE0 <= header[1] <= 0xEF or header[1] == 0xFE):
            return 1
        length = int.from_bytes(header[2:4], "big")
        if length < 2:
            return 1
        if header[1] == 0xE1 and header[4:] == b"Exif\0\0":
            return _of_exif(stream.read(max(length - 8, 0)))
        place += 2 + length
    return 1


def _of_exif(tiff: bytes) -> int:
    """The orientation that the TIFF structure of an Exif segment gives; 1 if none."""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(tiff[:4])
    if order is None:
        return 1
    start = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[start : start + 2], order)
    for place in range(start + 2, start + 2 + 12 * min(count, MOST_ENTRIES), 12):
        entry = tiff[place : place + 12]
        if len(entry) < 12:
            return 1
        if int.from_bytes(entry[:2], order) == ORIENTATION_TAG:
            kind, number = (int.from_bytes(entry[a:b], order) for a, b in ((2, 4), (4, 8)))
            value = int.from_bytes(entry[8:10], order)
            return value if (kind, number) == (3, 1) and 1 <= value <= 8 else 1
    return 1
