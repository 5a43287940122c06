"""Cutting splits: balanced over the classes, and the same on every run."""

import dataclasses

import numpy as np

from anchor_tf.errors import UserError
from anchor_tf.pipelines.data import ImageData, Recipe, Split

# Never --seed: runs that differ in their seed must still hold out the same examples.
SPLIT_SEED = 20251029
FOLDS = 5


def held_out_count(examples: int) -> int:
    """How many of so many training examples to hold out for validation."""
    return 5_000 if examples >= 50_000 else max(1, examples // 10)


def stratified(labels: np.ndarray, count: int) -> np.ndarray:
    """Draws `count` examples in which every class has its share; always the same ones.

    No class is drawn whole: an example at least is left of it.

    Args:
        labels: integers [N].
        count: how many to draw.

    Returns:
        int64 [count], sorted indices.

    Raises:
        UserError: every class would have to give its last example.
    """
    present = np.bincount(labels)
    shares = present * count / len(labels)
    quotas = np.floor(shares).astype(np.int64)
    largest_remainders = np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]
    quotas[largest_remainders] += 1
    most = np.maximum(present - 1, 0)
    if count > most.sum():
        raise UserError(
            f"{len(labels)} images in {np.count_nonzero(present)} classes are too few: {count} are "
            "held out for validation, and one of each class must be left"
        )
    quotas = np.minimum(quotas, most)
    while missing := count - quotas.sum():
        open_classes = np.argsort(quotas - most, kind="stable")[:missing]
        quotas[open_classes] += quotas[open_classes] < most[open_classes]
    return _draw(labels, quotas, np.random.RandomState(SPLIT_SEED))


def hold_out_validation(
    *, name: str, train: Split, test: Split, class_names: tuple[str, ...], recipe: Recipe
) -> ImageData:
    """Makes a data set whose validation split is a stratified part of `train`.

    Its `indices["validation"]` are the positions that those examples had in `train`.
    """
    held_out = stratified(train.labels, held_out_count(len(train)))
    rest = np.delete(np.arange(len(train)), held_out)
    return ImageData(
        name=name,
        train=train.take(rest),
        validation=train.take(held_out),
        test=test,
        class_names=class_names,
        recipe=recipe,
        indices={"validation": held_out.tolist()},
    )


def fold(data: ImageData, place: int) -> ImageData:
    """A data set whose test split is one fifth of the training images, for tuning.

    The five folds are stratified, disjoint and always the same; together they hold training and
    validation split. Of the other four a validation split is held out as ever.

    Args:
        data: whose own test split is left out.
        place: which fold, from 0 to 4.
    """
    images = np.concatenate([data.train.images, data.validation.images])
    labels = np.concatenate([data.train.labels, data.validation.labels])
    random = np.random.RandomState(SPLIT_SEED)
    folds = np.empty(len(labels), np.int64)
    dealt = 0
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        folds[members] = (dealt + np.arange(len(members))) % FOLDS
        dealt += len(members)
    whole = Split(images, labels)
    left_out = np.flatnonzero(folds == place)
    result = hold_out_validation(
        name=data.name,
        train=whole.take(np.flatnonzero(folds != place)),
        test=whole.take(left_out),
        class_names=data.class_names,
        recipe=data.recipe,
    )
    indices = {**result.indices, "fold": left_out.tolist()}
    return dataclasses.replace(result, indices=indices, left_out=data.left_out)


def split_name(place: int | None) -> str:
    """What reports call the examples that a run is evaluated on: a fold's, or the test split."""
    return "test" if place is None else f"fold {place} of the training images"


def subset(split: Split, count: int, seed: int) -> tuple[Split, np.ndarray]:
    """Draws a random subset in which the classes are as equal in number as they can be.

    Args:
        split: where to draw from.
        count: how many examples to draw.
        seed: any integer from 0 to 2**32 - 1.

    Returns:
        The subset, and the sorted indices int64 [count] of its examples in `split`.

    Raises:
        UserError: `count` is not positive, or more than the split holds.
    """
    if not 1 <= count <= len(split):
        raise UserError(f"{count} examples were asked for, but the split holds {len(split)}")
    random = np.random.RandomState(seed)
    present = np.bincount(split.labels)
    quotas = np.zeros_like(present)
    while remaining := count - quotas.sum():
        unfinished = random.permutation(np.flatnonzero(quotas < present))
        share = remaining // len(unfinished)
        if share == 0:
            unfinished, share = unfinished[:remaining], 1
        quotas[unfinished] = np.minimum(quotas[unfinished] + share, present[unfinished])
    indices = _draw(split.labels, quotas, random)
    return split.take(indices), indices


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Whole batches in an epoch; the examples left over differ from epoch to epoch.

    Raises:
        UserError: a batch is larger than the split.
    """
    if not 1 <= batch_size <= len(split):
        raise UserError(
            f"--batch_size={batch_size} should be from 1 to {len(split)}, the examples in the split"
        )
    return len(split) // batch_size


def _draw(labels: np.ndarray, quotas: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Sorted indices with `quotas[c]` random examples of every class c."""
    # RandomState, not Generator: NumPy promises that its streams never change.
    drawn = [
        random.permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in enumerate(quotas)
    ]
    return np.sort(np.concatenate(drawn))
