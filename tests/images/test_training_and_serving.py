"""The same files in a folder to train on and in requests: equal pixels, or near ones if resized."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from anchor_tf.images import encoded_image
from anchor_tf.pipelines.sources.folder import folder
from anchor_tf.serving import request_images
from tests.images.test_same_pixels import HEIGHT, JPEGS, ORIENTATIONS, PNGS, WIDTH

FILES = [*PNGS.values(), *JPEGS.values(), *(encoded for _, encoded in ORIENTATIONS.values())]


def trained(root, mode, files, **arguments):
    """What the folder source makes of files among plain images of the model's kind."""
    for part in ("train", "test"):
        for name in ("kinds", "plain"):
            (root / part / name).mkdir(parents=True)
            for number in range(6):
                colour = number if mode == "L" else (number, 0, 0)
                image = Image.new(mode, (WIDTH, HEIGHT), colour)
                image.save(root / part / name / f"x{number}.png")
    for number, encoded in enumerate(files):
        (root / "test" / "kinds" / f"a{number:03}.png").write_bytes(encoded)
    return folder(path=str(root), **arguments).test.images[: len(files)]


def served(files, *image_shape):
    """What the graph of an exported model makes of the same files."""
    decoded = tf.function(lambda encoded: request_images.decode_images(encoded, image_shape))
    return decoded(tf.constant(files)).numpy()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_at_the_models_size(tmp_path, mode):
    size = (WIDTH, HEIGHT)
    files = [one for one in FILES if encoded_image.opened(io.BytesIO(one)).size == size]
    assert len(files) > 50
    expected = trained(tmp_path, mode, files)
    found = served(files, HEIGHT, WIDTH, len(mode))
    np.testing.assert_array_equal(found, expected / np.float32(255))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [5, 9, 16])
def test_resized(tmp_path, mode, size):
    expected = trained(tmp_path, mode, FILES, image_size=size)
    difference = 255 * served(FILES, size, size, len(mode)) - expected
    assert np.abs(difference).max() <= 1.01
    assert abs(difference.mean()) < 0.1
