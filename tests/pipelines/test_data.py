import dataclasses

import numpy as np
import pytest

from anchor_tf.errors import UserError
from anchor_tf.pipelines.data import ImageData, Split, check_split, recipe_for


def image_data(images):
    split = Split(images, np.zeros(len(images), np.int32))
    return ImageData("x", split, split, split, ("a", "b"), recipe_for(images.shape[1:]), {})


def random_images(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def test_shape_and_classes():
    data = image_data(random_images(5, 6, 7, 3))
    assert data.image_shape == (6, 7, 3)
    assert data.classes == 2
    assert len(data.train) == 5


def test_mean_and_std_are_numpys_in_unit_range():
    images = random_images(9000, 3, 2, 3)
    images[..., 1] //= 3
    mean, std = image_data(images).channel_mean_and_std()
    np.testing.assert_allclose(mean, (images / 255.0).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255.0).std((0, 1, 2)), rtol=1e-10)


def test_mean_and_std_of_float_images_are_not_rescaled():
    images = random_images(20, 4, 4, 1).astype(np.float32) / 255.0
    mean, std = image_data(images).channel_mean_and_std()
    np.testing.assert_allclose(mean, images.astype(np.float64).mean(), rtol=1e-10)
    np.testing.assert_allclose(std, images.astype(np.float64).std(), rtol=1e-10)


@pytest.mark.parametrize("value", [np.uint8(7), np.float32(0.3)])
def test_a_constant_channel_has_std_one(value):
    images = np.full((100, 5, 5, 1), value)
    assert image_data(images).channel_mean_and_std()[1] == (1.0,)


def test_recipes_follow_the_shape():
    mnist, cifar = recipe_for((28, 28, 1)), recipe_for((32, 32, 3))
    assert (mnist.backbone, mnist.epsilon, mnist.augment) == (
        "mnist_small",
        0.3,
        "crop(padding=2)",
    )
    assert (cifar.backbone, cifar.epsilon) == ("resnet(depth=18)", 8 / 255)
    assert cifar.augment == "crop(padding=4),flip"
    assert recipe_for((32, 32, 3), flip=False).augment == "crop(padding=4)"
    assert recipe_for((64, 96, 1)).augment == "crop(padding=8)"


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((3, 4, 4, 3), [0, 1], "3 images but 2 labels"),
        ((0, 4, 4, 3), [], "no images"),
        ((2, 4, 4, 2), [0, 1], "grey or RGB"),
        ((2, 4, 4), [0, 1], "grey or RGB"),
        ((2, 4, 4, 1), [0, 2], "label 2 is out of range; there are 2"),
        ((2, 4, 4, 1), [-1, 1], "label -1 is out of range"),
    ],
)
def test_check_split_refuses(shape, labels, message):
    split = Split(np.zeros(shape, np.uint8), np.array(labels, np.int32))
    with pytest.raises(UserError, match=f"^here: .*{message}"):
        check_split(split, 2, "here")


def test_check_split_accepts():
    check_split(Split(random_images(2, 4, 4, 3), np.array([0, 1], np.int32)), 2, "here")


def test_the_data_cannot_be_reassigned():
    data = image_data(random_images(2, 4, 4, 3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "y"


@pytest.mark.parametrize(
    ("images", "warned"),
    [
        (random_images(5, 6, 7, 3), 0),
        (random_images(5, 6, 7, 3) // 255, 2),
        (np.zeros((5, 6, 7, 3), np.uint8), 2),
        (np.uint8(random_images(5, 6, 7, 3) > 100) * np.uint8(2), 0),
        (np.float32(random_images(5, 6, 7, 3) / 255.0), 0),
        (np.float32(random_images(5, 6, 7, 3) / 255.0**2), 2),
        (np.float32(random_images(5, 6, 7, 3) > 100), 0),
        (np.float32(random_images(5, 6, 7, 3) / 255.0 * 0.1), 0),
        (np.uint8(np.arange(9000).reshape(9000, 1, 1, 1) == 8999) * np.uint8(9), 0),
    ],
)
def test_images_that_are_nearly_black_are_warned_of(images, warned):
    warnings = image_data(images).warnings
    assert len(warnings) == warned
    assert all("nearly black" in warning for warning in warnings)
