"""What running an attack spec amounts to: its members, and the rounds of each."""

import dataclasses
import importlib
from collections.abc import Sequence

import tensorflow as tf

from anchor_tf import specs
from anchor_tf.attacks.run_rounds import Rounds, rounds_of
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat


@dataclasses.dataclass(frozen=True)
class Member:
    """A part of an attack that sees only what the parts before it left standing.

    Attributes:
        name: "apgd-t" for example; empty where the attack is its only member.
        spec: what runs.
        rounds: its rounds.
    """

    name: str
    spec: Spec
    rounds: Rounds


def members_of(spec: Spec, classes: int) -> list[Member]:
    """The members of a suite such as autoattack, or the attack itself as the only one.

    A suite is an attack whose module has a function `members(classes, ...)` that returns checked
    specs by name.

    Args:
        spec: a checked spec of an attack.
        classes: number of the model's classes.
    """
    attack = specs.load(spec, "anchor_tf.attacks")
    module = importlib.import_module(attack.__module__)
    if not hasattr(module, "members"):
        return [Member("", spec, rounds_of(spec))]
    parts = module.members(classes, **specs.arguments_of(attack, spec))
    return [Member(name, part, rounds_of(part)) for name, part in parts.items()]


def refuse_duplicates(attacks: Sequence[Spec]) -> None:
    """Raises UserError if two of the attacks are the same, however they are written."""
    specs.refuse_duplicates(attacks, "anchor_tf.attacks", "attack")


def check_attacks(
    attacks: Sequence[Spec], threat: Threat, image_shape: tuple[int, int, int], classes: int
) -> None:
    """Finds out before any work whether attacks can run, by tracing each on a stand-in model.

    Nothing is computed, and nothing grows with the number of pixels times that of classes.

    Args:
        attacks: checked specs.
        threat: norm, radius and box.
        image_shape: (height, width, channels).
        classes: number of the model's classes.

    Raises:
        UserError: an argument is out of its range or does not fit the images.
    """
    for spec in attacks:
        for member in members_of(spec, classes):
            trace(member, threat, image_shape, classes)


def trace(member: Member, threat: Threat, image_shape: tuple[int, int, int], classes: int):
    """One round of a member as a concrete function of an image, [1, H, W, C]."""

    def logits_fn(batch):
        return tf.broadcast_to(tf.reduce_mean(batch), [1, classes])

    def attack(x):
        keys = tf.zeros([1, 3], tf.uint32)
        return member.rounds.attack(logits_fn, x, tf.constant([0]), threat, keys, None, 0)

    images = tf.TensorSpec([1, *image_shape], tf.float32)
    return tf.function(attack, autograph=False).get_concrete_function(images)
