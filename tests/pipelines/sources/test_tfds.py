import io
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets
from PIL import Image

from anchor_tf.errors import UserError
from anchor_tf.pipelines.sources import tfds as module
from anchor_tf.pipelines.sources.tfds import known_names, tfds
from anchor_tf.serving import request_images


def encoded(mode, kind):
    """A picture of 4x6 pixels as a file."""
    pixels = np.random.RandomState(0).randint(0, 256, (4, 6, 4)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").convert(mode).save(buffer, kind)
    return buffer.getvalue()


FILES = [encoded(*kind) for kind in (("RGB", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"))]
FILES += [encoded("RGB", "BMP")]


class Doodles(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Images made on the spot; the configurations are what a data set may look like."""

    VERSION = tensorflow_datasets.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 (TensorFlow Datasets wants a list)
        tensorflow_datasets.core.BuilderConfig(name=name)
        for name in (
            "plain",
            "grey",
            "sizes",
            "train_only",
            "validated",
            "unlabelled",
            "float",
            "files",
        )
    ]

    def _info(self):
        features = tensorflow_datasets.features
        config = self.builder_config.name
        shape = {"grey": (4, 6, 1), "sizes": (None, None, 3)}.get(config, (4, 6, 3))
        image = features.Image(shape=shape)
        if config == "float":
            image = features.Image(shape=(4, 6, 1), dtype=np.float32)
        label = features.ClassLabel(names=["sun", "moon", "star"])
        return self.dataset_info_from_configs(
            features=features.FeaturesDict({"image": image, "label": label}),
            supervised_keys=None if config == "unlabelled" else ("image", "label"),
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config.name
        parts = {"train": self._generate_examples(30), "test": self._generate_examples(6)}
        if config == "train_only":
            del parts["test"]
        if config == "validated":
            parts["validation"] = parts.pop("test")
        return parts

    def _generate_examples(self, count):
        config = self.builder_config.name
        for number in range(count):
            height = 4 + (config == "sizes" and number == 3)
            channels = 1 if config in ("grey", "float") else 3
            dtype = np.float32 if config == "float" else np.uint8
            image = np.full((height, 6, channels), number, dtype)
            if config == "files":
                image = io.BytesIO(FILES[number % len(FILES)])
            yield number, {"image": image, "label": number % 3}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tfds"))
    for config in Doodles.BUILDER_CONFIGS:
        Doodles(config=config.name, data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Everything in this process, which knows the data set above and has TensorFlow started."""
    monkeypatch.setattr(module, "in_child", lambda function, *arguments: function(*arguments))


READ = """
import sys
import numpy as np
from anchor_tf.pipelines.sources.tfds import tfds
if __name__ == "__main__":
    data = tfds(name="doodles/plain", data_dir=sys.argv[1])
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)  # refused once TensorFlow has started
    print(len(tf.config.list_logical_devices("CPU")), *data.train.images[:, 0, 0, 0])
"""


@pytest.mark.slow
def test_reading_leaves_the_devices_for_the_run_to_set_up(data_dir, tmp_path):
    (tmp_path / "read.py").write_text(READ)
    command = [sys.executable, str(tmp_path / "read.py"), data_dir]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[3])}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    images = tfds(name="doodles/plain", data_dir=data_dir).train.images[:, 0, 0, 0]
    assert [int(number) for number in result.stdout.split()] == [2, *images]


def test_a_prepared_set_is_read(data_dir):
    data = tfds(name="doodles/plain", data_dir=data_dir)
    assert data.name == "doodles"
    assert data.class_names == ("sun", "moon", "star")
    assert data.image_shape == (4, 6, 3)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [27, 3, 6]
    assert data.test.images.dtype == np.uint8
    assert sorted(data.test.images[:, 0, 0, 0].tolist()) == list(range(6))
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.images[:, 0, 0, 0] % 3, split.labels)
    whole = [*data.train.images[:, 0, 0, 0], *data.validation.images[:, 0, 0, 0]]
    assert sorted(int(value) for value in whole) == list(range(30))


def test_files_are_decoded_as_in_serving(data_dir):
    data = tfds(name="doodles/files", data_dir=data_dir)
    served = request_images.decode_images(tf.constant(FILES[:3]), (4, 6, 3))
    bitmap = np.asarray(Image.open(io.BytesIO(FILES[3])))
    expected = [*np.rint(255 * served).astype(np.uint8), bitmap]
    found = {image.tobytes() for image in data.test.images}
    assert found == {image.tobytes() for image in expected}


def test_reading_twice_gives_the_same_order(data_dir):
    first, second = (tfds(name="doodles/plain", data_dir=data_dir) for _ in range(2))
    np.testing.assert_array_equal(first.train.images, second.train.images)


def test_grey_and_a_validation_split_to_test_on(data_dir):
    assert tfds(name="doodles/grey", data_dir=data_dir).image_shape == (4, 6, 1)
    assert len(tfds(name="doodles/validated:1.0.0", data_dir=data_dir).test) == 6


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("sizes", r"a uint8 image of shape \(5, 6, 3\) beside .*folder\(image_size="),
        ("float", "a float32 image"),
        ("train_only", "needs the splits train and test; it has train"),
        ("unlabelled", "not a set of images with one class label"),
    ],
)
def test_sets_that_do_not_fit(data_dir, config, message):
    with pytest.raises(UserError, match=message):
        tfds(name=f"doodles/{config}", data_dir=data_dir)


def test_colour_flips_unless_it_shows_digits(data_dir, monkeypatch):
    assert tfds(name="doodles/plain", data_dir=data_dir).recipe.augment.endswith("flip")
    monkeypatch.setattr(module, "_NOT_MIRRORED", ("doodles",))
    assert "flip" not in tfds(name="doodles/plain", data_dir=data_dir).recipe.augment
    monkeypatch.undo()
    assert any(part in "svhn_cropped" for part in module._NOT_MIRRORED)
    assert not any(part in "cifar10" for part in module._NOT_MIRRORED)


def test_a_set_that_is_not_prepared_is_refused_at_once(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("neither the network nor another process is needed for that")

    monkeypatch.setattr(module, "in_child", refused)
    monkeypatch.setattr(urllib.request, "urlopen", refused)
    with pytest.raises(UserError, match=r"cifar10 is not prepared .*`tfds build cifar10 --data"):
        tfds(name="cifar10", data_dir=str(tmp_path))


def test_download(tmp_path):
    data = tfds(name="doodles/plain", data_dir=str(tmp_path), download=True)
    assert len(data.test) == 6


def test_download_without_a_network_does_not_retry(tmp_path, monkeypatch):
    def unreachable(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(UserError, match=r"cifar10 cannot be downloaded from https?://.*no route"):
        tfds(name="cifar10", data_dir=str(tmp_path), download=True)


def test_a_download_that_fails(tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("disk full\nand more")

    monkeypatch.setattr(Doodles, "_split_generators", fail)
    with pytest.raises(UserError, match=r"could not be downloaded and prepared: .*disk full$"):
        tfds(name="doodles/plain", data_dir=str(tmp_path), download=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar1", "no dataset 'cifar1'; the nearest are cifar"),
        ("cifar10/x", "BuilderConfig x not found"),
        ("cifar10:9.9.9", "'cifar10:9.9.9' cannot be opened"),
        ("../x", "'../x' cannot be opened"),
        ("glue", "glue is not a set of images"),
    ],
)
def test_names_that_are_wrong(tmp_path, name, message):
    with pytest.raises(UserError, match=message) as error:
        tfds(name=name, data_dir=str(tmp_path))
    assert "\n" not in str(error.value)


def test_known_names_are_names_that_can_be_built():
    registered = set(tensorflow_datasets.list_builders(with_community_datasets=False))
    assert {"cifar10", "svhn_cropped", "stl10", "cats_vs_dogs", "emnist"} <= known_names()
    for name in ("cifar10", "cifar100_n", "oxford_flowers102", "imagenet_resized", "eurosat"):
        assert name in known_names() & registered
