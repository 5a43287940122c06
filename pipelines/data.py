"""What a data set is to the rest of the program: NumPy arrays and the recipe that suits them."""

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

from anchor_tf.errors import UserError

_ROWS_AT_A_TIME = 4096
_ONE = 1.001 / 255  # a float in place of the byte 1


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Labelled images.

    Attributes:
        images: [N, H, W, C], either uint8 or float32 in [0, 1].
        labels: int32 [N].
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Split":
        """The examples at the given indices, in that order."""
        return Split(self.images[indices], self.labels[indices])


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings that a data set suggests; a flag overrides each of them.

    Attributes:
        backbone: backbone spec.
        epsilon: L-infinity radius of the threat, for pixels in [0, 1].
        augment: augmentation specs, separated by commas.
        epochs: epochs of training.
        finetune_epochs: epochs of fine-tuning.
        batch_size: examples in a global batch.
        learning_rate: peak learning rate at that batch size.
        warmup_epochs: epochs over which the learning rate rises to its peak.
        ramp_epochs: epochs over which epsilon rises to its full value.
    """

    backbone: str
    epsilon: float
    augment: str
    epochs: int
    finetune_epochs: int
    batch_size: int
    learning_rate: float
    warmup_epochs: float
    ramp_epochs: float


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of labelled images.

    Attributes:
        name: short name, for reports.
        train: what is trained on.
        validation: held out of training, for choosing between models.
        test: for reporting.
        class_names: the name of each label.
        recipe: suggested settings.
        indices: for each split that was cut from another, the positions its examples had there;
            "fold" and "train_examples" likewise, where a run holds a fold out or trains on fewer.
        left_out: what the source has not read, each in a sentence.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    recipe: Recipe
    indices: Mapping[str, list[int]]
    left_out: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return tuple(self.train.images.shape[1:])

    @property
    def warnings(self) -> list[str]:
        """What a user and a reader of the report should know of the data.

        What was left out, and signs that pixels were scaled once too often: bytes of 0 and 1,
        floats up to 1/255.
        """
        nearly_black = [
            f"the {name} images are nearly black, no pixel is above {largest:.3g}: integers should "
            "range over 0..255, floats over [0, 1]; were they divided by 255 twice, or cut to "
            "integers?"
            for name, split in (("training", self.train), ("test", self.test))
            if (largest := _largest(split.images))
            <= (1 if split.images.dtype == np.uint8 else _ONE)
        ]
        return [*self.left_out, *nearly_black]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def digest(self) -> str:
        """SHA-256 of all images, labels and class names, by which a data set is known again."""
        found = hashlib.sha256(repr(self.class_names).encode())
        for split in (self.train, self.validation, self.test):
            for array in (split.images, split.labels):
                found.update(f"{array.dtype.str} {array.shape} ".encode())
                found.update(np.ascontiguousarray(array))
        return found.hexdigest()

    def channel_mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the training split.

        They are in units of [0, 1]. A channel that is constant gets a standard deviation of 1, so
        that one may divide by it.
        """
        images = self.train.images
        total = np.zeros(images.shape[-1])
        squares = np.zeros(images.shape[-1])
        for start in range(0, len(images), _ROWS_AT_A_TIME):
            pixels = images[start : start + _ROWS_AT_A_TIME].astype(np.float64)
            total += pixels.sum(axis=(0, 1, 2))
            squares += np.square(pixels).sum(axis=(0, 1, 2))
        count = images[..., 0].size
        scale = 255.0 if images.dtype == np.uint8 else 1.0
        mean = total / count / scale
        variance = squares / count / scale**2 - np.square(mean)
        std = np.sqrt(np.where(variance > 1e-12, variance, 1.0))
        return tuple(mean.tolist()), tuple(std.tolist())


def _largest(images: np.ndarray) -> float:
    """The largest pixel, or the first that is too large for images that are nearly black."""
    largest = 0.0
    for start in range(0, len(images), _ROWS_AT_A_TIME):
        largest = max(largest, float(images[start : start + _ROWS_AT_A_TIME].max()))
        if largest > 1.0 or (images.dtype != np.uint8 and largest > _ONE):
            break
    return largest


def recipe_for(image_shape: tuple[int, int, int], *, flip: bool = True) -> Recipe:
    """The recipe that suits images of this shape.

    Args:
        image_shape: (H, W, C).
        flip: whether a mirrored colour image is still an image of its class; digits are not.
    """
    height, width, channels = image_shape
    if image_shape == (28, 28, 1):
        return Recipe(
            backbone="mnist_small",
            epsilon=0.3,
            augment="crop(padding=2)",
            epochs=30,
            finetune_epochs=5,
            batch_size=128,
            learning_rate=0.1,
            warmup_epochs=1.0,
            ramp_epochs=5.0,
        )
    crop = f"crop(padding={max(1, min(height, width) // 8)})"
    return Recipe(
        backbone="resnet(depth=18)",
        epsilon=8 / 255,
        augment=f"{crop},flip" if flip and channels == 3 else crop,
        epochs=200,
        finetune_epochs=10,
        batch_size=128,
        learning_rate=0.1,
        warmup_epochs=5.0,
        ramp_epochs=10.0,
    )


def check_split(split: Split, classes: int, where: str) -> None:
    """Checks that a split has images of a usable shape and a label in range for each of them.

    Args:
        split: what a source has read.
        classes: number of classes.
        where: what to call the split in messages, its file and key for example.

    Raises:
        UserError: the split is empty, labels and images differ in number, an image is neither grey
            nor RGB, or a label is out of range.
    """
    images, labels = split.images, split.labels
    if images.ndim and len(images) != len(labels):
        raise UserError(f"{where}: {len(images)} images but {len(labels)} labels")
    if not len(labels):
        raise UserError(f"{where}: no images")
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise UserError(
            f"{where}: images have the shape {images.shape}; they should be grey or RGB, "
            "[N, H, W, 1] or [N, H, W, 3]"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise UserError(f"{where}: label {wrong} is out of range; there are {classes} classes")
