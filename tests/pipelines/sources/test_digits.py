import numpy as np
import sklearn.datasets

from anchor_tf.pipelines.sources.digits import digits


def test_sizes_and_pixels():
    data = digits()
    assert [len(s) for s in (data.train, data.validation, data.test)] == [1293, 144, 360]
    assert data.image_shape == (8, 8, 1)
    assert data.class_names == tuple("0123456789")
    for split in (data.train, data.validation, data.test):
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int32
        assert split.images.min() == 0.0
        assert split.images.max() == 1.0


def test_indices_point_into_load_digits():
    data, source = digits(), sklearn.datasets.load_digits()
    for name in ("train", "validation", "test"):
        split, indices = getattr(data, name), data.indices[name]
        np.testing.assert_array_equal(split.images[..., 0] * 16, source.images[indices])
        np.testing.assert_array_equal(split.labels, source.target[indices])
    assert sorted(np.concatenate(list(data.indices.values()))) == list(range(1797))


def test_every_split_is_stratified():
    data = digits()
    whole = np.bincount(sklearn.datasets.load_digits().target)
    for split in (data.train, data.validation, data.test):
        shares = whole * len(split) / 1797
        assert np.all(np.abs(np.bincount(split.labels) - shares) < 2)


def test_the_split_is_fixed():
    indices = digits().indices
    assert indices["test"][:8] == [13, 25, 33, 35, 56, 58, 65, 66]
    assert sum(indices["test"]) == 315850
    assert sum(indices["validation"]) == 132896


def test_no_mirrored_digits():
    assert "flip" not in digits().recipe.augment
