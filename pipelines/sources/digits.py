"""scikit-learn's digits: 1,797 scanned digits of 8x8 pixels that come with the package."""

import numpy as np
import sklearn.datasets

from pipelines.data import ImageData, Recipe, Split
from pipelines.splits import stratified

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
    bunch = sklearn.datasets.load_digits()
    images = (bunch.images[..., np.newaxis] / 16.0).astype(np.float32)
    whole = Split(images, bunch.target.astype(np.int32))
    test = stratified(whole.labels, _TEST)
    rest = np.delete(np.arange(len(whole)), test)
    validation = rest[stratified(whole.labels[rest], _VALIDATION)]
    train = np.setdiff1d(rest, validation)
    return ImageData(
        name="digits",
        train=whole.take(train),
        validation=whole.take(validation),
        test=whole.take(test),
        class_names=tuple(str(name) for name in bunch.target_names),
        recipe=_RECIPE,
        indices={
            "train": train.tolist(),
            "validation": validation.tolist(),
            "test": test.tolist(),
        },
    )
