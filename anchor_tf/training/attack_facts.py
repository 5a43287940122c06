"""The phases of a training with the attack of each, as config.json and the report have them."""

from typing import Any

from anchor_tf.config import TrainConfig
from anchor_tf.methods.base import Method
from anchor_tf.methods.finetune import MODES, mode_of


def phases(config: TrainConfig, method: Method) -> dict[str, dict[str, Any]]:
    """What each phase that a run goes through trains, and on images attacked how.

    Args:
        config: of the run.
        method: built from it.

    Returns:
        "train" and "finetune", each only where there are epochs of it: "epochs"; for the latter
        also "mode"; and "attack", which is None where no image is attacked, else its "name", its
        "steps", and "at_most", whether an image may be done earlier.
    """
    found = {}
    if config.epochs:
        found["train"] = {"epochs": config.epochs, "attack": _attack(type(method), method)}
    mode = mode_of(method, config.finetune)
    if mode != "none":
        attack = _attack(MODES[mode][0], method)
        found["finetune"] = {"mode": mode, "epochs": config.finetune_epochs, "attack": attack}
    return found


def _attack(kind: type[Method], method: Method) -> dict[str, Any] | None:
    """The attack of a class of methods that has the settings of this method."""
    if not kind.attacks():
        return None
    return {
        "name": method.training_attack,
        "steps": method.attack_steps,
        "at_most": kind.stops_early,
    }
