"""What every augmentation promises, whatever it does to the images."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random, specs
from anchor_tf.pipelines import augment

ALL = specs.known("anchor_tf.pipelines.augmentations")
FAMILY = "anchor_tf.pipelines.augmentations"


def batch(channels=3, count=24, size=16):
    images = np.random.RandomState(0).randint(0, 256, (count, size, size, channels))
    return tf.constant(images / 255.0, tf.float32)


def keys(count=24, seed=0):
    return keyed_random.example_keys(seed, 0, tf.range(count))


def function(name):
    return augment.build(augment.check(name))


def test_all_are_there():
    assert {"crop", "flip", "color_jitter", "cutout", "rand_augment", "resized_crop"} <= set(ALL)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ALL)
def test_shape_type_and_range_are_kept(name, channels):
    images = batch(channels)
    result = function(name)(images, keys())
    assert result.shape == images.shape
    assert result.dtype == tf.float32
    assert 0.0 <= float(tf.reduce_min(result)) <= float(tf.reduce_max(result)) <= 1.0
    changed = tf.reduce_any(result != images, axis=(1, 2, 3))
    assert float(tf.reduce_mean(tf.cast(changed, tf.float32))) > 0.3


@pytest.mark.parametrize("name", ALL)
def test_a_dataset_gives_what_eager_gives(name):
    images, apply = batch(), function(name)
    dataset = tf.data.Dataset.from_tensors((images, keys()))
    mapped = next(iter(dataset.map(apply, num_parallel_calls=2)))
    np.testing.assert_allclose(mapped, apply(images, keys()), atol=1e-6)
    plain = dataset.map(tf.autograph.experimental.do_not_convert(apply))
    np.testing.assert_array_equal(next(iter(plain)), mapped)
    assert plain.element_spec.shape == images.shape


@pytest.mark.parametrize("name", ALL)
def test_the_keys_decide(name):
    images, apply = batch(), function(name)
    first, again, other = (apply(images, keys(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first.numpy() != other.numpy())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ALL)
def test_an_image_does_not_depend_on_its_batch(name, channels):
    images, apply = batch(channels), function(name)
    whole = apply(images, keys())
    for row in range(0, 24, 5):
        alone = apply(images[row : row + 1], keys()[row : row + 1])
        np.testing.assert_array_equal(alone[0], whole[row])


@pytest.mark.parametrize("name", ALL)
def test_equal_images_are_changed_in_different_ways(name):
    images = tf.repeat(batch(count=1), 24, axis=0)
    result = function(name)(images, keys()).numpy()
    assert len({image.tobytes() for image in result}) > 1


@pytest.mark.parametrize("name", ALL)
def test_an_empty_batch(name):
    assert function(name)(batch()[:0], keys()[:0]).shape == (0, 16, 16, 3)
