import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.pipelines.augmentations.flip import flip


def test_half_of_the_images_are_mirrored():
    images = np.random.RandomState(0).rand(1000, 3, 5, 3).astype(np.float32)
    keys = keyed_random.example_keys(0, 0, tf.range(1000))
    result = flip(tf.constant(images), keys).numpy()
    same = np.all(result == images, axis=(1, 2, 3))
    mirrored = np.all(result == images[:, :, ::-1], axis=(1, 2, 3))
    assert np.all(same ^ mirrored)
    assert 0.43 < mirrored.mean() < 0.57
