import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.augmentations.crop import crop


def oracle(image, row, column, padding):
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
    return padded[row : row + image.shape[0], column : column + image.shape[1]]


@pytest.mark.parametrize(("padding", "channels"), [(1, 1), (2, 3), (5, 3)])
def test_every_crop_is_one_of_those_there_are(padding, channels):
    count, reach = 400, 2 * padding + 1
    images = np.random.RandomState(0).rand(count, 4, 6, channels).astype(np.float32)
    keys = keyed_random.example_keys(0, 0, tf.range(count))
    result = crop(tf.constant(images), keys, padding=padding).numpy()
    offsets = keyed_random.integers(keyed_random.fold(keys, "crop"), [2], reach).numpy()
    for image, cropped, (row, column) in zip(images, result, offsets, strict=True):
        np.testing.assert_array_equal(cropped, oracle(image, row, column, padding))
    # Every offset occurs, in rows as in columns, about equally often.
    for axis in range(2):
        share = np.bincount(offsets[:, axis], minlength=reach) / count
        assert np.all(np.abs(share - 1 / reach) < 5 / np.sqrt(count * reach))


def test_no_padding_changes_nothing():
    images = tf.random.stateless_uniform([3, 4, 4, 3], [0, 0])
    keys = keyed_random.example_keys(0, 0, tf.range(3))
    np.testing.assert_array_equal(crop(images, keys, padding=0), images)


def test_other_types_of_pixel():
    images = tf.constant(np.arange(3 * 4 * 4 * 1).reshape(3, 4, 4, 1), tf.uint8)
    keys = keyed_random.example_keys(0, 0, tf.range(3))
    as_float = crop(tf.cast(images, tf.float32), keys, padding=2)
    np.testing.assert_array_equal(crop(images, keys, padding=2), tf.cast(as_float, tf.uint8))


def test_negative_padding():
    with pytest.raises(UserError, match="padding=-1"):
        crop(tf.zeros([1, 4, 4, 1]), keyed_random.example_keys(0, 0, [0]), padding=-1)
