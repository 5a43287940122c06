"""The settings an attack ran with, defaults included, for the report."""

import inspect
from typing import Any

from anchor_tf import specs
from anchor_tf.attacks.ascent import default_step_size
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat

# What the parameters of an attack do not tell.
_FIXED = {
    "fgsm": {"steps": 1, "random_start": False, "returned": "last iterate"},
    "bim": {"random_start": False, "returned": "last iterate"},
    "pgd": {"returned": "last iterate"},
    "cw": {"random_start": True, "returned": "last iterate"},
}


def resolve(spec: Spec, threat: Threat, seed: int) -> dict[str, Any]:
    """Every setting of an attack as it ran.

    Args:
        spec: a checked spec of an attack.
        threat: norm, radius (a float) and box.
        seed: of its random numbers.

    Returns:
        Keyword parameters with their values, defaults filled in; the step size as a number; what
        is fixed in the attack, such as which iterate it returns; the seed.
    """
    parameters = inspect.signature(specs.load(spec, "anchor_tf.attacks")).parameters.values()
    settings = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    settings |= spec.arguments
    if settings.get("step_size", 0) is None:
        settings["step_size"] = float(default_step_size(threat, settings["steps"]))
    if spec.name == "fgsm":
        settings["step_size"] = float(threat.epsilon)
    return settings | _FIXED.get(spec.name, {}) | {"seed": seed}
