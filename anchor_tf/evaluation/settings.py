"""The settings an attack ran with, defaults included, for the report."""

import importlib
from typing import Any

from anchor_tf import specs
from anchor_tf.attacks import ascent
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat


def resolve(spec: Spec, threat: Threat, seed: int) -> dict[str, Any]:
    """Every setting of an attack as it ran.

    What its parameters do not tell an attack's module says itself: `FACTS`, a dictionary, in which
    "access" is what it sees of the network ("gradients", "outputs" or "another model"), and
    `default_step_size(threat, steps)` where that is not 2.5 epsilon / steps.

    Args:
        spec: a checked spec of an attack.
        threat: norm, radius (a float) and box.
        seed: of its random numbers.

    Returns:
        Keyword parameters with their values, defaults filled in; the step size as a number; what
        is fixed in the attack, such as which iterate it returns; the seed.
    """
    attack = specs.load(spec, "anchor_tf.attacks")
    module = importlib.import_module(attack.__module__)
    settings = specs.arguments_of(attack, spec) | getattr(module, "FACTS", {})
    if settings.get("step_size", 0) is None:
        default = getattr(module, "default_step_size", ascent.default_step_size)
        settings["step_size"] = float(default(threat, settings["steps"]))
    return settings | {"seed": seed}
