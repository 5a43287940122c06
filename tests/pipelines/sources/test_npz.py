import numpy as np
import pytest

from anchor_tf.errors import UserError
from anchor_tf.pipelines.sources.npz import npz


def arrays(shape=(6, 6), dtype=np.uint8, labels=3):
    """Thirty training and nine test images in which every label occurs."""
    random = np.random.RandomState(0)
    return {
        "x_train": random.randint(0, 256, (30, *shape)).astype(dtype),
        "y_train": np.arange(30) % labels,
        "x_test": random.randint(0, 256, (9, *shape)).astype(dtype),
        "y_test": np.arange(9) % labels,
    }


def save(tmp_path, **contents):
    path = tmp_path / "mine.npz"
    np.savez(path, **contents)
    return str(path)


@pytest.mark.parametrize(
    ("shape", "expected"), [((6, 5), (6, 5, 1)), ((6, 5, 1), (6, 5, 1)), ((6, 5, 3), (6, 5, 3))]
)
def test_grey_and_rgb(tmp_path, shape, expected):
    contents = arrays(shape)
    data = npz(path=save(tmp_path, **contents))
    assert data.name == "mine"
    assert data.image_shape == expected
    assert [len(s) for s in (data.train, data.validation, data.test)] == [27, 3, 9]
    assert data.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(data.test.images.reshape(9, *shape), contents["x_test"])
    np.testing.assert_array_equal(data.test.labels, contents["y_test"])
    held_out = data.indices["validation"]
    np.testing.assert_array_equal(
        data.validation.images.reshape(3, *shape), contents["x_train"][held_out]
    )
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int32


def test_other_integers_become_bytes(tmp_path):
    contents = arrays(dtype=np.int64)
    data = npz(path=save(tmp_path, **contents))
    assert data.test.images.dtype == np.uint8
    np.testing.assert_array_equal(data.test.images[..., 0], contents["x_test"])


def test_floats_stay_as_they_are(tmp_path):
    contents = arrays(dtype=np.float64)
    contents["x_train"] /= 255
    contents["x_test"] /= 255
    data = npz(path=save(tmp_path, **contents))
    assert data.test.images.dtype == np.float32
    np.testing.assert_allclose(data.test.images[..., 0], contents["x_test"], rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_labels_in_a_column(tmp_path, dtype):
    contents = arrays()
    column = contents["y_test"][:, np.newaxis].astype(dtype)
    data = npz(path=save(tmp_path, **contents | {"y_test": column}))
    np.testing.assert_array_equal(data.test.labels, contents["y_test"])


NAN = np.full((9, 6, 6), np.nan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_test": arrays()["x_test"] / 255.0 + 0.01}, "x_test: float pixels should be in"),
        ({"x_test": NAN}, "x_test: float pixels should be in"),
        ({"x_test": arrays()["x_test"].astype(int) + 1}, "should be 0..255, but are 1..256"),
        ({"x_test": arrays()["x_test"].astype(int) - 1}, "should be 0..255, but are -1"),
        ({"x_test": arrays()["x_test"] > 7}, "pixels are bool"),
        ({"x_test": arrays((6, 6, 4))["x_test"]}, "grey or RGB"),
        ({"x_test": arrays((6,))["x_test"]}, "grey or RGB"),
        ({"x_test": np.zeros((), np.uint8)}, "grey or RGB"),
        ({"x_test": arrays((6, 7))["x_test"]}, r"x_train has images of \(6, 6, 1\), x_test of"),
        ({"x_test": arrays((6, 6, 3))["x_test"]}, "x_train has images of"),
        ({"x_test": arrays()["x_test"][:-1]}, "8 images but 9 labels"),
        ({"y_test": arrays()["y_test"] + 0.5}, "y_test: labels should be integers"),
        ({"y_test": np.array(list("abcabcabc"))}, "y_test: labels should be integers"),
        ({"y_test": np.eye(3)[arrays()["y_test"]]}, r"y_test has the shape \(9, 3\)"),
        ({"y_test": arrays()["y_test"] - 1}, "y_test: label -1 is negative"),
        ({"y_test": np.where(arrays()["y_test"] == 2, 7, 0)}, "label 7 is out of range"),
        ({"y_test": np.minimum(arrays()["y_test"], 1)}, "y_test has no example of class 2"),
        ({"y_train": np.minimum(arrays()["y_train"], 1)}, "y_train has no example of class 2"),
        ({"y_test": np.zeros(0, int)}, "y_test is empty"),
        ({"y_train": np.zeros(30, int), "y_test": np.zeros(9, int)}, "only one class"),
        ({"y_test": np.array([None] * 9)}, "cannot be read as an .npz archive"),
    ],
)
def test_contents_that_are_wrong(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as error:
        npz(path=save(tmp_path, **arrays() | change))
    assert "mine.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_keys_are_named(tmp_path):
    contents = arrays()
    path = save(tmp_path, x_train=contents["x_train"], y_train=contents["y_train"], extra=1)
    with pytest.raises(
        UserError, match=r"x_test, y_test missing; it holds x_train, y_train, extra"
    ):
        npz(path=path)


def test_files_that_are_no_archive(tmp_path):
    with pytest.raises(UserError, match=r"none.npz: no such file"):
        npz(path=str(tmp_path / "none.npz"))
    text = tmp_path / "text.npz"
    text.write_text("hello")
    with pytest.raises(UserError, match=r"text.npz cannot be read"):
        npz(path=str(text))
    (tmp_path / "empty.npz").touch()
    with pytest.raises(UserError, match=r"empty.npz cannot be read"):
        npz(path=str(tmp_path / "empty.npz"))
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(UserError, match=r"array.npy cannot be read as an .npz archive"):
        npz(path=str(tmp_path / "array.npy"))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_archive(tmp_path, share):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **arrays())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match=r"mine.npz cannot be read"):
        npz(path=str(path))


def test_a_damaged_archive(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **arrays())
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mine.npz cannot be read"):
        npz(path=str(path))


@pytest.mark.parametrize(("dtype", "divisor"), [(np.uint8, 1), (np.int64, 1), (np.float64, 255**2)])
def test_pixels_scaled_once_too_often_are_read_and_warned_of(tmp_path, dtype, divisor):
    contents = arrays(dtype=dtype)
    for key in ("x_train", "x_test"):
        contents[key] = (
            (contents[key] > 128).astype(dtype) if divisor == 1 else (contents[key] / divisor)
        )
    data = npz(path=save(tmp_path, **contents))
    assert [warning.split()[1] for warning in data.warnings] == ["training", "test"]


@pytest.mark.parametrize(("value", "kept"), [(1.0009, 1.0), (-0.0009, 0.0), (1.0, 1.0)])
def test_floats_just_outside_are_clipped(tmp_path, value, kept):
    contents = arrays(dtype=np.float64)
    for key in ("x_train", "x_test"):
        contents[key] = np.clip(contents[key] / 255, 0.1, 0.9)
    contents["x_test"][0, 0, 0] = value
    assert npz(path=save(tmp_path, **contents)).test.images[0, 0, 0, 0] == np.float32(kept)


@pytest.mark.parametrize("value", [1.0011, -0.0011, np.nan, np.inf])
def test_floats_farther_outside_are_refused(tmp_path, value):
    contents = arrays(dtype=np.float64)
    for key in ("x_train", "x_test"):
        contents[key] /= 255
    contents["x_test"][0, 0, 0] = value
    with pytest.raises(UserError, match=r"x_test: float pixels should be in \[0, 1\], but range"):
        npz(path=save(tmp_path, **contents))
