"""Random numbers that belong to an example: a pure function of its key, never of its batch.

Every random start and augmentation is drawn from a key made of (seed, iteration, example index),
so that no figure depends on the batch size, the order of evaluation or the number of replicas. The
generator is the counter-based hash pcg4d (Jarzynski and Olano 2020, "Hash Functions for GPU
Rendering", JCGT 9(3)): integer arithmetic alone, hence equal on every device.
"""

import math
import zlib

import tensorflow as tf

_MULTIPLIER, _INCREMENT = 1664525, 1013904223


def example_keys(seed, iteration, index) -> tf.Tensor:
    """Keys of a batch of examples.

    Args:
        seed: integer scalar.
        iteration: integer scalar: the training step, or 0 in evaluation.
        index: integers [B], the examples' indices in their split.

    Returns:
        uint32 [B, 3].
    """
    index = tf.cast(index, tf.uint32)
    words = (tf.cast(seed, tf.uint32), tf.cast(iteration, tf.uint32))
    return tf.stack([tf.broadcast_to(word, tf.shape(index)) for word in words] + [index], axis=-1)


def as_keys(seed, images) -> tf.Tensor:
    """Keys [B, 3] from either keys, which are returned, or an integer seed.

    With an integer the examples are told apart by their position in the batch.
    """
    seed = tf.convert_to_tensor(seed)
    return seed if seed.shape.rank == 2 else example_keys(seed, 0, tf.range(tf.shape(images)[0]))


def fold(keys: tf.Tensor, stream: int | str | tf.Tensor) -> tf.Tensor:
    """Keys [B, 3] of an independent stream, named by an integer or a string."""
    if isinstance(stream, str):
        stream = zlib.crc32(stream.encode())
    if not tf.is_tensor(stream):
        stream = tf.constant(stream, tf.int64)
    a, b, c, _ = _pcg4d(keys[:, 0], keys[:, 1], keys[:, 2], tf.cast(stream, tf.uint32))
    return tf.stack([a, b, c], axis=-1)


def uniform(keys: tf.Tensor, shape, minimum=0.0, maximum=1.0) -> tf.Tensor:
    """Uniform float32 [B, *shape] from minimum to maximum; maximum itself only by rounding."""
    fractions = tf.cast(_shift_right(_bits(keys, shape), 8), tf.float32) * 2.0**-24
    return minimum + fractions * (maximum - minimum)


def integers(keys: tf.Tensor, shape, bound) -> tf.Tensor:
    """Uniform int32 [B, *shape] in [0, bound); bound below 2**20 keeps the bias negligible."""
    return tf.cast(tf.floor(uniform(keys, shape) * tf.cast(bound, tf.float32)), tf.int32)


def normal(keys: tf.Tensor, shape) -> tf.Tensor:
    """Standard normal float32 [B, *shape], by Box and Muller's transform.

    The uniform numbers are the same in any batch bit for bit; these to within rounding, as
    logarithm and cosine round differently in vectorised code.
    """
    radius = tf.sqrt(-2.0 * tf.math.log(1.0 - uniform(fold(keys, "radius"), shape)))
    return radius * tf.cos(2.0 * math.pi * uniform(fold(keys, "angle"), shape))


def _bits(keys: tf.Tensor, shape) -> tf.Tensor:
    """uint32 [B, *shape] of random bits, four from each evaluation of the hash."""
    count = math.prod(shape)
    blocks = -(-count // 4)
    counter = tf.range(blocks, dtype=tf.int32)[tf.newaxis]
    words = _pcg4d(*tf.split(keys, 3, axis=1), tf.cast(counter, tf.uint32))
    flat = tf.reshape(tf.stack(words, axis=-1), [tf.shape(keys)[0], blocks * 4])
    return tf.reshape(flat[:, :count], [tf.shape(keys)[0], *shape])


def _pcg4d(*words):
    """The pcg4d hash of four uint32 tensors that broadcast together; all arithmetic mod 2**32."""
    multiplier = tf.constant(_MULTIPLIER, tf.uint32)
    increment = tf.constant(_INCREMENT, tf.uint32)
    x, y, z, w = (word * multiplier + increment for word in words)
    x, y, z, w = _cross(x, y, z, w)
    x, y, z, w = (tf.bitwise.bitwise_xor(word, _shift_right(word, 16)) for word in (x, y, z, w))
    return _cross(x, y, z, w)


def _shift_right(words, bits):
    return tf.bitwise.right_shift(words, tf.constant(bits, tf.uint32))


def _cross(x, y, z, w):
    x += y * w
    y += z * x
    z += x * y
    w += y * z
    return x, y, z, w
