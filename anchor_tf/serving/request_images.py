"""Images as a served model gets them from anyone: checked and decoded within its graph."""

import numpy as np
import tensorflow as tf

from anchor_tf.images import decode

ROUNDING = 1e-3  # how far outside [0, 1] a pixel may lie
_FLOATS = np.arange(256, dtype=np.float32) / np.float32(255)  # of a pixel's 8 bits


def check_images(images: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """Refuses what is not an image of the model's kind, before it gets a meaningless answer.

    Args:
        images: float32 of any shape.
        image_shape: height, width and channels of the model's images.

    Returns:
        The images [B, H, W, C], pixels in [0, 1]: those up to `ROUNDING` outside are clipped.

    Raises:
        InvalidArgumentError: when it runs: another shape, pixels further outside, or NaN.
    """
    images = tf.ensure_shape(images, [None, *image_shape])
    # Written so that NaN is outside: ReLU would turn it into a black pixel without a word.
    inside = tf.reduce_all((images >= -ROUNDING) & (images <= 1.0 + ROUNDING))
    message = "images should hold pixels in [0, 1] and no NaN"
    with tf.control_dependencies([tf.debugging.Assert(inside, [message])]):
        return tf.clip_by_value(images, 0.0, 1.0)


def decode_images(image_bytes: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """Decodes JPEG or PNG strings [B] to float32 [B, H, W, C] in [0, 1].

    They are decoded as in training (see `images.rules`). An image of another size is resized
    bilinearly with antialiasing; one of the right size passes unchanged. Grey images become RGB, or
    RGB images grey, as C asks.

    Raises:
        InvalidArgumentError: when it runs: see `decode.decode`.
    """
    height, width, channels = image_shape

    def decoded(encoded):
        pixels = decode.decode(encoded, channels)
        fits = tf.reduce_all(tf.shape(pixels)[:2] == [height, width])
        return tf.cond(fits, lambda: unchanged(pixels), lambda: resized(pixels))

    def unchanged(pixels):
        # A table: the graph's optimizer turns a division into a product, which rounds otherwise.
        return tf.gather(_FLOATS, tf.cast(pixels, tf.int32))

    def resized(pixels):
        floats = tf.image.resize(pixels, [height, width], antialias=True)
        return tf.clip_by_value(floats / 255.0, 0.0, 1.0)

    signature = tf.TensorSpec(image_shape, tf.float32)
    with tf.device("CPU"):  # many small operations, of no use to a GPU
        return tf.map_fn(decoded, image_bytes, fn_output_signature=signature)
