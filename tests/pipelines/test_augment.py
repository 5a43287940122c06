import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines import augment

IMAGES = tf.constant(np.random.RandomState(0).rand(16, 8, 8, 3), tf.float32)
KEYS = keyed_random.example_keys(0, 0, tf.range(16))


def apply(text):
    return augment.build(augment.check(text))(IMAGES, KEYS).numpy()


@pytest.mark.parametrize("text", ["", "none", " none "])
def test_nothing(text):
    assert augment.check(text) == []
    np.testing.assert_array_equal(apply(text), IMAGES)


def test_a_list_is_applied_in_order():
    assert [s.name for s in augment.check("crop(padding=2), flip")] == ["crop", "flip"]
    assert np.any(apply("cutout,crop") != apply("crop,cutout"))


def test_arguments_are_passed_on():
    np.testing.assert_array_equal(apply("crop(padding=0)"), IMAGES)
    assert np.any(apply("crop(padding=1)") != IMAGES)


def test_two_of_a_kind_are_independent():
    once, twice = apply("flip"), apply("flip,flip")
    assert np.any(twice != IMAGES)
    assert np.any(twice != once)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crup", "unknown augmentation 'crup': did you mean crop"),
        ("crop(pading=4)", "did you mean padding"),
        ("crop(padding=wide)", "should be int"),
        ("flip(axis=1)", "takes none"),
        ("none,flip", "unknown augmentation 'none'"),
        ("crop(padding=4", "not closed"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(UserError, match=message):
        augment.check(text)
