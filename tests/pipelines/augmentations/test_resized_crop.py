import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.augmentations.resized_crop import resized_crop

COUNT = 400
KEYS = keyed_random.example_keys(0, 0, tf.range(COUNT))


def ramps(height=9, width=13):
    """Two channels that rise evenly down and across: an enlarged part tells where it lay."""
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.tile(np.stack([down, across], -1).astype(np.float32), (COUNT, 1, 1, 1))


def parts(**arguments):
    """Each part's upper and lower end, left and right end, in [0, 1]."""
    result = resized_crop(tf.constant(ramps()), KEYS, **arguments).numpy()
    down, across = result[..., 0], result[..., 1]
    assert np.ptp(down, axis=2).max() < 1e-5  # rows stay rows
    assert np.ptp(across, axis=1).max() < 1e-5
    np.testing.assert_allclose(np.diff(down[:, :, 0], 2, axis=1), 0.0, atol=1e-5)  # evenly
    return down[:, 0, 0], down[:, -1, 0], across[:, 0, 0], across[:, 0, -1]


def test_parts_lie_inside_and_have_the_areas_and_shapes_asked_for():
    top, bottom, left, right = parts(smallest=0.2, aspect=1.5)
    height, width = bottom - top, right - left
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= 1
    whole = (height < 0.999) & (width < 0.999)  # none of those that were cut short
    assert whole.mean() > 0.6
    area, shape = (height * width)[whole], (height / width)[whole]
    assert 0.2 - 1e-4 <= area.min() < 0.23
    assert 0.8 < area.max() <= 1
    assert 1 / 1.5 - 1e-4 <= shape.min() < 0.70
    assert 1.43 < shape.max() <= 1.5 + 1e-4
    assert 0.4 < (shape > 1).mean() < 0.6
    roomy = (height < 0.95) & (width < 0.95)
    down, across = top[roomy] / (1 - height[roomy]), left[roomy] / (1 - width[roomy])
    for place in (down, across):
        assert place.min() < 0.05
        assert place.max() > 0.95
        assert 0.45 < place.mean() < 0.55
    assert abs(np.corrcoef(down, across)[0, 1]) < 0.2


def test_squares_of_a_quarter_of_the_area():
    top, bottom, left, right = parts(smallest=0.25, aspect=1.0)
    np.testing.assert_allclose(bottom - top, right - left, atol=1e-5)
    assert 0.5 - 1e-4 <= (bottom - top).min() < 0.52


def test_the_whole_image_is_itself():
    images = tf.random.stateless_uniform([COUNT, 6, 8, 3], [0, 0])
    same = resized_crop(images, KEYS, smallest=1.0, aspect=1.0)
    np.testing.assert_allclose(same, images, atol=1e-5)


@pytest.mark.parametrize(("name", "value"), [("smallest", 0.0), ("smallest", 1.1), ("aspect", 0.9)])
def test_arguments_out_of_range(name, value):
    with pytest.raises(UserError, match=f"resized_crop: .*{name}"):
        resized_crop(tf.constant(ramps()), KEYS, **{name: value})
