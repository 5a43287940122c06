"""Image classification sets of TensorFlow Datasets."""

import difflib
import functools
import importlib.util
import pathlib
import re
import tempfile
import urllib.error
import urllib.request

import numpy as np

from anchor_tf.errors import UserError
from anchor_tf.files import archives
from anchor_tf.pipelines.data import ImageData, Split, check_split, recipe_for
from anchor_tf.pipelines.splits import hold_out_validation
from anchor_tf.terminal.child_process import in_child

_NOT_MIRRORED = ("svhn", "mnist", "omniglot", "cmaterdb")
_SECONDS_TO_ANSWER = 10


def tfds(*, name: str, data_dir: str | None = None, download: bool = False) -> ImageData:
    """Loads an image classification set that TensorFlow Datasets has prepared on this machine.

    The set's train split is trained on and validated with; its test split, or its validation split
    if it has no test split, is tested on.

    Args:
        name: as TensorFlow Datasets has it: `cifar10`, `imagenet_resized/32x32`, `mnist:3.0.1`.
        data_dir: where the prepared data lies, if not in the folder TensorFlow Datasets uses.
        download: whether to download and prepare a set that is not there.

    Raises:
        UserError: the set is unknown or not prepared, is no image classification set, or its
            images differ in size.
    """
    builder = _builder(name, data_dir)
    keys = _keys(builder, name)
    if not builder.is_prepared():
        where = f" --data_dir={data_dir}" if data_dir else ""
        if not download:
            raise UserError(
                f"dataset {name} is not prepared on this machine: run `tfds build {name}{where}`, "
                "add the argument download=True, or use folder(path=...) or npz(path=...)"
            )
        _check_network(builder, name)
    class_names = tuple(builder.info.features[keys[1]].names)
    with tempfile.TemporaryDirectory() as folder:
        # Elsewhere: reading starts TensorFlow's devices, which the flags have yet to describe.
        parts = in_child(_write, builder, name, keys, folder)
        train, test = (_written(pathlib.Path(folder), part) for part in parts)
    for part, split in zip(parts, (train, test), strict=True):
        check_split(split, len(class_names), f"dataset {name}, split {part}")
    flip = not any(part in name.lower() for part in _NOT_MIRRORED)
    return hold_out_validation(
        name=builder.info.name,
        train=train,
        test=test,
        class_names=class_names,
        recipe=recipe_for(train.images.shape[1:], flip=flip),
    )


@functools.cache
def known_names() -> frozenset[str]:
    """Names of the image sets that the installed TensorFlow Datasets can prepare.

    They are read from its file names and class names: importing all of it would take seconds.
    """
    package = importlib.util.find_spec("tensorflow_datasets")
    names = set()
    for folder in map(pathlib.Path, package.submodule_search_locations):
        names |= {file.parent.name for file in folder.glob("datasets/*/*_dataset_builder.py")}
        for file in folder.glob("image_classification/**/*.py"):
            for name in re.findall(r"^class (\w+)\(", file.read_text(encoding="utf-8"), re.M):
                name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
                names.add(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
    return frozenset(names)


def _builder(name: str, data_dir: str | None):
    import tensorflow_datasets

    folder = data_dir and pathlib.Path(data_dir).expanduser()
    try:
        return tensorflow_datasets.builder(name, data_dir=folder)
    except tensorflow_datasets.core.DatasetNotFoundError as error:
        close = difflib.get_close_matches(re.split("[/:]", name)[0], sorted(known_names()))
        hint = f"; the nearest are {', '.join(close)}" if close else ""
        raise UserError(f"TensorFlow Datasets has no dataset {name!r}{hint}") from error
    except (ValueError, AssertionError, RuntimeError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise UserError(f"dataset {name!r} cannot be opened: {reason}") from error


def _check_network(builder, name: str) -> None:
    """Without a network TensorFlow Datasets retries for minutes before it says so."""
    for url in list(getattr(builder, "url_infos", None) or ())[:1]:
        try:
            urllib.request.urlopen(url, timeout=_SECONDS_TO_ANSWER).close()
        except urllib.error.HTTPError:
            pass  # A server that answers is a server that can be reached.
        except OSError as error:
            raise UserError(f"dataset {name} cannot be downloaded from {url}: {error}") from error


def _download(builder, name: str) -> None:
    try:
        builder.download_and_prepare()
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"dataset {name} could not be downloaded and prepared: {reason}") from error


def _keys(builder, name: str) -> tuple[str, str]:
    """The names of the image and of the label among the features of a set."""
    from tensorflow_datasets import features

    found = dict(builder.info.features.items())
    keys = builder.info.supervised_keys or ()
    kinds = [type(found[key]) for key in keys if isinstance(key, str) and key in found]
    if kinds != [features.Image, features.ClassLabel]:
        raise UserError(f"dataset {name} is not a set of images with one class label each")
    return keys


def _write(builder, name: str, keys: tuple[str, str], folder: str) -> tuple[str, str]:
    """Writes the splits to train with and to test on as arrays; returns their names."""
    if not builder.is_prepared():
        _download(builder, name)
    test_part = next((part for part in ("test", "validation") if part in builder.info.splits), None)
    if "train" not in builder.info.splits or test_part is None:
        parts = ", ".join(builder.info.splits)
        raise UserError(f"dataset {name} needs the splits train and test; it has {parts}")
    train = _read(builder, "train", *keys)
    test = _read(builder, test_part, *keys, train.images.shape[1:])
    for part, split in (("train", train), (test_part, test)):
        np.save(pathlib.Path(folder) / f"{part}_images.npy", split.images)
        np.save(pathlib.Path(folder) / f"{part}_labels.npy", split.labels)
    return "train", test_part


def _written(folder: pathlib.Path, part: str) -> Split:
    return Split(np.load(folder / f"{part}_images.npy"), np.load(folder / f"{part}_labels.npy"))


def _read(builder, part: str, image_key: str, label_key: str, shape=None) -> Split:
    """Reads a split into memory; all images must be of one shape, `shape` if it is given."""
    import tensorflow_datasets

    # One file at a time, so that the order is that of the files whatever the machine.
    config = tensorflow_datasets.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = {image_key: _decoder(builder.info.features[image_key])}
    dataset = builder.as_dataset(split=part, read_config=config, decoders=decoders)
    examples = tensorflow_datasets.as_numpy(dataset)
    count = builder.info.splits[part].num_examples
    images, labels = None, np.empty(count, np.int32)
    for row, example in enumerate(examples):
        image = example[image_key]
        shape = shape or image.shape
        if image.dtype != np.uint8 or image.shape != shape:
            raise UserError(
                f"dataset {builder.info.name}: split {part} has a {image.dtype} image of shape "
                f"{image.shape} beside {shape}: save it as files and use folder(image_size=...)"
            )
        if images is None:
            archives.check_memory(f"dataset {builder.info.name} takes", count * image.size)
            images = np.empty((count, *shape), np.uint8)
        images[row], labels[row] = image, example[label_key]
    if images is None:
        raise UserError(f"dataset {builder.info.name}: split {part} is empty")
    return Split(images, labels)


def _decoder(feature):
    """Decodes JPEG and PNG images as serving does; None for features that are no such images."""
    import tensorflow as tf
    import tensorflow_datasets

    from anchor_tf.images import decode

    channels = feature.shape[-1]
    if feature.np_dtype != np.uint8 or channels not in (1, 3):
        return None

    @tensorflow_datasets.decode.make_decoder()
    def decoded(encoded, feature):
        return tf.cond(
            decode.is_known(encoded),
            lambda: decode.decode(encoded, channels),
            lambda: feature.decode_example(encoded),
        )

    return decoded()
