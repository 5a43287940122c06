"""Attacks called outside of a graph: compiled once, on full batches of arrays."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from anchor_tf.losses.classification import margin
from anchor_tf.models.classifier import Classifier, Facts, check_range
from anchor_tf.models.memory import Memory
from anchor_tf.models.python_state import python_state

_FEW = 4  # survivors that fill a batch by no more than one part in so many get a smaller one
SMALLEST = 32  # images in a batch: below it a pass hardly gets cheaper, another trace does not pay


class ArrayCall:
    """A model, images and labels of one call.

    Every batch is full: the last one is padded with repeated images, whose results are dropped.

    Args:
        model: Keras model or function.
        known: its memory, which receives what is compiled.
        x: images, float32 [N, ...].
        y: labels, int32 [N].
        keys: uint32 [N, 3], of the examples' random numbers.
        batch_size: images in a batch; no more than N are used.

    Attributes:
        x: the images.
        y: the labels.
        facts: what the model's outputs tell.

    Raises:
        UserError: the model returns no logits, or a label lies outside its classes.
    """

    def __init__(
        self, model: Callable, known: Memory, x: tf.Tensor, y: tf.Tensor, keys, batch_size
    ):
        self.x, self.y, self._keys = x, y, keys
        self._size = min(batch_size, len(x))
        self._classifier = Classifier(model, weakly=True)
        self._known = known
        self.facts = self._classifier.facts = known.facts = known.facts or Facts()
        if len(x) and not self.facts.settled:
            self.facts.look(self._mapped("outputs", _outputs, None))
        check_range(y.numpy(), self.classes)

    @property
    def classes(self) -> int | None:
        """How many classes the model knows."""
        return self.facts.classes

    def run(self, attack: Callable, threat, start, *, uses=None, **arguments) -> tf.Tensor:
        """Runs an attack (logits_fn, x, y, threat, keys, start, **arguments) on every batch.

        What else it `uses`, another model for example, is kept with what is compiled.
        """

        def step(logits_fn, x, y, ball, keys, start):
            return attack(logits_fn, x, y, ball, keys, start, **arguments)

        if not len(self.x):
            return self.x
        key = (attack, self._version(attack), uses, tuple(sorted(arguments.items())))
        return self._attacked(key, step, threat, start)

    def run_round(self, key, rounds, threat, rows: np.ndarray, number: int, start) -> tf.Tensor:
        """Runs one round of an attack on some of the images.

        Args:
            key: tells the attack from others.
            rounds: its `Rounds`.
            threat: norm, radius and box.
            rows: which images, integers [n].
            number: of the round.
            start: images that it starts from, [n, ...], or None.

        Returns:
            Adversarial images [n, ...].
        """
        return self._attacked(key, rounds.attack, threat, start, rows, tf.constant(number))

    def broken(self, images: tf.Tensor, rows: np.ndarray) -> np.ndarray:
        """Whether images [n, ...] of these rows are misclassified; bool [n]."""
        return self._mapped("broken", _broken, rows, images)

    def _version(self, attack: Callable) -> int:
        """Counts the changes of the Python values that an attack refers to."""
        state = python_state(attack)
        versions = self._known.get((attack, "versions"), list)
        if state is None or not versions or versions[-1] != state:
            versions.append(state)
        return len(versions)

    def _attacked(self, key, attack, threat, start, rows=None, *scalars) -> tf.Tensor:
        is_tensor = tf.is_tensor(threat.epsilon)
        ball = threat.with_epsilon(0.0) if is_tensor else threat

        def step(classifier, x, y, keys, start, epsilon, *scalars):
            radius = ball if epsilon is None else ball.with_epsilon(epsilon)
            return attack(classifier, x, y, radius, keys, start, *scalars)

        epsilon = tf.cast(threat.epsilon, tf.float32) if is_tensor else None
        kind = (key, type(ball), ball, is_tensor)
        return self._each(kind, step, rows, start, (epsilon, *scalars))

    def _mapped(self, name: str, function: Callable, rows, images=None) -> np.ndarray:
        def step(classifier, x, y, keys, start):
            return function(classifier, x if start is None else start, y)

        return self._each(name, step, rows, images).numpy()

    def _each(self, key, step, rows, start, scalars=()) -> tf.Tensor:
        """Results [n, ...] of a compiled step for some rows, or [N, ...] for all where None.

        The step is (classifier, x, y, keys, start, *scalars) -> [B, ...].
        """
        compiled = self._compiled(key, step)
        smaller = self._size if rows is None else max(self._size // _FEW, SMALLEST)
        rows = np.arange(len(self.x)) if rows is None else rows
        if len(rows) == len(self.x) == self._size:
            return compiled(self.x, self.y, self._keys, start, *scalars)
        parts = []
        for places, valid in full_batches(len(rows), [self._size, smaller]):
            chosen = rows[places]
            taken = (tf.gather(array, chosen) for array in (self.x, self.y, self._keys))
            begun = None if start is None else tf.gather(start, places)
            parts.append(compiled(*taken, begun, *scalars)[:valid])
        return tf.concat(parts, axis=0)

    def _compiled(self, key, step) -> Callable:
        """A compiled step, which is kept and so may not keep the model alive."""
        classifier = self._classifier
        facts = self.facts
        kind = key if key == "outputs" else (key, facts.columns, facts.probabilities)

        def compile_it():
            def traced(*arguments):
                return step(classifier, *arguments)

            return tf.function(traced, autograph=False)

        return self._known.get(kind, compile_it)


def full_batches(count: int, sizes: Sequence[int]) -> Iterator[tuple[np.ndarray, int]]:
    """Yields positions that cover 0 to count - 1, and how many of them are not padding.

    There are sizes[0] positions at a time, in the end the smallest of the sizes that is enough.
    """
    for start in range(0, count, sizes[0]):
        positions = np.arange(start, min(start + sizes[0], count))
        size = min(size for size in sizes if size >= len(positions))
        yield np.resize(positions, size), len(positions)


def _outputs(classifier, images, labels) -> tf.Tensor:
    del labels
    return classifier.outputs(images)


def _broken(classifier, images, labels) -> tf.Tensor:
    return margin(classifier(images), labels) > 0
