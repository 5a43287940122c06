"""What running an attack spec amounts to: its members, and the rounds of each."""

import dataclasses
import importlib

from anchor_tf import specs
from anchor_tf.attacks.run_rounds import Rounds, rounds_of
from anchor_tf.specs import Spec


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
    version = spec.arguments.get("version", "standard")
    parts = module.members(classes, version=version)
    return [Member(name, part, rounds_of(part)) for name, part in parts.items()]
