"""Images as a served model gets them from anyone: checked and decoded within its graph."""

import tensorflow as tf

ROUNDING = 1e-3  # how far outside [0, 1] a pixel may lie
LARGEST = 2**25  # pixels of an encoded image, 5,792 x 5,792; ten are decoded at a time
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_HEADER = 24  # bytes of a PNG up to its height; no JPEG is so short


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

    An image of another size is resized bilinearly with antialiasing; one of the right size passes
    unchanged. Grey images become RGB, or RGB images grey, as C asks.

    Raises:
        InvalidArgumentError: when it runs: a string that is neither JPEG nor PNG, is damaged, or
            says that it holds more than `LARGEST` pixels, which are then not decoded.
    """
    height, width, channels = image_shape

    def decode(encoded):
        with tf.control_dependencies(_checks(encoded)):
            pixels = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
        pixels.set_shape([None, None, channels])
        resized = tf.image.resize(pixels, [height, width], antialias=True)
        return tf.clip_by_value(resized / 255.0, 0.0, 1.0)

    signature = tf.TensorSpec(image_shape, tf.float32)
    return tf.map_fn(decode, image_bytes, fn_output_signature=signature)


def _checks(encoded: tf.Tensor) -> list[tf.Operation]:
    """Operations that fail on an encoded image which should not be decoded."""
    png = tf.equal(tf.strings.substr(encoded, 0, 8), _PNG)
    jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), _JPEG)
    long = tf.strings.length(encoded) >= _HEADER
    known = tf.debugging.Assert((png | jpeg) & long, ["image_bytes should be JPEG or PNG"])
    with tf.control_dependencies([known]):
        size = tf.cond(png, lambda: _png_size(encoded), lambda: _jpeg_size(encoded))
    message = f"image_bytes should hold at most {LARGEST} pixels an image, not"
    return [tf.debugging.Assert(tf.reduce_prod(size) <= LARGEST, [message, size])]


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    """Width and height as the header of a PNG gives them: int64 [2]."""
    words = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)
    words.set_shape([2])
    # Zero would hide the other factor; the decoder refuses it.
    return tf.maximum(tf.cast(words, tf.int64), 1)


def _jpeg_size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width as the header of a JPEG gives them: int64 [2]."""
    return tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64)
