"""The tf.data pipelines: batches to train on and batches to evaluate on.

What a training batch holds is a pure function of the seed and of its number, so that a run which
starts at any step sees what an uninterrupted one sees, whatever the machine and its parallelism.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.data import Split
from anchor_tf.pipelines.splits import steps_per_epoch

_BATCHES_AHEAD = 4


@dataclasses.dataclass(frozen=True)
class Replicas:
    """The replicas of the network that train together, and those of them in this process.

    Attributes:
        total: number of replicas over all processes.
        first: number of the first one here.
        here: how many are here.
    """

    total: int = 1
    first: int = 0
    here: int = 1

    def share(self, batch_size: int) -> int:
        """Examples of a global batch that each replica gets.

        Raises:
            UserError: the batch cannot be divided.
        """
        if batch_size % self.total:
            lower = batch_size - batch_size % self.total
            raise UserError(
                f"--batch_size={batch_size} cannot be divided over {self.total} replicas: take "
                f"{lower or self.total} or {lower + self.total}"
            )
        return batch_size // self.total


def training_batches(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    augment: Callable,
    views: int,
    epochs: int,
    first_step: int = 0,
    replicas: Replicas | None = None,
) -> tf.data.Dataset:
    """Shuffled and augmented batches.

    Args:
        split: examples to draw from; every epoch takes them in another order.
        batch_size: examples in a (global) batch.
        seed: decides order and augmentations.
        augment: what `augment.build` returned.
        views: how many times to augment each image, independently.
        epochs: the dataset ends after this many epochs, counted from step 0.
        first_step: the step of the whole run to start at.
        replicas: which part of the batches is this process's; all of it in one piece by default.
            With several replicas an element is one replica's share of a batch, and the shares of a
            batch follow one another.

    Returns:
        A dataset of dictionaries: "views", a tuple of `views` float32 [B, H, W, C] in [0, 1];
        "images", the same images unaugmented; "labels" int32 [B]; "index" int32 [B], the examples'
        positions in the split.

    Raises:
        UserError: a batch is larger than the split or not divisible by the replicas, or an
            augmentation's argument is out of range.
    """
    replicas = replicas or Replicas()
    share = replicas.share(batch_size)
    steps = steps_per_epoch(split, batch_size)
    examples = _resident(split)

    def batches_of_epoch(epoch):
        order = _order(seed, epoch, len(split))[: steps * batch_size]
        start = tf.maximum(first_step - epoch * steps, 0)
        index = tf.reshape(order, [steps, replicas.total, share])[start:]
        index = index[:, replicas.first : replicas.first + replicas.here]
        step = epoch * steps + tf.range(start, steps)
        return tf.data.Dataset.from_tensor_slices(
            {
                "step": tf.repeat(step, replicas.here),
                "index": tf.reshape(index, [-1, share]),
            }
        )

    def load(batch):
        images, labels = _gather(examples, batch["index"])
        keys = keyed_random.example_keys(seed, batch["step"], batch["index"])
        keys = keyed_random.fold(keys, "augment")
        augmented = tuple(augment(images, keyed_random.fold(keys, view)) for view in range(views))
        return {"views": augmented, "images": images, "labels": labels, "index": batch["index"]}

    dataset = tf.data.Dataset.range(first_step // steps, epochs).flat_map(_plain(batches_of_epoch))
    remaining = max(epochs * steps - first_step, 0) * replicas.here
    return _mapped(dataset, load).apply(tf.data.experimental.assert_cardinality(remaining))


def batch_indices(split: Split, batch_size: int, seed: int, step: int) -> np.ndarray:
    """The examples of a training step's batch, int32 [batch_size], as `training_batches` has them.

    Args:
        split: what is trained on.
        batch_size: of the global batch.
        seed: of the training.
        step: from 0.
    """
    epoch, place = divmod(step, steps_per_epoch(split, batch_size))
    order = _order(seed, tf.constant(epoch, tf.int64), len(split)).numpy()
    return order[place * batch_size : (place + 1) * batch_size]


def evaluation_batches(split: Split, *, batch_size: int) -> tf.data.Dataset:
    """Every example once, in order; the last batch is filled up with zeros.

    Returns:
        A dataset of dictionaries: "images" float32 [B, H, W, C] in [0, 1]; "labels" int32 [B];
        "index" int32 [B], the examples' positions in the split; "mask" bool [B], False where
        there is no example and all the rest is 0.
    """
    steps = -(-len(split) // batch_size)
    index = np.arange(steps * batch_size, dtype=np.int32).reshape(steps, batch_size)
    mask = index < len(split)
    examples = _resident(split)

    def load(index, mask):
        images, labels = _gather(examples, index)
        images = tf.where(mask[:, tf.newaxis, tf.newaxis, tf.newaxis], images, 0.0)
        return {"images": images, "labels": tf.where(mask, labels, 0), "index": index, "mask": mask}

    return _mapped(tf.data.Dataset.from_tensor_slices((np.where(mask, index, 0), mask)), load)


def _resident(split: Split) -> tuple[tf.Tensor, tf.Tensor]:
    """The split's arrays as tensors in the host's memory, even where there is an accelerator."""
    with tf.device("CPU:0"):
        return tf.convert_to_tensor(split.images), tf.convert_to_tensor(split.labels)


def _gather(examples: tuple[tf.Tensor, tf.Tensor], index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Images float32 [B, H, W, C] in [0, 1] and labels int32 [B]."""
    images, labels = (tf.gather(array, index) for array in examples)
    if images.dtype == tf.uint8:
        images = tf.cast(images, tf.float32) / 255.0
    return images, labels


def _order(seed: int, epoch: tf.Tensor, examples: int) -> tf.Tensor:
    """The permutation int32 [N] of an epoch: examples sorted by 60 random bits each."""
    keys = keyed_random.example_keys(seed, epoch, tf.range(examples))
    words = tf.cast(keyed_random.fold(keys, "order"), tf.int64)
    return tf.argsort((words[:, 0] // 4) * 2**30 + words[:, 1] // 4, stable=True)


def _mapped(dataset: tf.data.Dataset, load: Callable) -> tf.data.Dataset:
    """Loads batches in parallel and ahead of need, in order."""
    dataset = dataset.map(_plain(load), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    # Rewriting the graph would gain nothing here and copies the images that it captures.
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.prefetch(_BATCHES_AHEAD).with_options(options)


def _plain(function: Callable) -> Callable:
    """Keeps AutoGraph, which would bury a UserError's one line in a traceback, from a function."""
    return tf.autograph.experimental.do_not_convert(function)
