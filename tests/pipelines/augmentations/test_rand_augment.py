import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.augmentations import rand_augment as module
from anchor_tf.pipelines.augmentations.rand_augment import equalize, rand_augment


def images(count=4, size=12, seed=0, low=0, high=256):
    pixels = np.random.RandomState(seed).randint(low, high, (count, size, size, 3))
    return pixels.astype(np.uint8)


@pytest.mark.parametrize(
    ("low", "high", "size"), [(0, 256, 32), (90, 130, 32), (60, 70, 8), (3, 4, 8)]
)
def test_equalize_is_pillows(low, high, size):
    pixels = images(4, size, low=low, high=high)
    expected = [np.asarray(ImageOps.equalize(Image.fromarray(image))) for image in pixels]
    result = equalize(tf.constant(pixels / 255.0, tf.float32)) * 255.0
    np.testing.assert_allclose(result, np.stack(expected), atol=1e-3)


def test_each_image_gets_the_operation_chosen_for_it():
    pixels = tf.constant(images(6) / 255.0, tf.float32)
    draws = tf.range(6.0)[:, tf.newaxis]
    choices = [lambda x, draw: x, lambda x, draw: x + draw[:, None, None, None]]
    chosen = tf.constant([1, 0, 0, 1, 1, 0])
    result = module._apply_chosen(pixels, draws, chosen, choices)
    shift = np.array([0, 0, 0, 3, 4, 0]).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(result - pixels, np.broadcast_to(shift, pixels.shape), atol=1e-6)


def test_operations_are_drawn_evenly(monkeypatch):
    def constants(magnitude, channels):
        return [lambda x, *draws, value=value: tf.ones_like(x) * value / 10 for value in range(10)]

    monkeypatch.setattr(module, "_choices", constants)
    keys = keyed_random.example_keys(0, 0, tf.range(2000))
    result = rand_augment(tf.zeros([2000, 1, 1, 3]), keys, operations=1)
    share = np.bincount(np.round(result.numpy().ravel() * 10).astype(int)) / 6000
    np.testing.assert_allclose(share, 0.1, atol=0.03)


def test_one_after_the_other(monkeypatch):
    monkeypatch.setattr(module, "_choices", lambda m, c: [lambda x, *draws: x + 0.1])
    keys = keyed_random.example_keys(0, 0, tf.range(2))
    result = rand_augment(tf.zeros([2, 3, 3, 1]), keys, operations=4)
    np.testing.assert_allclose(result, 0.4, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_differs_and_stays_in_range(channels):
    pixels = tf.constant(images(8)[..., :channels] / 255.0 * 0.5 + 0.2, tf.float32)
    draws = tf.unstack(tf.random.stateless_uniform([3, 8], [0, 0], -1.0, 1.0))
    results = [choice(pixels, *draws).numpy() for choice in module._choices(0.5, channels)]
    assert len(results) == 10 + (channels == 3)
    np.testing.assert_array_equal(results[0], pixels)
    assert len({result.tobytes() for result in results}) == len(results)
    for result in results:
        assert result.shape == pixels.shape
        assert -1e-5 <= result.min() <= result.max() <= 1 + 1e-5


def test_a_larger_magnitude_changes_more():
    pixels = tf.constant(images(64) / 255.0, tf.float32)
    draws = tf.unstack(tf.random.stateless_uniform([3, 64], [0, 0], -1.0, 1.0))

    def change(number, magnitude):
        result = module._choices(magnitude, 3)[number](pixels, *draws)
        return float(tf.reduce_mean(tf.abs(result - pixels)))

    for number in range(3, 11):
        assert change(number, 0.1) < change(number, 0.6)


def test_operations_get_numbers_of_the_kinds_they_expect(monkeypatch):
    seen = []

    def record(x, *draws):
        seen.append(np.stack(draws))
        return x

    monkeypatch.setattr(module, "_choices", lambda m, c: [record])
    keys = keyed_random.example_keys(0, 0, tf.range(4000))
    rand_augment(tf.zeros([4000, 1, 1, 1]), keys, operations=2)
    uniform, normal, other = seen[0]
    assert -1 <= uniform.min() < -0.99 < 0.99 < uniform.max() < 1
    np.testing.assert_allclose([normal.mean(), other.mean(), uniform.mean()], 0, atol=0.06)
    np.testing.assert_allclose([normal.std(), other.std()], 1, atol=0.06)
    correlation = np.corrcoef(np.concatenate(seen))
    np.testing.assert_allclose(correlation, np.eye(6), atol=0.07)


@pytest.mark.parametrize("wrong", [{"operations": 0}, {"magnitude": 1.5}, {"magnitude": -0.1}])
def test_arguments_out_of_range(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        rand_augment(tf.zeros([1, 4, 4, 3]), keyed_random.example_keys(0, 0, [0]), **wrong)
