"""Attacks in rounds: restarts, targets or stretches of queries, each for those still standing.

An attack with several rounds has, beside its public function, a function `rounds(...)` in its
module that takes the same keyword arguments and returns a `Rounds`. The public function runs them
on one batch with `run`; an evaluation runs them over a whole data set, so that every round sees
the survivors alone, packed into full batches.
"""

import dataclasses
import importlib
from collections.abc import Callable, Sequence

import tensorflow as tf

from anchor_tf import keyed_random, specs
from anchor_tf.attacks.inputs import per_image
from anchor_tf.losses.classification import margin
from anchor_tf.specs import Spec


@dataclasses.dataclass(frozen=True)
class Rounds:
    """One attack, to be run once for each number.

    Attributes:
        attack: (logits_fn, x, y, threat, keys, start, number) -> adversarial images [B, ...].
            `keys` uint32 [B, 3] name the examples; `start` holds images to start from, or is None;
            `number` is a scalar int32 tensor, so that one trace serves all rounds.
        numbers: the restart, the target's rank or the first query of each round.
        carry: whether a round starts from the former round's images.
        kappa: how far past the boundary an example must be for `run` to keep it, in logit units.
    """

    attack: Callable
    numbers: Sequence[int]
    carry: bool = False
    kappa: float = 0.0


def run(rounds: Rounds, logits_fn, x, y, threat, seed, x_init=None) -> tf.Tensor:
    """Runs all rounds on one batch; an example that a round breaks keeps that round's image.

    A round is skipped where the rounds before it have broken the whole batch.

    Args:
        rounds: what to run.
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`.
        seed: an integer, or keys uint32 [B, 3].
        x_init: images that the first round starts from.

    Returns:
        Adversarial images, shaped like x, inside the threat.
    """
    keys = keyed_random.as_keys(seed, x)

    def attempt(start, number):
        return rounds.attack(logits_fn, x, y, threat, keys, start, number)

    result = attempt(x_init, tf.constant(rounds.numbers[0]))
    if len(rounds.numbers) == 1:
        return tf.stop_gradient(result)
    numbers = tf.constant(list(rounds.numbers))

    def again(place, result):
        former = margin(logits_fn(result), y)
        kept = former > rounds.kappa
        new = tf.cond(
            tf.reduce_all(kept),
            lambda: result,
            lambda: attempt(result if rounds.carry else None, numbers[place]),
        )
        if rounds.kappa > 0:  # short of kappa, an image may be misclassified already
            kept |= (former > 0) & (former >= margin(logits_fn(new), y))
        return place + 1, tf.where(per_image(kept, x), result, new)

    _, result = tf.while_loop(
        lambda place, _: place < len(rounds.numbers),
        again,
        (tf.constant(1), result),
        parallel_iterations=1,
    )
    return tf.stop_gradient(result)


def rounds_of(spec: Spec) -> Rounds:
    """The rounds of the attack that a checked spec names; a single one where it has no more."""
    attack = specs.load(spec, "anchor_tf.attacks")
    module = importlib.import_module(attack.__module__)
    if hasattr(module, "rounds"):
        return module.rounds(**specs.arguments_of(attack, spec))

    def single(logits_fn, x, y, threat, keys, start, number):
        del number
        return attack(logits_fn, x, y, threat, keys, start, **spec.arguments)

    return Rounds(single, (0,))
