"""Whatever an image file is, training and serving see the same pixels or both refuse it."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from anchor_tf.images import decode, encoded_image, rules
from tests.hostile.mutations import mutate

HEIGHT, WIDTH = 11, 7


def chunk(name, content):
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(depth, colour_type, channels, extra=b"", seed=0):
    """A PNG of random values, written by hand: Pillow does not write all kinds."""
    values = np.random.RandomState(seed).randint(0, 2**depth, (HEIGHT, WIDTH * channels))
    if channels in (1, 3):  # pixels of the colour (1, 1, 1), or of one that differs in a last bit
        values[0], values[1, :channels] = 1, 2 if depth == 2 else 0
    if channels == 3 and depth == 16:
        values[1, :3] = 1, 1, 3
    if depth < 8:
        bits = (values[..., np.newaxis] >> np.arange(depth)[::-1]) & 1
        rows = np.packbits(bits.reshape(HEIGHT, -1).astype(np.uint8), axis=1)
    else:
        rows = values.astype(f">u{depth // 8}").view(np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data))
    return rules.PNG + parts + chunk(b"IEND", b"")


def palette(depth, alphas=b""):
    colours = np.random.RandomState(1).randint(0, 256, 3 * 2**depth).astype(np.uint8)
    extra = chunk(b"PLTE", colours.tobytes()) + (chunk(b"tRNS", alphas) if alphas else b"")
    return png(depth, rules.PALETTE_PNG, 1, extra)


def saved(mode, kind, **options):
    """A smooth picture in which no two corners are alike, as Pillow writes it."""
    small = np.random.RandomState(2).randint(0, 256, (4, 3, 3)).astype(np.uint8)
    image = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def segment(marker, content):
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def exif(orientation, order=">", *, before=2, kind=3, number=1, count=None, offset=8):
    """An Exif segment with an orientation after some other entries."""
    others = [struct.pack(f"{order}HHII", 0x0200 + i, 4, 1, 7) for i in range(before)]
    own = struct.pack(f"{order}HHIHH", rules.ORIENTATION_TAG, kind, number, orientation, 0)
    count = before + 1 if count is None else count
    head = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HI", 42, offset)
    directory = struct.pack(f"{order}H", count) + b"".join(others) + own
    return segment(0xE1, b"Exif\0\0" + head + directory + bytes(4))


def with_segments(*segments, mode="RGB"):
    jpeg = saved(mode, "JPEG", quality=95)
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def without_adobe(jpeg):
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 16 :]


def as_ycck(jpeg):
    place = jpeg.index(b"\xff\xee") + 15
    return jpeg[:place] + b"\2" + jpeg[place + 1 :]


KEY = {1: chunk(b"tRNS", struct.pack(">H", 1)), 3: chunk(b"tRNS", struct.pack(">HHH", 1, 1, 1))}
PNGS = {
    **{f"grey of {bits}": png(bits, 0, 1) for bits in (1, 2, 4, 8, 16)},
    **{f"grey of {bits} with a key": png(bits, 0, 1, KEY[1]) for bits in (1, 2, 4, 8, 16)},
    "a key beyond its bits": png(4, 0, 1, chunk(b"tRNS", struct.pack(">H", 0x41))),
    **{f"RGB of {bits}": png(bits, 2, 3) for bits in (8, 16)},
    **{f"RGB of {bits} with a key": png(bits, 2, 3, KEY[3]) for bits in (8, 16)},
    **{f"grey and alpha of {bits}": png(bits, 4, 2) for bits in (8, 16)},
    **{f"RGBA of {bits}": png(bits, 6, 4) for bits in (8, 16)},
    **{f"palette of {bits}": palette(bits) for bits in (1, 2, 4, 8)},
    **{f"palette of {bits}, clear": palette(bits, bytes((9, 0))) for bits in (1, 2, 4, 8)},
    "palette of 4, alpha 15": palette(4, bytes(16 * (15,))),
    "opaque RGBA": saved("RGBA", "PNG"),
    "gamma": png(8, 2, 3, chunk(b"gAMA", struct.pack(">I", 20_000))),
    "orientation in a PNG": png(8, 2, 3, chunk(b"eXIf", exif(6)[10:])),
}
JPEGS = {
    "RGB": saved("RGB", "JPEG"),
    "no subsampling": saved("RGB", "JPEG", subsampling=0),
    "poor": saved("RGB", "JPEG", quality=15),
    "progressive": saved("RGB", "JPEG", progressive=True),
    "grey": saved("L", "JPEG"),
    "stored as RGB": saved("RGB", "JPEG", keep_rgb=True),
    "CMYK": saved("CMYK", "JPEG"),
    "CMYK, not Adobe's": without_adobe(saved("CMYK", "JPEG")),
    "YCCK": as_ycck(saved("CMYK", "JPEG")),
}
TURNED = {
    f"orientation {number}, {order}": (number, with_segments(exif(number, order)))
    for number in range(1, 9)
    for order in "<>"
}
APP0, COMMENT = segment(0xE0, b"JFXX\0 0000"), segment(0xFE, b"a comment")
XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
ORIENTATIONS = {
    **TURNED,
    "grey": (6, with_segments(exif(6), mode="L")),
    "CMYK": (8, with_segments(exif(8), mode="CMYK")),
    "after others": (6, with_segments(APP0, COMMENT, XMP, exif(6))),
    "the first of two": (6, with_segments(exif(6), exif(3))),
    "none": (1, with_segments()),
    "0": (1, with_segments(exif(0))),
    "9": (1, with_segments(exif(9))),
    "not a short": (1, with_segments(exif(6, kind=4))),
    "two of them": (1, with_segments(exif(6, number=2))),
    "at the last entry": (6, with_segments(exif(6, before=rules.MOST_ENTRIES - 1))),
    "beyond the last entry": (1, with_segments(exif(6, before=rules.MOST_ENTRIES))),
    "not counted": (1, with_segments(exif(6, count=2))),
    "counted too far": (6, with_segments(exif(6, count=65_535))),
    "directory elsewhere": (1, with_segments(exif(6, offset=2**32 - 1))),
    "directory at the end": (1, with_segments(exif(6, offset=47))),
    "in the last segment": (6, with_segments(*[COMMENT] * (rules.MOST_SEGMENTS - 1), exif(6))),
    "too late": (1, with_segments(*[COMMENT] * rules.MOST_SEGMENTS, exif(6))),
    "after the tables": (1, with_segments(segment(0xDD, b"\0\0"), exif(6))),
    "neither II nor MM": (1, with_segments(segment(0xE1, exif(6)[4:].replace(b"MM", b"IM")))),
    "cut": (1, with_segments(segment(0xE1, exif(6)[4:30]))),
    "empty": (1, with_segments(segment(0xE1, b"Exif\0\0"))),
}


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def served_colour(encoded):
    return decode.decode(encoded, 3)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def served_grey(encoded):
    return decode.decode(encoded, 1)[..., 0]


served_orientation = tf.function(
    decode.orientation, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)


def trained(encoded, mode):
    """What training decodes."""
    return np.asarray(encoded_image.pixels(encoded_image.opened(io.BytesIO(encoded)), mode))


def same(encoded):
    np.testing.assert_array_equal(trained(encoded, "RGB"), served_colour(encoded))
    np.testing.assert_array_equal(trained(encoded, "L"), served_grey(encoded))


@pytest.mark.parametrize("kind", PNGS)
def test_a_png_has_the_same_pixels(kind):
    same(PNGS[kind])


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_has_the_same_pixels(kind):
    same(JPEGS[kind])


@pytest.mark.parametrize("kind", ORIENTATIONS)
def test_an_orientation_is_read_alike(kind):
    expected, encoded = ORIENTATIONS[kind]
    assert rules.orientation(io.BytesIO(encoded)) == expected
    assert served_orientation(encoded) == expected
    same(encoded)


@pytest.mark.parametrize("kind", TURNED)
def test_an_orientation_turns_the_picture(kind):
    number, encoded = TURNED[kind]
    stored = trained(with_segments(), "RGB").astype(int)
    seen = trained(encoded, "RGB")
    assert seen.shape[:2] == ((HEIGHT, WIDTH) if number < 5 else (WIDTH, HEIGHT))
    # The Exif standard: which side of the scene the first row and the first column show.
    first_row, first_column = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[number]  # fmt: skip
    sides = {"top": seen[0], "bottom": seen[-1], "left": seen[:, 0], "right": seen[:, -1]}
    far = {"top": -1, "bottom": 0, "left": -1, "right": 0}
    ends = {"top": 0, "bottom": -1, "left": 0, "right": -1}
    np.testing.assert_array_equal(sides[first_row][ends[first_column]], stored[0, 0])
    np.testing.assert_array_equal(sides[first_row][far[first_column]], stored[0, -1])
    np.testing.assert_array_equal(sides[first_column][far[first_row]], stored[-1, 0])
    picture = encoded_image.opened(io.BytesIO(encoded))
    assert picture.size == seen.shape[1::-1]


def test_transparency_lies_over_white():
    colour, alpha = (np.arange(256).reshape(shape) for shape in ((1, 256, 1), (256, 1, 1)))
    alpha = np.broadcast_to(alpha, (256, 256, 1))
    exact = (colour * alpha + 255 * (255 - alpha)) / 255
    np.testing.assert_allclose(rules.over_white(colour, alpha), exact, atol=0.5)
    trained_ = trained(PNGS["RGBA of 8"], "RGB")
    rgba = np.asarray(Image.open(io.BytesIO(PNGS["RGBA of 8"])), float)
    over = rgba[..., :3] * rgba[..., 3:] / 255 + 255 - rgba[..., 3:]
    np.testing.assert_allclose(trained_, over, atol=0.51)


def test_grey_is_pillows():
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (90, 90, 3)).astype(np.uint8))
    expected = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(rules.grey(np.asarray(image, np.int32))[..., 0], expected)


def test_sixteen_bits_keep_the_upper_eight():
    values = np.arange(0, 65_536, 257, dtype=np.uint16).reshape(8, 32) + 200
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    np.testing.assert_array_equal(trained(buffer.getvalue(), "L"), values >> 8)


def test_mutated_headers_are_read_alike():
    random_ = random.Random(0)
    whole = [encoded[:600] for _, encoded in ORIENTATIONS.values()]
    found = set()
    for _ in range(400):
        encoded = mutate(random_, random_.choice(whole))
        expected = rules.orientation(io.BytesIO(encoded))
        if encoded[:3] == rules.JPEG:  # others are not asked
            assert served_orientation(encoded) == expected
            found.add(expected)
    assert len(found) > 4


def outcome(function, *arguments):
    try:
        return np.asarray(function(*arguments))
    except Exception:  # what damaged images raise is not limited to any kinds
        return None


def test_damaged_images_are_never_read_differently():
    random_ = random.Random(1)
    contents = [*PNGS.values(), *JPEGS.values()]
    both, refused = 0, 0
    for _ in range(300):
        encoded = mutate(random_, random_.choice(contents))
        in_training = outcome(trained, encoded, "RGB")
        served = outcome(served_colour, encoded)
        if in_training is not None and served is not None:
            np.testing.assert_array_equal(in_training, served)
            both += 1
        if encoded.startswith(rules.PNG) and in_training is not None:
            assert served is not None
        refused += served is None
    assert both > 30
    assert refused > 100


def in_another_order():
    """A PNG whose header does not come first."""
    encoded = PNGS["RGB of 8"]
    return encoded[:8] + chunk(b"tEXt", b"a\0b") + encoded[8:]


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"GIF89a" + bytes(40),
        saved("RGB", "GIF"),
        saved("RGB", "BMP"),
        saved("RGB", "WEBP"),
        saved("RGB", "TIFF"),
        PNGS["RGB of 8"][:-12],
        PNGS["RGB of 8"][:-40],
        PNGS["RGB of 8"][:20],
        in_another_order(),
        JPEGS["RGB"][:100],
        JPEGS["RGB"][:-100],
    ],
)
def test_both_refuse(encoded):
    assert outcome(trained, encoded, "RGB") is None
    assert outcome(served_colour, encoded) is None
