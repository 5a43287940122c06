"""Verification allows what float32 rounds to, and no more."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.evaluation.verification import AttackError, verify
from anchor_tf.threat import Threat

IMAGENET, CIFAR, ONE = (224, 224, 3), (32, 32, 3), (1, 1, 1)


@pytest.mark.parametrize("box", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (1000.0, 1001.0)])
@pytest.mark.parametrize(
    ("norm", "shape", "share"),
    [
        ("linf", ONE, 8 / 255),
        ("linf", IMAGENET, 8 / 255),
        ("linf", IMAGENET, 1e-5),
        ("l2", ONE, 0.4),
        ("l2", CIFAR, 0.5),
        ("l2", CIFAR, 1e-5),
        ("l2", IMAGENET, 0.5),
        ("l2", IMAGENET, 1e-5),
        ("l2", IMAGENET, 100.0),
    ],
)
def test_a_projected_image_is_inside_and_one_clearly_farther_is_not(norm, shape, share, box):
    low, high = box
    draws = np.random.default_rng(0)
    images = draws.uniform(low, high, (2, *shape)).astype(np.float32)
    images[0] = np.round(images[0])  # grey levels, some of them at the edge
    threat = Threat(norm, share * (high - low), low, high)
    far = images + draws.normal(size=images.shape).astype(np.float32) * (high - low)
    found = threat.project(tf.constant(far), tf.constant(images)).numpy()
    verify("test", found, images, threat)
    # A percent of the radius, and 32 units in the last place of every pixel.
    steps = 32 * np.spacing(np.float32(max(abs(low), abs(high))))
    excess = 0.01 * threat.epsilon + steps * (1 if norm == "linf" else np.sqrt(np.prod(shape)))
    middle = np.full_like(images, (low + high) / 2)
    direction = np.sign(far - images).astype(np.float64).reshape(2, -1)
    direction /= np.linalg.norm(direction, np.inf if norm == "linf" else 2, axis=1)[:, np.newaxis]
    moved = middle + (threat.epsilon + excess) * direction.reshape(images.shape)
    with pytest.raises(AttackError, match=f"left the {norm} ball"):
        verify("test", moved.astype(np.float32), middle, threat)


@pytest.mark.parametrize("high", [1.0, 255.0])
@pytest.mark.parametrize("shape", [CIFAR, IMAGENET])
def test_rounding_at_its_worst_is_allowed(shape, high):
    """Every pixel moves by little more than half of what float32 can resolve, and so by all."""
    pixels = np.random.default_rng(0).uniform(0.6, 0.9, (2, *shape)) * high
    images = tf.constant(pixels, tf.float32)
    sides = tf.constant(np.random.default_rng(1).choice([-1.0, 1.0], pixels.shape), tf.float32)
    step = np.spacing(np.float32(0.6 * high))
    threat = Threat("l2", 0.51 * float(step) * float(np.sqrt(np.prod(shape))), 0.0, high)
    found = threat.project(images + high / 10 * sides, images)
    assert np.min(threat.distance(found, images)) > 1.9 * threat.epsilon
    verify("test", found.numpy(), images.numpy(), threat)


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.7), (np.float64(0.1), np.float64(0.7))])
def test_the_bounds_of_the_box_are_those_of_float32(low, high):
    threat = Threat("linf", 0.1, low, high)
    images = np.array([0.1, 0.4, 0.7], np.float32).reshape(1, 3, 1, 1)
    verify("test", images, images, threat)
    for outside in (np.nextafter(images[:, :1], 0), np.nextafter(images[:, 2:], 1)):
        with pytest.raises(AttackError, match="left the box"):
            verify("test", outside, outside, threat)
