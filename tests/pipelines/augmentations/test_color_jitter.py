import colorsys

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.augmentations.color_jitter import color_jitter

COUNT = 64
KEYS = keyed_random.example_keys(0, 0, tf.range(COUNT))
OFF = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "probability": 1.0}


def images(low=0.3, high=0.7, channels=3):
    return np.random.RandomState(0).uniform(low, high, (COUNT, 4, 5, channels)).astype(np.float32)


def jitter(pixels, **arguments):
    return color_jitter(tf.constant(pixels), KEYS, **OFF | arguments).numpy()


def spread(numbers, low, high):
    """Whether the numbers fill [low, high] and nothing else."""
    reach = high - low
    assert low - 1e-4 <= numbers.min() < low + 0.2 * reach
    assert high - 0.2 * reach < numbers.max() <= high + 1e-4


def hsv(pixels):
    return np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels.reshape(-1, 3).tolist()])


def test_nothing():
    np.testing.assert_allclose(jitter(images()), images(), atol=1e-6)


def test_brightness_is_one_shift_of_an_image():
    shift = jitter(images(), brightness=0.3) - images()
    assert np.ptp(shift, axis=(1, 2, 3)).max() < 1e-5
    spread(shift[:, 0, 0, 0], -0.3, 0.3)


def test_contrast_scales_around_the_mean():
    before, after = images(0.4, 0.6), jitter(images(0.4, 0.6), contrast=0.8)
    np.testing.assert_allclose(after.mean((1, 2)), before.mean((1, 2)), atol=1e-5)
    factor = (after - after.mean((1, 2), keepdims=True)).std((1, 2)) / before.std((1, 2))
    assert np.ptp(factor, axis=1).max() < 1e-4
    spread(factor[:, 0], 0.2, 1.8)


def test_saturation_is_scaled():
    before, after = images(0.5, 0.7), jitter(images(0.5, 0.7), saturation=0.9)
    h, s, v = hsv(before).T
    new_h, new_s, new_v = hsv(after).T
    np.testing.assert_allclose(new_v, v, atol=1e-5)
    factor = (new_s / s).reshape(COUNT, -1)
    assert np.ptp(factor, axis=1).max() < 1e-3
    spread(factor[:, 0], 0.1, 1.9)
    clear = new_s > 0.02
    assert np.abs(np.sin(np.pi * (new_h - h)))[clear].max() < 1e-3


def test_hue_is_turned():
    h, s, v = hsv(images()).T
    new_h, new_s, new_v = hsv(jitter(images(), hue=0.2)).T
    np.testing.assert_allclose(new_s, s, atol=1e-4)
    np.testing.assert_allclose(new_v, v, atol=1e-5)
    turn = ((new_h - h + 0.5) % 1 - 0.5).reshape(COUNT, -1)
    clear = (s > 0.05).reshape(COUNT, -1)
    middle = np.array([np.median(row[ok]) for row, ok in zip(turn, clear, strict=True)])
    assert np.abs(turn - middle[:, np.newaxis])[clear].max() < 1e-3
    spread(middle, -0.2, 0.2)


def test_probability():
    changed = jitter(images(), brightness=0.5, probability=0.25) != images()
    assert 0.05 < changed.any((1, 2, 3)).mean() < 0.45
    assert not np.any(jitter(images(), brightness=0.5, probability=0.0) != images())


def test_grey_images_have_no_colour_to_change():
    grey = images(channels=1)
    np.testing.assert_allclose(jitter(grey, saturation=0.9, hue=0.4), grey, atol=1e-6)
    assert np.any(jitter(grey, brightness=0.4) != grey)


def test_some_are_made_grey():
    pixels = images()
    result = jitter(pixels, grey=0.3)
    grey = np.ptp(result, axis=3).max((1, 2)) < 1e-6
    assert 0.15 < grey.mean() < 0.45
    np.testing.assert_array_equal(result[~grey], jitter(pixels)[~grey])
    luma = pixels.astype(np.float64) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(result[grey][..., 0], luma[grey], atol=1e-3)
    assert np.ptp(jitter(pixels, grey=1.0), axis=3).max() < 1e-6
    np.testing.assert_array_equal(jitter(images(channels=1), grey=1.0), images(channels=1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("brightness", -0.1),
        ("contrast", 1.1),
        ("saturation", 2.0),
        ("hue", 0.6),
        ("probability", 1.5),
        ("grey", -0.5),
    ],
)
def test_arguments_out_of_range(name, value):
    with pytest.raises(UserError, match=f"color_jitter: .*{name}.* in"):
        jitter(images(), **{name: value})
