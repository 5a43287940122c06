import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.augmentations.cutout import cutout


@pytest.mark.parametrize("size", [4, 5])
def test_one_square_is_black(size):
    count = 300
    keys = keyed_random.example_keys(0, 0, tf.range(count))
    result = cutout(tf.ones([count, 10, 12, 3]), keys, size=size).numpy()
    whole = 0
    for image in result:
        assert np.all((image == 0) | (image == 1))
        black = image[..., 0] == 0
        np.testing.assert_array_equal(image[..., 2] == 0, black)
        rows, columns = np.flatnonzero(black.any(1)), np.flatnonzero(black.any(0))
        np.testing.assert_array_equal(black, np.outer(black.any(1), black.any(0)))
        assert 1 <= len(rows) <= size
        assert 1 <= len(columns) <= size
        assert np.all(np.diff(rows) == 1)
        assert np.all(np.diff(columns) == 1)
        whole += len(rows) == len(columns) == size
    assert 0.2 * count < whole < count
    assert np.all((result[..., 0] == 0).any(0))  # No pixel is always spared.


def test_size_that_is_not_positive():
    with pytest.raises(UserError, match="size=0"):
        cutout(tf.ones([1, 4, 4, 1]), keyed_random.example_keys(0, 0, [0]), size=0)
