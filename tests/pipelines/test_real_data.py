"""Loads real data from the folder that ANCHOR_DATA_DIR names."""

import os
import pathlib
import tarfile

import numpy as np
import pytest

from anchor_tf.pipelines.sources.folder import folder
from anchor_tf.pipelines.sources.npz import npz

A_CLASS = 12


def data_file(name):
    folder_of_data = os.environ.get("ANCHOR_DATA_DIR")
    if not folder_of_data:
        pytest.skip("ANCHOR_DATA_DIR is not set; it should name a folder with real data")
    path = pathlib.Path(folder_of_data) / name
    if not path.is_file():
        pytest.skip(f"ANCHOR_DATA_DIR holds no {name}")
    return path


def test_mnist():
    data = npz(path=str(data_file("mnist.npz")))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [55_000, 5_000, 10_000]
    assert data.image_shape == (28, 28, 1)
    assert data.recipe.epsilon == 0.3
    mean, std = data.channel_mean_and_std()
    np.testing.assert_allclose([mean[0], std[0]], [0.1307, 0.3081], atol=5e-4)
    shares = np.bincount(data.train.labels) / np.bincount(data.validation.labels)
    np.testing.assert_allclose(shares, 11, rtol=0.01)


def test_cifar10(tmp_path):
    seen = {}
    with tarfile.open(data_file("cifar10-jpeg.tar.xz")) as archive:
        for member in archive:
            directory = os.path.dirname(member.name)
            if member.isfile() and seen.get(directory, 0) < A_CLASS:
                seen[directory] = seen.get(directory, 0) + 1
                archive.extract(member, tmp_path, filter="data")
    data = folder(path=str(tmp_path))
    assert data.image_shape == (32, 32, 3)
    assert data.class_names[0] == "airplane"
    assert data.class_names[9] == "truck"
    assert [len(s) for s in (data.train, data.validation, data.test)] == [108, 12, 120]
    np.testing.assert_allclose(data.channel_mean_and_std()[0], [0.491, 0.482, 0.446], atol=0.06)
    assert data.recipe.augment == "crop(padding=4),flip"
