import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.pipelines.augmentations import keras_cv_layers as layers

IMAGES = np.random.RandomState(0).uniform(0.2, 0.8, (3, 6, 8, 3)).astype(np.float32)


def column(numbers):
    return np.reshape(numbers, (-1, 1, 1, 1))


def close(result, expected):
    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_brightness():
    shift = np.array([-0.5, 0.0, 0.1], np.float32)
    close(layers.brightness(tf.constant(IMAGES), shift), np.clip(IMAGES + column(shift), 0, 1))


def test_contrast():
    factor = np.array([0.0, 1.0, 3.0], np.float32)
    mean = IMAGES.mean((1, 2), keepdims=True)
    expected = np.clip((IMAGES - mean) * column(factor) + mean, 0, 1)
    close(layers.contrast(tf.constant(IMAGES), tf.constant(factor)), expected)


def test_grey():
    share = np.array([0.0, 0.5, 1.0], np.float32)
    luminance = IMAGES @ np.array([[0.2989], [0.587], [0.114]])
    expected = IMAGES + column(share) * (luminance - IMAGES)
    np.testing.assert_allclose(layers.grey(IMAGES, share), expected, atol=2e-4)


def test_auto_contrast():
    low, high = IMAGES.min((1, 2), keepdims=True), IMAGES.max((1, 2), keepdims=True)
    close(layers.auto_contrast(IMAGES), (IMAGES - low) / (high - low))
    flat = np.full((1, 4, 4, 1), 0.3, np.float32)
    close(layers.auto_contrast(flat), flat)


def test_solarize():
    addition, threshold = np.array([0.0, 20.0, 110.0]), np.array([255.0, 128.0, 0.0])
    shifted = np.clip(IMAGES * 255 + column(addition), 0, 255)
    expected = np.where(shifted < column(threshold), shifted, 255 - shifted) / 255
    result = layers.solarize(IMAGES, addition.astype(np.float32), threshold.astype(np.float32))
    close(result, expected)


def test_translate_by_whole_pixels():
    x, y = np.array([0.25, 0.0, -0.125], np.float32), np.array([0.0, 0.5, 0.0], np.float32)
    result = layers.translate(tf.constant(IMAGES), tf.constant(x), tf.constant(y)).numpy()
    close(result[0, :, 2:], IMAGES[0, :, :-2])
    close(result[0, :, :2], IMAGES[0, :, 1::-1])
    close(result[1, 3:], IMAGES[1, :3])
    close(result[2, :, :-1], IMAGES[2, :, 1:])


def test_shear_by_whole_pixels():
    x, y = np.array([1.0, 0.0, 0.0], np.float32), np.array([0.0, 0.0, -1.0], np.float32)
    result = layers.shear(tf.constant(IMAGES), tf.constant(x), tf.constant(y)).numpy()
    for row in range(6):
        close(result[0, row, : 8 - row], IMAGES[0, row, row:])
    close(result[1], IMAGES[1])
    for col in range(6):
        close(result[2, col:, col], IMAGES[2, : 6 - col, col])


def test_cutout():
    x, y = np.array([4, 0, 7], np.int32), np.array([3, 0, 5], np.int32)
    expected = IMAGES.copy()
    expected[0, 2:4, 3:5] = 0
    expected[1, :1, :1] = 0
    expected[2, 4:, 6:] = 0
    np.testing.assert_array_equal(layers.cutout(tf.constant(IMAGES), x, y, 2), expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_global_precision_does_not_blur_the_images(policy):
    before = keras.config.dtype_policy()
    layers._layer.cache_clear()
    keras.config.set_dtype_policy(policy)
    try:
        result = layers.auto_contrast(IMAGES)
    finally:
        keras.config.set_dtype_policy(before)
    assert result.dtype == tf.float32
    test_auto_contrast()
