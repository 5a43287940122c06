"""scikit-learn's digits: 1,797 scanned digits of 8x8 pixels that come with the package."""

import importlib.util
import pathlib

import numpy as np

from anchor_tf.pipelines.data import ImageData, Recipe, Split
from anchor_tf.pipelines.splits import stratified

_TEST, _VALIDATION = 360, 144
_RECIPE = Recipe(
    backbone="small",
    epsilon=0.1,
    augment="crop(padding=1)",
    epochs=60,
    finetune_epochs=10,
    batch_size=128,
    learning_rate=0.1,
    warmup_epochs=2.0,
    ramp_epochs=10.0,
)


def digits() -> ImageData:
    """The digits, always split alike: 1,293 to train on, 144 for validation and 360 for testing.

    The images are float32 [N, 8, 8, 1]; the 17 grey levels are scaled to [0, 1]. All three lists
    of `indices` are positions in `sklearn.datasets.load_digits()`.
    """
    whole = _read()
    test = stratified(whole.labels, _TEST)
    rest = np.delete(np.arange(len(whole)), test)
    validation = rest[stratified(whole.labels[rest], _VALIDATION)]
    train = np.setdiff1d(rest, validation)
    return ImageData(
        name="digits",
        train=whole.take(train),
        validation=whole.take(validation),
        test=whole.take(test),
        class_names=tuple("0123456789"),
        recipe=_RECIPE,
        indices={
            "train": train.tolist(),
            "validation": validation.tolist(),
            "test": test.tolist(),
        },
    )


def _read() -> Split:
    """What `load_digits` returns; importing it would take longer than all else before training."""
    package = importlib.util.find_spec("sklearn").submodule_search_locations[0]
    rows = np.loadtxt(
        pathlib.Path(package, "datasets", "data", "digits.csv.gz"), dtype=np.float32, delimiter=","
    )
    images = rows[:, :-1].reshape(-1, 8, 8, 1) / np.float32(16.0)
    return Split(images, rows[:, -1].astype(np.int32))
