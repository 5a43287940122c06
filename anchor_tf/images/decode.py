"""Decodes images in a TensorFlow graph, as `rules` has it and as training reads them."""

import numpy as np
import tensorflow as tf

from anchor_tf.images import rules

_HEADER = 26  # bytes of a PNG up to its colour type; no JPEG is so short
_OPAQUE = np.uint8(255)


def decode(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a JPEG or PNG string to uint8 [H, W, channels], of its own size.

    Args:
        encoded: a string [].
        channels: 1, grey, or 3, RGB.

    Raises:
        InvalidArgumentError: when it runs: a string that is neither JPEG nor PNG, is damaged, or
            says that it holds more than `rules.LARGEST` pixels, which are then not decoded.
    """
    is_png = _begins_with(encoded, rules.PNG)
    with tf.control_dependencies(_checks(encoded, is_png)):
        encoded = tf.identity(encoded)
    pixels = tf.cond(is_png, lambda: _png(encoded), lambda: _jpeg(encoded))
    if channels == 1:
        pixels = tf.cast(rules.grey(tf.cast(pixels, tf.int32)), tf.uint8)
    pixels.set_shape([None, None, channels])
    return pixels


def is_known(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a string [] begins as a JPEG or PNG: bool []."""
    return _begins_with(encoded, rules.PNG) | _begins_with(encoded, rules.JPEG)


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """`rules.orientation` of a JPEG string []: int32 []."""
    start, end = _exif(encoded)
    return tf.cond(end > start, lambda: _of_exif(encoded, start, end), lambda: 1)


def turned(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Pixels [H, W, C] as their Exif orientation, int32 [], says that they are to be seen."""
    mirrored = tf.reduce_any(orientation == [2, 3, 6, 7])
    upside_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    pixels = tf.cond(mirrored, lambda: pixels[:, ::-1], lambda: pixels)
    return tf.cond(upside_down, lambda: pixels[::-1], lambda: pixels)


def _png(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [H, W, 3], what is transparent over white."""
    depth, colour_type = tf.unstack(_bytes(encoded, 24, 2))
    rgba = tf.cond(
        colour_type == rules.PALETTE_PNG, lambda: _palette(encoded), lambda: _rgba(encoded, depth)
    )
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    return tf.cond(
        tf.reduce_all(alpha == 255),
        lambda: colour,
        lambda: tf.cast(
            rules.over_white(tf.cast(colour, tf.int32), tf.cast(alpha, tf.int32)), tf.uint8
        ),
    )


def _palette(encoded: tf.Tensor) -> tf.Tensor:
    # Asked for four channels, the decoder gives palettes of few colours no right alpha.
    pixels = tf.io.decode_png(encoded, channels=0)
    return tf.concat([pixels, tf.fill(tf.shape(pixels[..., :1]), _OPAQUE)], axis=-1)[..., :4]


def _rgba(encoded: tf.Tensor, depth: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_png(encoded, channels=4)

    def opaque_filled():
        # The decoder's alpha for grey of few bits: 0, 255 or, without transparency, 2**bits - 1.
        alpha = tf.where(pixels[..., 3:] == 0, tf.constant(0, tf.uint8), _OPAQUE)
        return tf.concat([pixels[..., :3], alpha], axis=-1)

    return tf.cond(depth < 8, opaque_filled, lambda: pixels)


def _jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [H, W, 3], turned."""
    pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    found = orientation(encoded)
    return tf.cond(found > 1, lambda: turned(pixels, found), lambda: pixels)


def _exif(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """From where to where in a JPEG the TIFF structure of its Exif segment lies; 0, 0 if none."""
    total = tf.strings.length(encoded)

    def step(place, start, end, _):
        header = _bytes(encoded, place, 10)
        whole = place + 10 <= total
        marker = header[1]
        passed = (marker >= 0xE0) & (marker <= 0xEF) | (marker == 0xFE)
        length = 256 * header[2] + header[3]
        passed &= whole & (header[0] == 0xFF) & (length >= 2)
        exif = passed & tf.reduce_all(header[4:] == list(b"Exif\0\0")) & (marker == 0xE1)
        following = place + 2 + length
        start = tf.where(exif, place + 10, start)
        end = tf.where(exif, tf.minimum(following, total), end)
        return following, start, end, passed & ~exif

    _, start, end, _ = tf.while_loop(
        lambda place, start, end, more: more,
        step,
        (2, 0, 0, True),
        maximum_iterations=rules.MOST_SEGMENTS,
    )
    return start, end


def _of_exif(encoded: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """The orientation that a TIFF structure gives: int32 []."""
    tiff = tf.strings.substr(encoded, start, end - start)
    size = tf.cast(tf.strings.length(tiff), tf.int64)
    head = _bytes(tiff, 0, 8)
    little = tf.reduce_all(head[:4] == list(b"II*\0"))
    known = little | tf.reduce_all(head[:4] == list(b"MM\0*"))

    def number(some):
        """The unsigned integer in the last axis, [..., bytes]: int64."""
        some = tf.cast(tf.where(little, some[..., ::-1], some), tf.int64)
        powers = [256**power for power in reversed(range(some.shape[-1]))]
        return tf.reduce_sum(some * tf.constant(powers, tf.int64), axis=-1)

    place = number(head[4:])
    at = tf.cast(tf.minimum(place, size), tf.int32)
    count = tf.minimum(number(_bytes(tiff, at, 2)), rules.MOST_ENTRIES)
    entries = tf.reshape(_bytes(tiff, at + 2, 12 * rules.MOST_ENTRIES), [-1, 12])
    rows = tf.range(rules.MOST_ENTRIES, dtype=tf.int64)
    whole = (rows < count) & (place + 2 + 12 * (rows + 1) <= size)
    asked = whole & (number(entries[:, :2]) == rules.ORIENTATION_TAG)
    entry = entries[tf.argmax(tf.cast(asked, tf.int32))]
    value = number(entry[8:10])
    right = (number(entry[2:4]) == 3) & (number(entry[4:8]) == 1) & (value >= 1) & (value <= 8)
    right &= known & tf.reduce_any(asked)
    return tf.where(right, tf.cast(value, tf.int32), 1)


def _bytes(encoded: tf.Tensor, start, count: int) -> tf.Tensor:
    """Bytes of a string, as many zeros where it has ended: int32 [count]."""
    start = tf.minimum(start, tf.strings.length(encoded))
    # A space more, which is cut off: the operation takes no empty string.
    part = tf.strings.join([tf.strings.substr(encoded, start, count), b"\0"])
    found = tf.io.decode_raw(part, tf.uint8, fixed_length=count)
    return tf.ensure_shape(tf.cast(found, tf.int32), [count])


def _begins_with(encoded: tf.Tensor, signature: bytes) -> tf.Tensor:
    return tf.reduce_all(_bytes(encoded, 0, len(signature)) == list(signature))


def _checks(encoded: tf.Tensor, is_png: tf.Tensor) -> list[tf.Operation]:
    """Operations that fail on an encoded image which should not be decoded."""
    long = tf.strings.length(encoded) >= _HEADER
    known = tf.debugging.Assert(is_known(encoded) & long, ["image_bytes should be JPEG or PNG"])
    with tf.control_dependencies([known]):
        size = tf.cond(is_png, lambda: _png_size(encoded), lambda: _jpeg_size(encoded))
    message = f"image_bytes should hold at most {rules.LARGEST} pixels an image, not"
    return [tf.debugging.Assert(tf.reduce_prod(size) <= rules.LARGEST, [message, size])]


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    """Width and height as the header of a PNG gives them: int64 [2]."""
    words = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)
    words.set_shape([2])
    # Zero would hide the other factor; the decoder refuses it.
    return tf.maximum(tf.cast(words, tf.int64), 1)


def _jpeg_size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width as the header of a JPEG gives them: int64 [2]."""
    return tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64)
